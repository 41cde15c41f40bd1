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
