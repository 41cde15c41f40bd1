-- Values that were moved to a store, for those who see their rows.

-- Not for everybody: they reach stores with the rights of tables' owners, and
-- who may have the rows' values by that is to be said for each role.  VOLATILE:
-- a store is asked.  Not STRICT: no row, no value is an answer, too.
CREATE FUNCTION @extschema@.media_fetch(
	"row" pg_catalog.anyelement,
	column_name pg_catalog.name,
	index pg_catalog.int4 DEFAULT NULL)
	RETURNS pg_catalog.bytea
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000
	AS 'MODULE_PATHNAME', 'media_fetch';
COMMENT ON FUNCTION @extschema@.media_fetch(pg_catalog.anyelement, pg_catalog.name, pg_catalog.int4) IS
	'the value of a row''s column (of an array: the element "index", from 1), from the store if it was moved there: '
	'SELECT media_fetch(u, ''photo'') FROM users AS u. The row is looked up by its primary key with the rights of the user';

CREATE FUNCTION @extschema@.media_serve_row(
	"row" pg_catalog.anyelement,
	column_name pg_catalog.name,
	request pg_catalog.jsonb DEFAULT '{}',
	cache_control pg_catalog.text DEFAULT 'public, max-age=86400',
	etag pg_catalog.text DEFAULT NULL,
	last_modified pg_catalog.timestamptz DEFAULT NULL,
	filename pg_catalog.text DEFAULT NULL,
	index pg_catalog.int4 DEFAULT NULL,
	expires pg_catalog.interval DEFAULT '15 min')
	RETURNS @extschema@.media_response
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE COST 10000
	AS 'MODULE_PATHNAME', 'media_serve_row';
COMMENT ON FUNCTION @extschema@.media_serve_row(pg_catalog.anyelement, pg_catalog.name, pg_catalog.jsonb, pg_catalog.text,
	pg_catalog.text, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int4, pg_catalog.interval) IS
	'media_serve for the value of a row''s column. One that was moved to a store is answered by a redirect to it: '
	'below its public_url, or else by a signed address that is good for "expires" at most';

REVOKE ALL ON FUNCTION @extschema@.media_fetch(pg_catalog.anyelement, pg_catalog.name, pg_catalog.int4) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.media_serve_row(pg_catalog.anyelement, pg_catalog.name, pg_catalog.jsonb, pg_catalog.text,
	pg_catalog.text, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.int4, pg_catalog.interval) FROM PUBLIC;
