-- Whether a store has what it should have.

-- Not for everybody: it asks a store, shows rows' keys, and repairs.
CREATE FUNCTION mediastore.audit(
	server pg_catalog.name,
	repair pg_catalog.bool DEFAULT false)
	RETURNS TABLE (
		finding pg_catalog.text,
		key pg_catalog.text,
		bytes pg_catalog.int8,
		object pg_catalog.int8,
		relation pg_catalog.regclass,
		row_key pg_catalog.text[],
		column_name pg_catalog.name,
		index pg_catalog.int4,
		detail pg_catalog.text,
		repaired pg_catalog.bool)
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 100000
	AS 'MODULE_PATHNAME', 'media_audit';
COMMENT ON FUNCTION mediastore.audit(pg_catalog.name, pg_catalog.bool) IS
	'lists a store, looks for all rows that refer to its objects, and tells what is not as it should be: '
	'missing, differs (what the store has is not what was put there), orphan (no row refers to what it has), '
	'foreign (below the prefix, but not this database''s), unreferenced (an object that no row refers to), row gone, unchecked. '
	'With repair, what can be mended is handed to the worker. Nothing tells whose a file is: of those that no row refers to, '
	'only the ones are deleted whose names have the SHA-256 of their content';
REVOKE ALL ON FUNCTION mediastore.audit(pg_catalog.name, pg_catalog.bool) FROM PUBLIC;
