-- Serving: a stored value as the answer to an HTTP request.

CREATE TYPE @extschema@.media_response AS (
	status pg_catalog.int4,
	headers pg_catalog.jsonb,
	body pg_catalog.bytea
);
COMMENT ON TYPE @extschema@.media_response IS
	'an answer to an HTTP request: status, headers (an object of names and strings), body (null if there is none)';

-- STABLE: the tag of a large value is made from where it is stored.  Not STRICT:
-- no value is an answer, too.
CREATE FUNCTION @extschema@.media_serve(
	data pg_catalog.bytea,
	request pg_catalog.jsonb DEFAULT '{}',
	cache_control pg_catalog.text DEFAULT 'public, max-age=86400',
	etag pg_catalog.text DEFAULT NULL,
	last_modified pg_catalog.timestamptz DEFAULT NULL,
	filename pg_catalog.text DEFAULT NULL)
	RETURNS @extschema@.media_response
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 200
	AS 'MODULE_PATHNAME', 'media_serve';
COMMENT ON FUNCTION @extschema@.media_serve(pg_catalog.bytea, pg_catalog.jsonb, pg_catalog.text, pg_catalog.text,
	pg_catalog.timestamptz, pg_catalog.text) IS
	'a value as the answer to an HTTP request: an object of header names and their values, with the key "method". '
	'Without an etag, the content gives one; values of more than 512 kB that are stored EXTERNAL get theirs from where they are stored, '
	'so where several databases serve the same rows, pass one';

-- The settings it makes are the transaction's; no worker may change any.
CREATE FUNCTION @extschema@.media_postgrest(
	data pg_catalog.bytea,
	cache_control pg_catalog.text DEFAULT 'public, max-age=86400',
	etag pg_catalog.text DEFAULT NULL,
	last_modified pg_catalog.timestamptz DEFAULT NULL,
	filename pg_catalog.text DEFAULT NULL)
	RETURNS pg_catalog.bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 200
	AS 'MODULE_PATHNAME', 'media_postgrest';
COMMENT ON FUNCTION @extschema@.media_postgrest(pg_catalog.bytea, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz,
	pg_catalog.text) IS
	'media_serve for PostgREST: reads the settings request.headers and request.method, '
	'sets response.headers and response.status for the transaction, returns the body';
