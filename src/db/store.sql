-- Stores: foreign servers that objects are kept at, and their addresses.

-- No rights for anybody: an address that the server speaks to, or signs for,
-- is a superuser's to name, or that of those who are granted USAGE on it.
CREATE FUNCTION mediastore.store_validator(options pg_catalog.text[], catalog pg_catalog.oid)
	RETURNS pg_catalog.void
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'media_store_validator';
COMMENT ON FUNCTION mediastore.store_validator(pg_catalog.text[], pg_catalog.oid) IS
	'checks the options of stores and of their user mappings, for CREATE SERVER and the like';
REVOKE ALL ON FUNCTION mediastore.store_validator(pg_catalog.text[], pg_catalog.oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER mediastore NO HANDLER VALIDATOR mediastore.store_validator;
COMMENT ON FOREIGN DATA WRAPPER mediastore IS
	'stores of objects: servers of type s3 or file';

-- Tells no more than pg_foreign_server does, so it is everybody's who has
-- USAGE on the server.
CREATE FUNCTION @extschema@.media_url(server pg_catalog.name, key pg_catalog.text)
	RETURNS pg_catalog.text
	LANGUAGE c STABLE STRICT PARALLEL SAFE COST 10
	AS 'MODULE_PATHNAME', 'media_url';
COMMENT ON FUNCTION @extschema@.media_url(pg_catalog.name, pg_catalog.text) IS
	'the address of an object, unsigned: below the public_url of its store, or else at the store itself';

-- Not STRICT: without a time, it is that of the statement.  STABLE for that
-- reason, and since the store, too, is looked up.
CREATE FUNCTION @extschema@.media_presign(
	server pg_catalog.name,
	key pg_catalog.text,
	expires pg_catalog.interval DEFAULT '15 min',
	method pg_catalog.text DEFAULT 'GET',
	at pg_catalog.timestamptz DEFAULT NULL)
	RETURNS pg_catalog.text
	LANGUAGE c STABLE CALLED ON NULL INPUT PARALLEL SAFE COST 100
	AS 'MODULE_PATHNAME', 'media_presign';
COMMENT ON FUNCTION @extschema@.media_presign(pg_catalog.name, pg_catalog.text, pg_catalog.interval, pg_catalog.text,
	pg_catalog.timestamptz) IS
	'an address that lets whoever has it GET, HEAD, PUT or DELETE an object. It stays the same for half of "expires" at a time, '
	'is good for at least that long after "at" (by default, the start of the statement), and never for longer than "expires"';

-- Who may sign with a store's credentials is to be said for each role.
REVOKE ALL ON FUNCTION @extschema@.media_presign(pg_catalog.name, pg_catalog.text, pg_catalog.interval, pg_catalog.text,
	pg_catalog.timestamptz) FROM PUBLIC;

-- The functions that speak to stores: VOLATILE, since what is there may change
-- at any time.  One session has one courier, so no worker of a parallel query
-- speaks to a store beside it.  Not STRICT: an option may be null.
CREATE FUNCTION @extschema@.media_put(
	server pg_catalog.name,
	key pg_catalog.text,
	data pg_catalog.bytea,
	content_type pg_catalog.text DEFAULT NULL,
	cache_control pg_catalog.text DEFAULT NULL,
	metadata pg_catalog.jsonb DEFAULT NULL,
	if_none_match pg_catalog.bool DEFAULT false)
	RETURNS pg_catalog.text
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000
	AS 'MODULE_PATHNAME', 'media_put';
COMMENT ON FUNCTION @extschema@.media_put(pg_catalog.name, pg_catalog.text, pg_catalog.bytea, pg_catalog.text, pg_catalog.text,
	pg_catalog.jsonb, pg_catalog.bool) IS
	'puts an object at a store and gives its address (null of a file store without public_url). '
	'Not transactional: it is done when the function returns, and ROLLBACK does not take it back. Does nothing if server, key or data is null';
REVOKE ALL ON FUNCTION @extschema@.media_put(pg_catalog.name, pg_catalog.text, pg_catalog.bytea, pg_catalog.text, pg_catalog.text,
	pg_catalog.jsonb, pg_catalog.bool) FROM PUBLIC;

CREATE FUNCTION @extschema@.media_get(server pg_catalog.name, key pg_catalog.text)
	RETURNS pg_catalog.bytea
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED COST 10000
	AS 'MODULE_PATHNAME', 'media_get';
COMMENT ON FUNCTION @extschema@.media_get(pg_catalog.name, pg_catalog.text) IS
	'gets an object from a store; an error if there is none';
REVOKE ALL ON FUNCTION @extschema@.media_get(pg_catalog.name, pg_catalog.text) FROM PUBLIC;

CREATE FUNCTION @extschema@.media_head(
	server pg_catalog.name,
	key pg_catalog.text,
	OUT bytes pg_catalog.int8,
	OUT content_type pg_catalog.text,
	OUT cache_control pg_catalog.text,
	OUT etag pg_catalog.text,
	OUT last_modified pg_catalog.timestamptz,
	OUT metadata pg_catalog.jsonb)
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED COST 10000
	AS 'MODULE_PATHNAME', 'media_head';
COMMENT ON FUNCTION @extschema@.media_head(pg_catalog.name, pg_catalog.text) IS
	'what a store tells of an object without its bytes; all null if there is none';
REVOKE ALL ON FUNCTION @extschema@.media_head(pg_catalog.name, pg_catalog.text) FROM PUBLIC;

CREATE FUNCTION @extschema@.media_delete(server pg_catalog.name, key pg_catalog.text)
	RETURNS pg_catalog.bool
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 10000
	AS 'MODULE_PATHNAME', 'media_delete';
COMMENT ON FUNCTION @extschema@.media_delete(pg_catalog.name, pg_catalog.text) IS
	'deletes an object at a store, and tells whether there was one. Not transactional: ROLLBACK does not bring it back';
REVOKE ALL ON FUNCTION @extschema@.media_delete(pg_catalog.name, pg_catalog.text) FROM PUBLIC;

CREATE FUNCTION @extschema@.media_list(
	server pg_catalog.name,
	prefix pg_catalog.text DEFAULT '',
	OUT key pg_catalog.text,
	OUT bytes pg_catalog.int8,
	OUT etag pg_catalog.text,
	OUT last_modified pg_catalog.timestamptz)
	RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED COST 10000 ROWS 1000
	AS 'MODULE_PATHNAME', 'media_list';
COMMENT ON FUNCTION @extschema@.media_list(pg_catalog.name, pg_catalog.text) IS
	'the objects of a store whose keys begin with "prefix"; keys are without the prefix of the store itself';
REVOKE ALL ON FUNCTION @extschema@.media_list(pg_catalog.name, pg_catalog.text) FROM PUBLIC;
