-- Import: files of a folder into a column.

CREATE PROCEDURE @extschema@.media_import(
	relation pg_catalog.regclass,
	path_column pg_catalog.name,
	data_column pg_catalog.name,
	root pg_catalog.text,
	batch_size pg_catalog.int4 DEFAULT 50,
	dry_run pg_catalog.bool DEFAULT false)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'media_import';
COMMENT ON PROCEDURE @extschema@.media_import(pg_catalog.regclass, pg_catalog.name, pg_catalog.name, pg_catalog.text,
	pg_catalog.int4, pg_catalog.bool) IS
	'reads the files that a column names, below the folder root on the server, into another column, with a commit every batch_size rows';

-- It checks that, too: a grant is not enough.
REVOKE ALL ON PROCEDURE @extschema@.media_import(pg_catalog.regclass, pg_catalog.name, pg_catalog.name, pg_catalog.text,
	pg_catalog.int4, pg_catalog.bool) FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE @extschema@.media_import(pg_catalog.regclass, pg_catalog.name, pg_catalog.name, pg_catalog.text,
	pg_catalog.int4, pg_catalog.bool) TO pg_read_server_files;
