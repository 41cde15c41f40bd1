-- what would fail to be served or shown
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


-- sound pictures of all kinds
CREATE TABLE verify_photo (id int PRIMARY KEY, name text, data bytea);
ALTER TABLE verify_photo ALTER data SET STORAGE external;
INSERT INTO verify_photo SELECT row_number() OVER (ORDER BY name), name, data FROM picture
	WHERE name NOT LIKE 'claim%' AND name NOT IN ('text', 'empty');
INSERT INTO verify_photo VALUES (100, 'none', NULL);
INSERT INTO verify_photo SELECT 101, 'ours', media_compress(data) FROM picture WHERE name = 'jpeg 32x16';
SELECT * FROM mediastore.verify('verify_photo', 'data');

-- and what is none, in all ways; what the libraries say is theirs
INSERT INTO verify_photo SELECT 200 + row_number() OVER (ORDER BY name), name, data FROM picture
	WHERE name LIKE 'claim%' OR name IN ('text', 'empty');
INSERT INTO verify_photo SELECT 300 + row_number() OVER (ORDER BY name), name || ', cut', substr(data, 1, length(data) - 20) FROM picture
	WHERE name IN ('jpeg 32x16', 'gif 4x4', 'gif 4x4, 2 frames', 'webp 5x3, lossy', 'webp 5x3, lossless', 'webp 5x3, orientation 6');
INSERT INTO verify_photo SELECT 400, name || ', changed', overlay(data PLACING '\xffffffffff' FROM 26) FROM picture WHERE name = 'webp 5x3, lossless';
SELECT row_key, name, element, sqlstate, message <> '' AS message
	FROM mediastore.verify('verify_photo', 'data') JOIN verify_photo ON id = (row_key ->> 'id')::int ORDER BY id;
SELECT row_key, message FROM mediastore.verify('verify_photo', 'data')
	WHERE row_key @> ANY (SELECT jsonb_build_object('id', id) FROM verify_photo WHERE name IN ('text', 'claim: heif 320x240')) ORDER BY 1;

-- settings count
SET mediastore.max_pixels = 10;
SELECT sqlstate, count(*) FROM mediastore.verify('verify_photo', 'data') GROUP BY 1 ORDER BY 1;
RESET mediastore.max_pixels;

-- arrays, by subscript; what is behind a bad element is looked at, too
CREATE TABLE verify_part (number text, revision int, "the images" bytea[], PRIMARY KEY (revision, number));
ALTER TABLE verify_part ALTER "the images" SET STORAGE external;
INSERT INTO verify_part SELECT 'sound', 1, array_agg(data ORDER BY name) FROM picture WHERE name NOT LIKE 'claim%' AND name NOT IN ('text', 'empty');
INSERT INTO verify_part VALUES ('empty', 1, '{}'), ('null', 1, NULL), ('nulls', 1, ARRAY[NULL, NULL]::bytea[]);
INSERT INTO verify_part SELECT 'bad', 2, array_agg(data ORDER BY name) FROM picture;
INSERT INTO verify_part SELECT 'from 0', 2, ('[0:2]={"",NULL,""}'::bytea[]);
INSERT INTO verify_part SELECT 'table', 2, ARRAY[ARRAY[data], ARRAY[data]] FROM picture WHERE name = 'png 3x2';
SELECT row_key, element, sqlstate FROM mediastore.verify('verify_part', 'the images') ORDER BY row_key ->> 'number', element;

-- without a key, in partitions, in children
CREATE TABLE verify_log (data bytea);
INSERT INTO verify_log VALUES ('\x00'), (NULL), ('\x01');
SELECT row_key, sqlstate FROM mediastore.verify('verify_log', 'data') ORDER BY 1;
CREATE TABLE verify_log_child (more text) INHERITS (verify_log);
INSERT INTO verify_log_child VALUES ('\x02');
SELECT row_key, sqlstate FROM mediastore.verify('verify_log', 'data') ORDER BY 1;
SELECT row_key, sqlstate FROM mediastore.verify('verify_log_child', 'data') ORDER BY 1;
CREATE TABLE verify_tree (data bytea, id int) PARTITION BY LIST (id);
CREATE TABLE verify_tree_1 PARTITION OF verify_tree FOR VALUES IN (1);
CREATE TABLE verify_tree_2 PARTITION OF verify_tree FOR VALUES IN (2) PARTITION BY LIST (id);
CREATE TABLE "verify_tree 2" (id int, data bytea);
ALTER TABLE verify_tree_2 ATTACH PARTITION "verify_tree 2" FOR VALUES IN (2);
INSERT INTO verify_tree VALUES ('\x00', 1), ('\x00', 2);
SELECT row_key, sqlstate FROM mediastore.verify('verify_tree', 'data') ORDER BY 1;
ALTER TABLE verify_tree ADD PRIMARY KEY (id);
SELECT row_key, sqlstate FROM mediastore.verify('verify_tree', 'data') ORDER BY 1;
SELECT row_key, sqlstate FROM mediastore.verify('verify_tree_2', 'data') ORDER BY 1;

-- domains, generated columns, names of all kinds, materialized views
CREATE SCHEMA "verify ""me""";
CREATE DOMAIN "verify ""me""".photo AS bytea CHECK (length(VALUE) < 100);
CREATE DOMAIN "verify ""me""".album AS bytea[];
CREATE TABLE "verify ""me"""."a table's" ("the 'id'" int PRIMARY KEY, "a ""photo""" "verify ""me""".photo, "select" "verify ""me""".album,
	same bytea GENERATED ALWAYS AS ("select"[2]) STORED);
INSERT INTO "verify ""me"""."a table's" SELECT 7, '\x01', ARRAY[data, '\x02'] FROM picture WHERE name = 'png 3x2';
SELECT row_key, element, sqlstate FROM mediastore.verify('"verify ""me"""."a table''s"', 'a "photo"');
SELECT row_key, element, sqlstate FROM mediastore.verify('"verify ""me"""."a table''s"', 'select');
SELECT row_key, element, sqlstate FROM mediastore.verify('"verify ""me"""."a table''s"', 'same');
CREATE MATERIALIZED VIEW verify_view AS SELECT * FROM verify_log;
SELECT row_key, sqlstate FROM mediastore.verify('verify_view', 'data') ORDER BY 1;

-- What lies out of line and is lost, in part or whole; the rest is seen.  A
-- toast table is called an ordinary one for as long as it takes; and it is a
-- temporary one, of which VACUUM leaves nothing that is deleted.
CREATE FUNCTION pg_temp.noise(seed int, length int) RETURNS bytea LANGUAGE sql AS $$
	SELECT substr(string_agg(sha256(int4send(seed) || int4send(n)), '' ORDER BY n), 1, length)
	FROM generate_series(0, length / 32) n
$$;
CREATE TEMPORARY TABLE verify_lost (id int PRIMARY KEY, data bytea);
CREATE TEMPORARY TABLE verify_lost_part (id int PRIMARY KEY, images bytea[]);
ALTER TABLE verify_lost ALTER data SET STORAGE external;
ALTER TABLE verify_lost_part ALTER images SET STORAGE external;
-- each with its own tail
INSERT INTO verify_lost SELECT id, data || pg_temp.noise(id, 10000) FROM generate_series(1, 4) id, picture WHERE name = 'jpeg 32x16';
INSERT INTO verify_lost_part SELECT id, ARRAY[data, data || pg_temp.noise(id, 10000), data, data || pg_temp.noise(id + 10, 10000), data]
	FROM generate_series(1, 4) id, picture WHERE name = 'jpeg 32x16';
SELECT * FROM mediastore.verify('verify_lost', 'data');
SELECT * FROM mediastore.verify('verify_lost_part', 'images');
-- the values of a table have their numbers in the order they were stored
CREATE PROCEDURE pg_temp.lose(relation regclass, id int, chunks int4range) LANGUAGE plpgsql AS $$
DECLARE
	toast regclass := (SELECT reltoastrelid FROM pg_class WHERE oid = relation);
BEGIN
	UPDATE pg_class SET relkind = 'r' WHERE oid = toast;
	EXECUTE format('DELETE FROM %1$s WHERE chunk_seq <@ $2 AND
		chunk_id = (SELECT chunk_id FROM %1$s WHERE chunk_seq = 0 ORDER BY chunk_id OFFSET $1 - 1 LIMIT 1)', toast) USING id, chunks;
	UPDATE pg_class SET relkind = 't' WHERE oid = toast;
END $$;
CALL pg_temp.lose('verify_lost', 4, '[0,)');
CALL pg_temp.lose('verify_lost', 2, '[1,1]');
CALL pg_temp.lose('verify_lost_part', 4, '[0,)');
CALL pg_temp.lose('verify_lost_part', 3, '[8,8]');
CALL pg_temp.lose('verify_lost_part', 2, '[5,5]');
VACUUM verify_lost, verify_lost_part;
SELECT row_key, sqlstate FROM mediastore.verify('verify_lost', 'data') ORDER BY 1;
SELECT row_key, element, sqlstate FROM mediastore.verify('verify_lost_part', 'images') ORDER BY 1, 2;

-- what a column holds is counted all the same
SELECT rows, pictures, bytes, formats FROM mediastore.column_stats('verify_lost', 'data');
SELECT rows, pictures, formats FROM mediastore.column_stats('verify_lost_part', 'images');

-- it is the caller who reads
CREATE ROLE regress_mediastore_verifier;
GRANT SELECT (id, data) ON verify_photo TO regress_mediastore_verifier;
GRANT SELECT ON verify_log TO regress_mediastore_verifier;
ALTER TABLE verify_photo ENABLE ROW LEVEL SECURITY;
CREATE POLICY a_few ON verify_photo FOR SELECT USING (id < 204);
SET ROLE regress_mediastore_verifier;
SELECT row_key, sqlstate FROM mediastore.verify('verify_photo', 'data') ORDER BY 1;
SELECT count(*) FROM mediastore.verify('verify_log', 'data');
\set VERBOSITY terse
SELECT count(*) FROM mediastore.verify('verify_part', 'the images');
\set VERBOSITY default
RESET ROLE;
DROP OWNED BY regress_mediastore_verifier;
DROP ROLE regress_mediastore_verifier;

-- a cancel is not a picture's fault
INSERT INTO verify_log SELECT '\x00' FROM generate_series(1, 100000);
SET statement_timeout = '50ms';
\set VERBOSITY sqlstate
SELECT count(*) FROM mediastore.verify('verify_log', 'data') CROSS JOIN LATERAL mediastore.verify('verify_log', 'data') again;
\set VERBOSITY default
RESET statement_timeout;

-- no column of pictures
SELECT * FROM mediastore.verify('verify_photo', 'name');
SELECT * FROM mediastore.verify('verify_photo', 'ctid');
SELECT * FROM mediastore.verify('verify_photo', 'nothing');
CREATE VIEW verify_name AS SELECT * FROM verify_photo;
SELECT * FROM mediastore.verify('verify_name', 'data');
SELECT * FROM mediastore.verify('verify_photo_pkey', 'id');
SELECT * FROM mediastore.verify(NULL, 'data');
SELECT * FROM mediastore.verify(1::regclass, 'data');

SET client_min_messages = warning;
DROP SCHEMA "verify ""me""" CASCADE;
DROP VIEW verify_name;
DROP MATERIALIZED VIEW verify_view;
DROP TABLE verify_photo, verify_part, verify_log, verify_log_child, verify_tree;
