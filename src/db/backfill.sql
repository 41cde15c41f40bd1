-- Backfill: a column that had pictures before it was attached.

CREATE FUNCTION mediastore.keeps_limits(data pg_catalog.bytea, options pg_catalog.text[] DEFAULT '{}')
	RETURNS pg_catalog.bool
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'media_keeps_limits';
COMMENT ON FUNCTION mediastore.keeps_limits(pg_catalog.bytea, pg_catalog.text[]) IS
	'whether media_compress with these options (name=value) would give it back as it is, by its header alone';

CREATE FUNCTION mediastore.keeps_limits(data pg_catalog.bytea[], options pg_catalog.text[] DEFAULT '{}')
	RETURNS pg_catalog.bool
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 100
	AS 'MODULE_PATHNAME', 'media_keeps_limits_array';
COMMENT ON FUNCTION mediastore.keeps_limits(pg_catalog.bytea[], pg_catalog.text[]) IS
	'the same of all elements; false if there are several dimensions';

CREATE PROCEDURE @extschema@.media_backfill(
	relation pg_catalog.regclass,
	column_name pg_catalog.name,
	batch_size pg_catalog.int4 DEFAULT 50)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'media_backfill';
COMMENT ON PROCEDURE @extschema@.media_backfill(pg_catalog.regclass, pg_catalog.name, pg_catalog.int4) IS
	'has an attached column''s older pictures compressed, with a commit every batch_size rows';
