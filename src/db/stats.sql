-- What is in the attached columns, and whether it could be served.

CREATE FUNCTION mediastore.column_stats(
	relation pg_catalog.regclass,
	column_name pg_catalog.name,
	OUT rows pg_catalog.int8,
	OUT nulls pg_catalog.int8,
	OUT pictures pg_catalog.int8,
	OUT bytes pg_catalog.int8,
	OUT mean_bytes pg_catalog.int8,
	OUT largest_bytes pg_catalog.int8,
	OUT formats pg_catalog.jsonb)
	RETURNS SETOF record
	LANGUAGE c STABLE STRICT PARALLEL UNSAFE COST 1000000 ROWS 1
	AS 'MODULE_PATHNAME', 'media_column_stats';
COMMENT ON FUNCTION mediastore.column_stats(pg_catalog.regclass, pg_catalog.name) IS
	'what is in a column of pictures, for the view mediastore.stats; no row if there is no such column or it may not be read';

CREATE FUNCTION mediastore.verify(
	relation pg_catalog.regclass,
	column_name pg_catalog.name)
	RETURNS TABLE (row_key pg_catalog.jsonb, element pg_catalog.int4, sqlstate pg_catalog.text, message pg_catalog.text)
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 1000000 ROWS 10
	AS 'MODULE_PATHNAME', 'media_verify';
COMMENT ON FUNCTION mediastore.verify(pg_catalog.regclass, pg_catalog.name) IS
	'reads and decodes every picture of a column; a row for each that can''t be: key of its row, array subscript, error';
