-- Facts: what the header of a picture says.

CREATE TYPE @extschema@.media_info AS (
	format pg_catalog.text,
	mime_type pg_catalog.text,
	width pg_catalog.int4,
	height pg_catalog.int4,
	orientation pg_catalog.int4,
	frames pg_catalog.int4,
	bit_depth pg_catalog.int4,
	channels pg_catalog.int4,
	has_alpha pg_catalog.bool,
	color_space pg_catalog.text,
	bytes pg_catalog.int8
);
COMMENT ON TYPE @extschema@.media_info IS 'what the header of a picture says; width and height as displayed';

CREATE FUNCTION @extschema@.media_info(data pg_catalog.bytea) RETURNS @extschema@.media_info
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'media_info';
COMMENT ON FUNCTION @extschema@.media_info(pg_catalog.bytea) IS
	'what the header of a picture says';

CREATE FUNCTION @extschema@.media_format(data pg_catalog.bytea) RETURNS pg_catalog.text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
	AS 'MODULE_PATHNAME', 'media_format';
COMMENT ON FUNCTION @extschema@.media_format(pg_catalog.bytea) IS
	'format by the first bytes: jpeg, png, gif, webp, ...; null if unknown';

CREATE FUNCTION @extschema@.media_mime_type(data pg_catalog.bytea) RETURNS pg_catalog.text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
	AS 'MODULE_PATHNAME', 'media_mime_type';
COMMENT ON FUNCTION @extschema@.media_mime_type(pg_catalog.bytea) IS
	'media type by the first bytes: image/jpeg, ...; null if unknown';

CREATE FUNCTION @extschema@.media_width(data pg_catalog.bytea) RETURNS pg_catalog.int4
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'media_width';
COMMENT ON FUNCTION @extschema@.media_width(pg_catalog.bytea) IS
	'width of a picture as displayed, in pixels';

CREATE FUNCTION @extschema@.media_height(data pg_catalog.bytea) RETURNS pg_catalog.int4
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'media_height';
COMMENT ON FUNCTION @extschema@.media_height(pg_catalog.bytea) IS
	'height of a picture as displayed, in pixels';

CREATE FUNCTION @extschema@.media_is_image(data pg_catalog.bytea) RETURNS pg_catalog.bool
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'media_is_image';
COMMENT ON FUNCTION @extschema@.media_is_image(pg_catalog.bytea) IS
	'whether the value has the header of a picture that could be decoded';
