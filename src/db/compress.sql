-- Pictures: what takes pixels, and so a codec process.

-- IMMUTABLE as far as one installation goes: another version of a codec
-- library may give other bytes.  The cost is low for what it does (a page is read
-- in less than a thousandth of the time), but more would have queries of few rows
-- compiled by JIT, which takes longer than to run them.  Not STRICT: an option
-- that is null by mistake must not make a picture null.
CREATE FUNCTION @extschema@.media_compress(
	data pg_catalog.bytea,
	max_dimension pg_catalog.int4 DEFAULT 1024,
	max_bytes pg_catalog.int4 DEFAULT 500000,
	quality pg_catalog.int4 DEFAULT 85,
	min_quality pg_catalog.int4 DEFAULT 40,
	effort pg_catalog.int4 DEFAULT 4,
	alpha pg_catalog.text DEFAULT 'keep',
	lossless pg_catalog.text DEFAULT 'auto',
	animation pg_catalog.text DEFAULT 'keep')
	RETURNS pg_catalog.bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'media_compress';
COMMENT ON FUNCTION @extschema@.media_compress(pg_catalog.bytea, pg_catalog.int4, pg_catalog.int4, pg_catalog.int4,
	pg_catalog.int4, pg_catalog.int4, pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
	'a picture as a small upright sRGB WebP without metadata';
