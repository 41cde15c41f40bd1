-- Arrays of pictures: one of them, and how many there are.

CREATE FUNCTION @extschema@.media_element(data pg_catalog.bytea[], index pg_catalog.int4) RETURNS pg_catalog.bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 50
	AS 'MODULE_PATHNAME', 'media_element';
COMMENT ON FUNCTION @extschema@.media_element(pg_catalog.bytea[], pg_catalog.int4) IS
	'data[index], of which only that element is read; null where there is none';

CREATE FUNCTION @extschema@.media_count(data pg_catalog.bytea[]) RETURNS pg_catalog.int4
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 10
	AS 'MODULE_PATHNAME', 'media_count';
COMMENT ON FUNCTION @extschema@.media_count(pg_catalog.bytea[]) IS
	'how many elements an array has, nulls among them; only its header is read';
