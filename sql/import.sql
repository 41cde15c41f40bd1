-- files of a folder into a column
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all

\set VERBOSITY terse
SET client_min_messages = warning;

-- a folder that the server can read: its name is not to be seen
SELECT current_setting('data_directory') || '/regress_mediastore_import' AS folder \gset
\set make 'cat >/dev/null; rm -rf ' :folder ' && mkdir -p ' :folder '/a/b ' :folder '/other'
\set QUIET on
COPY (SELECT) TO PROGRAM :'make';
CREATE FUNCTION write(path text, data bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	object oid := lo_from_bytea(0, data);
BEGIN
	PERFORM lo_export(object, current_setting('data_directory') || '/regress_mediastore_import/' || path);
	PERFORM lo_unlink(object);
END $$;
SELECT write('jpeg', data), write('a/b/c d', data) FROM picture WHERE name = 'jpeg 32x16';
SELECT write('png', data) FROM picture WHERE name = 'png 3x2';
SELECT write('text', 'no picture'), write('empty', ''), write('large', convert_to(repeat('x', 5000), 'UTF8'));

CREATE TABLE photo (id int PRIMARY KEY, path text, data bytea);
INSERT INTO photo VALUES (1, 'jpeg', NULL), (2, '/a/b/c d', NULL), (3, '//a//b/./c d', NULL), (4, NULL, NULL), (5, 'jpeg', 'is there'),
	(6, 'missing', NULL), (7, 'a/../jpeg', NULL), (8, '..', NULL), (9, '../PG_VERSION', NULL), (10, '/', NULL), (11, '', NULL),
	(12, 'a', NULL), (13, 'jpeg/', NULL), (14, 'jpeg/x', NULL), (15, repeat('x', 300), NULL), (16, repeat('x/', 3000), NULL),
	(17, 'text', NULL), (18, 'empty', NULL), (19, 'large', NULL), (20, '..jpeg', NULL), (21, '.', NULL);

-- what is wrong with the call
CALL media_import('photo', 'path', 'data', 'relative');
CALL media_import('photo', 'path', 'data', '/no/such/folder');
CALL media_import('photo', 'path', 'data', '/etc/passwd');
CALL media_import('photo', 'nothing', 'data', :'folder');
CALL media_import('photo', 'path', 'nothing', :'folder');
CALL media_import('photo', 'id', 'data', :'folder');
CALL media_import('photo', 'path', 'id', :'folder');
CALL media_import('photo', 'path', 'data', NULL);
CALL media_import('photo', 'path', 'data', :'folder', batch_size => 0);
BEGIN;
CALL media_import('photo', 'path', 'data', :'folder');
ROLLBACK;
SELECT count(*) FROM mediastore.progress;

-- only to see
SET mediastore.max_input_bytes = 4000;
CALL media_import('photo', 'path', 'data', :'folder', dry_run => true);
SELECT count(*) FROM photo WHERE data IS NOT NULL;
SELECT row_key, sqlstate FROM mediastore.failure ORDER BY (row_key ->> 'id')::int;
SELECT operation, relation, column_name, rows_total, rows_done, rows_changed, rows_failed, bytes_before > 0 AS bytes, bytes_after FROM mediastore.progress;

-- as they are
CALL media_import('photo', 'path', 'data', :'folder', 4);
SELECT id, path, media_format(data), length(data) FROM photo WHERE data IS NOT NULL ORDER BY id;
SELECT row_key, column_name, element, sqlstate, CASE WHEN length(message) < 200 THEN message END FROM mediastore.failure ORDER BY (row_key ->> 'id')::int;
SELECT operation, rows_total, rows_done, rows_changed, rows_failed, bytes_before > 0 AND bytes_before = bytes_after AS bytes FROM mediastore.progress ORDER BY run DESC LIMIT 1;

-- again, when some have been put right
SELECT write('missing', 'not any more');
UPDATE photo SET path = 'png' WHERE id = 8;
DELETE FROM photo WHERE id IN (9, 16);
RESET mediastore.max_input_bytes;
CALL media_import('photo', 'path', 'data', :'folder');
SELECT rows_total, rows_done, rows_changed, rows_failed FROM mediastore.progress ORDER BY run DESC LIMIT 1;
SELECT id, path, media_format(data), length(data) FROM photo WHERE id IN (6, 8, 19) ORDER BY id;
SELECT count(*) FROM mediastore.failure;

-- compressed on the way, if the column is attached; a backfill's failures are its own
SELECT media_attach('photo', 'data');
CALL media_backfill('photo', 'data');
SELECT f.row_key, f.sqlstate FROM mediastore.failure f ORDER BY (row_key ->> 'id')::int;
UPDATE photo SET data = NULL;
CALL media_import('photo', 'path', 'data', :'folder', dry_run => true);
SELECT rows_total, rows_changed, rows_failed FROM mediastore.progress ORDER BY run DESC LIMIT 1;
CALL media_import('photo', 'path', 'data', :'folder');
SELECT rows_total, rows_changed, rows_failed, bytes_before > bytes_after AS smaller FROM mediastore.progress ORDER BY run DESC LIMIT 1;
SELECT id, path, media_format(data), length(data) FROM photo WHERE data IS NOT NULL ORDER BY id;
SELECT row_key, sqlstate FROM mediastore.failure ORDER BY (row_key ->> 'id')::int;
SET mediastore.formats = 'png';
UPDATE photo SET data = NULL;
CALL media_import('photo', 'path', 'data', :'folder', dry_run => true);
SELECT row_key, sqlstate FROM mediastore.failure WHERE row_key ->> 'id' IN ('1', '2', '8') ORDER BY 1;
RESET mediastore.formats;

-- arrays; a varchar, domains
CREATE DOMAIN file_path AS varchar(100);
CREATE DOMAIN paths AS file_path[];
CREATE DOMAIN pictures AS bytea[] CHECK (cardinality(VALUE) <= 3);
CREATE TABLE part (id int PRIMARY KEY, paths paths, data pictures);
INSERT INTO part VALUES (1, '{jpeg,NULL,png}', NULL), (2, '{jpeg,missing2,png}', '{}'), (3, '{}', NULL), (4, NULL, NULL), (5, '{jpeg}', '{kept}'),
	(6, '[0:1]={png,text}', NULL), (7, '{{png},{png}}', NULL), (8, '{png,png,png,png}', NULL), (9, '{NULL}', NULL), (10, '{png}', '{NULL}');
CALL media_import('part', 'paths', 'data', :'folder');
SELECT id, array_agg(coalesce(media_format(d), d::text) ORDER BY ordinality) FROM part, unnest(data) WITH ORDINALITY AS d (d) GROUP BY id ORDER BY id;
SELECT array_dims(data) FROM part WHERE id = 6;
SELECT row_key, element, sqlstate, message FROM mediastore.failure WHERE relation = 'part'::regclass ORDER BY 1;
UPDATE part SET data = NULL WHERE id <> 5;
SELECT media_attach('part', 'data');
CALL media_import('part', 'paths', 'data', :'folder', dry_run => true);
SELECT row_key, element, sqlstate, message FROM mediastore.failure WHERE relation = 'part'::regclass ORDER BY 1;
CALL media_import('part', 'paths', 'data', :'folder');
SELECT id, array_agg(coalesce(media_format(d), d::text) ORDER BY ordinality) FROM part, unnest(data) WITH ORDINALITY AS d (d) GROUP BY id ORDER BY id;
SELECT row_key, element, sqlstate, message FROM mediastore.failure WHERE relation = 'part'::regclass ORDER BY 1;
CALL media_import('photo', 'path', 'data', :'folder', dry_run => true);
CREATE TABLE mixed (path text, paths text[], data bytea, datas bytea[], bytes bytea GENERATED ALWAYS AS (data) STORED);
CALL media_import('mixed', 'paths', 'data', :'folder');
CALL media_import('mixed', 'path', 'datas', :'folder');
CALL media_import('mixed', 'path', 'bytes', :'folder');

-- who may
CREATE ROLE regress_mediastore_reader;
ALTER TABLE photo OWNER TO regress_mediastore_reader;
SET ROLE regress_mediastore_reader;
CALL media_import('photo', 'path', 'data', :'folder');
RESET ROLE;
GRANT EXECUTE ON PROCEDURE media_import TO regress_mediastore_reader;
SET ROLE regress_mediastore_reader;
CALL media_import('photo', 'path', 'data', :'folder');
RESET ROLE;
REVOKE EXECUTE ON PROCEDURE media_import FROM regress_mediastore_reader;
GRANT pg_read_server_files TO regress_mediastore_reader;
SET ROLE regress_mediastore_reader;
CALL media_import('photo', 'path', 'data', :'folder', dry_run => true);
CALL media_import('part', 'paths', 'data', :'folder');
RESET ROLE;

\set remove 'cat >/dev/null; rm -rf ' :folder
COPY (SELECT) TO PROGRAM :'remove';
DROP TABLE photo, part, mixed;
DROP DOMAIN paths, file_path, pictures;
DROP FUNCTION write;
DROP ROLE regress_mediastore_reader;
