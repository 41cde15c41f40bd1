-- Thumbnails: a picture made to a size.

-- Volatility, cost and nulls as those of media_compress.
CREATE FUNCTION @extschema@.media_thumbnail(
	data pg_catalog.bytea,
	width pg_catalog.int4,
	height pg_catalog.int4 DEFAULT NULL,
	fit pg_catalog.text DEFAULT 'inside',
	quality pg_catalog.int4 DEFAULT 80)
	RETURNS pg_catalog.bytea
	LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 10000
	AS 'MODULE_PATHNAME', 'media_thumbnail';
COMMENT ON FUNCTION @extschema@.media_thumbnail(pg_catalog.bytea, pg_catalog.int4, pg_catalog.int4, pg_catalog.text,
	pg_catalog.int4) IS
	'a picture as an upright sRGB WebP of a size: inside, cover, contain or fill';
