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

-- The function reads the tables, as the caller may; or as their owner, for code
-- of people whom the caller has no reason to trust runs with a mere SELECT.  What
-- they hide from either by policies is left out.  What was saved stands in
-- a table that the caller may not read, and is shown of what they may.
CREATE VIEW mediastore.stats WITH (security_barrier) AS
	SELECT a.relation, a.column_name, s.rows, s.nulls, s.pictures, s.bytes,
		(SELECT pg_catalog.sum(r.bytes_before OPERATOR(pg_catalog.-) r.bytes_after)::pg_catalog.int8 FROM mediastore.run r
			WHERE r.relation OPERATOR(pg_catalog.=) a.relation::pg_catalog.oid
				AND r.column_name OPERATOR(pg_catalog.=) a.column_name
				AND r.operation OPERATOR(pg_catalog.=) ANY ('{backfill,import}'::pg_catalog.text[])) AS bytes_saved,
		s.mean_bytes, s.largest_bytes, s.formats
	FROM mediastore.attached a CROSS JOIN LATERAL mediastore.column_stats(a.relation, a.column_name) s;
COMMENT ON VIEW mediastore.stats IS
	'what is in the attached columns that one may read; counted anew each time, for which each row costs one small read';
COMMENT ON COLUMN mediastore.stats.nulls IS 'rows without a value';
COMMENT ON COLUMN mediastore.stats.pictures IS 'values, or of arrays their elements';
COMMENT ON COLUMN mediastore.stats.bytes IS 'lengths of the pictures, not compressed by PostgreSQL';
COMMENT ON COLUMN mediastore.stats.bytes_saved IS
	'what media_backfill and media_import have made less of, of what they have run over; null if they never did';
COMMENT ON COLUMN mediastore.stats.formats IS
	'how many pictures there are of each format; "unknown" is none that is known, "unreadable" is damaged on disk or an array of several dimensions';
GRANT SELECT ON mediastore.stats TO PUBLIC;
