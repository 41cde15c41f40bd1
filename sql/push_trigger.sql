-- what becomes of a pushed column is written down, with the transaction
CREATE SCHEMA push_trigger;
SET search_path = push_trigger, public;
SET client_min_messages = warning;

CREATE ROLE regress_mediastore_writer;
CREATE SERVER trigger_photos TYPE 's3' FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'examplebucket', region 'us-east-1');

-- what has been written down since the last time; hashes are cut short
CREATE FUNCTION changes(OUT change text) RETURNS SETOF text LANGUAGE sql AS $$
	WITH c AS (DELETE FROM mediastore.change RETURNING *)
	SELECT concat_ws(' ', kind, relation::regclass, row_key, column_name, index, '-> ' || new_key::text,
		NULLIF(concat(server || ': ', regexp_replace(key, '[0-9a-f]{56}', '')), ''), left(encode(sha256, 'hex'), 8), bytes, content_type,
		CASE WHEN immutable THEN 'immutable' END, CASE WHEN write_back THEN 'writes back' END)
	FROM c ORDER BY id
$$;
-- a picture of no format: what it is does not matter here
CREATE FUNCTION attach(relation regclass, col name, key text DEFAULT '{table}/{sha256}.{ext}', url_column name DEFAULT NULL,
	offload text DEFAULT 'none') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM media_attach(relation, col, server => 'trigger_photos', key => key, url_column => url_column, offload => offload);
	EXECUTE format('DROP TRIGGER %I ON %s', 'media_compress_' || col, relation);
END $$;
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM);
END $$;
DELETE FROM mediastore.change;

-- a row's life
CREATE TABLE parts (gone int, id int PRIMARY KEY, name text, image bytea, url text);
ALTER TABLE parts DROP gone;
SELECT attach('parts', 'image');
INSERT INTO parts VALUES (1, 'a', 'a'), (2, 'b', NULL), (3, 'c', ''), (4, 'd', repeat('d', 100000)::bytea);
SELECT * FROM changes();
UPDATE parts SET name = name || 'x';
UPDATE parts SET image = image;
UPDATE parts SET image = image || '';
UPDATE parts SET image = 'a' WHERE id = 1;
SELECT * FROM changes();
UPDATE parts SET image = 'b';
SELECT * FROM changes();
UPDATE parts SET image = NULL WHERE id < 3;
UPDATE parts SET image = NULL WHERE id < 3;
SELECT * FROM changes();
UPDATE parts SET id = id + 10;
SELECT * FROM changes();
UPDATE parts SET id = 3, image = 'c' WHERE id = 13;
UPDATE parts SET id = 4, image = NULL WHERE id = 14;
SELECT * FROM changes();
DELETE FROM parts;
SELECT * FROM changes();

-- formats, by their first bytes
INSERT INTO parts (id, image) VALUES (1, '\xffd8ffe000104a464946000101'), (2, '\x89504e470d0a1a0a0000000d49484452'),
	(3, 'GIF89a'), (4, 'RIFF....WEBPVP8 '), (5, '<svg xmlns="http://www.w3.org/2000/svg"/>');
SELECT * FROM changes();

-- other statements
INSERT INTO parts (id, image) VALUES (1, 'new'), (6, 'new') ON CONFLICT (id) DO UPDATE SET image = excluded.image;
INSERT INTO parts (id, image) VALUES (1, 'newer'), (6, 'newer') ON CONFLICT DO NOTHING;
SELECT * FROM changes();
MERGE INTO parts p USING (VALUES (1, '1'::bytea), (2, NULL), (7, '7')) AS v (id, image) ON p.id = v.id
	WHEN MATCHED AND v.image IS NULL THEN DELETE
	WHEN MATCHED THEN UPDATE SET image = v.image
	WHEN NOT MATCHED THEN INSERT (id, image) VALUES (v.id, v.image);
SELECT * FROM changes() ORDER BY 1;
COPY parts (id, image) FROM stdin;
8	8
9	\N
\.
SELECT * FROM changes();
WITH d AS (DELETE FROM parts WHERE id = 8 RETURNING *) INSERT INTO parts SELECT 10, name, image FROM d;
SELECT * FROM changes();
TRUNCATE parts;
SELECT * FROM changes();

-- what is rolled back was never there
BEGIN;
INSERT INTO parts (id, image) VALUES (1, 'a');
ROLLBACK;
BEGIN;
INSERT INTO parts (id, image) VALUES (1, 'a');
SAVEPOINT one;
INSERT INTO parts (id, image) VALUES (2, 'b');
ROLLBACK TO one;
INSERT INTO parts (id, image) VALUES (3, 'c');
COMMIT;
SELECT try('INSERT INTO parts (id, image) VALUES (4, ''d''), (4, ''e'')');
SELECT * FROM changes();

-- replication brings its own changes; here they are not made again
SET session_replication_role = replica;
UPDATE parts SET image = 'replicated';
RESET session_replication_role;
SELECT * FROM changes();

-- what is written back, and offloaded
SELECT attach('parts', 'image', url_column => 'url');
UPDATE parts SET image = 'x' WHERE id = 1;
UPDATE parts SET url = 'https://example.com/x' WHERE id = 1;
UPDATE parts SET url = NULL, image = NULL WHERE id = 1;
SELECT * FROM changes();
SELECT attach('parts', 'image', url_column => 'url', offload => 'null');
UPDATE parts SET image = 'x' WHERE id = 1;
UPDATE parts SET image = NULL, url = 'https://example.com/x' WHERE id = 1;
SELECT * FROM changes();
UPDATE parts SET url = NULL WHERE id = 1;
UPDATE parts SET url = NULL WHERE id = 1;
SELECT * FROM changes();

-- keys
CREATE TABLE keyed (b text, a int, image bytea, PRIMARY KEY (a, b));
SELECT attach('keyed', 'image', key => 'k/{table}/{column}/{pk}.{ext}');
INSERT INTO keyed VALUES ('x', 1, 'a'), ('y/z,%', 2, 'b'), ('é', 3, 'c'), ('', 4, 'd');
SELECT * FROM changes();
-- another row may come to have the old key
UPDATE keyed SET a = 10 WHERE a = 1;
SELECT * FROM changes();
SELECT attach('keyed', 'image', key => '{pk}-{uuid}');
UPDATE keyed SET a = 1 WHERE a = 10;
INSERT INTO keyed SELECT 'many', i, 'a' FROM generate_series(20, 29) AS i;
SELECT count(DISTINCT key), bool_and(key ~ '^[0-9]+,many-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$')
	FROM mediastore.change WHERE kind = 'a';
SELECT regexp_replace(c.change, '-[-0-9a-f]{36}', '-UUID') FROM changes() c LIMIT 3;
SELECT attach('keyed', 'image', key => '{date}/{timestamp}/{sha256}');
BEGIN;
SET TimeZone = 'Asia/Tokyo';
INSERT INTO keyed VALUES ('now', 1, 'a');
SELECT split_part(key, '/', 1) = to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS date,
	split_part(key, '/', 2) = to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"') AS timestamp FROM mediastore.change;
ROLLBACK;
SELECT attach('keyed', 'image', key => '{pk}');
SELECT try($$INSERT INTO keyed VALUES (repeat('x', 300), 1, 'a')$$);

-- a key's text is the same whatever the settings are
CREATE TYPE pair AS (a int, b timestamptz);
CREATE TABLE times (at timestamptz, day date, span interval, f float8, b bytea, m money, u uuid, p pair, image bytea,
	PRIMARY KEY (at, day, span, f, b, u, p));
SELECT attach('times', 'image');
SET TimeZone = 'America/New_York';
SET DateStyle = 'German';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = -10;
SET bytea_output = 'escape';
INSERT INTO times VALUES ('2024-02-03 04:05:06+00', '2024-02-03', '1 mon 2 days 03:04:05', 1.0 / 3, 'é', 1.5,
	'b5a2d3c4-0000-4000-8000-123456789abc', ROW (1, '2024-02-03 04:05:06+00'), 'a');
SHOW TimeZone;
DELETE FROM times;
RESET TimeZone; RESET DateStyle; RESET IntervalStyle; RESET extra_float_digits; RESET bytea_output;
SELECT * FROM changes();

-- arrays, element by element
CREATE TABLE many (id int PRIMARY KEY, images bytea[], urls text[]);
SELECT attach('many', 'images', key => '{pk}/{index}/{sha256}', url_column => 'urls');
INSERT INTO many VALUES (1, '{a,NULL,c}'), (2, '{}'), (3, NULL), (4, '[5:6]={x,y}'), (5, ARRAY[repeat('l', 3000)::bytea, repeat('m', 3000)::bytea]);
SELECT * FROM changes();
UPDATE many SET images = images;
UPDATE many SET images = array_append(images, NULL) WHERE id = 1;
SELECT * FROM changes();
UPDATE many SET images = '{a,b,d}' WHERE id = 1;
SELECT * FROM changes();
UPDATE many SET images = '{a,NULL}' WHERE id = 1;
SELECT * FROM changes();
UPDATE many SET images[2] = 'n' WHERE id = 5;
UPDATE many SET images[3] = 'x' WHERE id = 2;
SELECT * FROM changes();
UPDATE many SET images = '{}' WHERE id = 1;
UPDATE many SET images = NULL WHERE id = 5;
SELECT * FROM changes();
SELECT try($$UPDATE many SET images = '{{a},{b}}' WHERE id = 1$$), try($$INSERT INTO many VALUES (9, '{{a},{b}}')$$);
DELETE FROM many WHERE id = 4;
SELECT * FROM changes();
-- those of before may have more dimensions
SET session_replication_role = replica;
INSERT INTO many VALUES (6, '{{a},{b}}');
RESET session_replication_role;
UPDATE many SET images = '{a}' WHERE id = 6;
SELECT * FROM changes();
SELECT attach('many', 'images', key => '{pk}/{index}', url_column => 'urls');
UPDATE many SET id = 60 WHERE id = 6;
SELECT * FROM changes();

-- two columns of a table
CREATE TABLE two (id int PRIMARY KEY, one bytea, other bytea);
SELECT attach('two', 'one'), attach('two', 'other');
INSERT INTO two VALUES (1, 'a', 'b');
UPDATE two SET id = 2, other = 'c';
TRUNCATE two;
SELECT * FROM changes();

-- cascades, deferred constraints
CREATE TABLE owner (id int PRIMARY KEY);
CREATE TABLE owned (id int PRIMARY KEY, owner int REFERENCES owner ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED, image bytea);
CREATE TABLE keyed_by (owner int PRIMARY KEY REFERENCES owner ON UPDATE CASCADE ON DELETE CASCADE, image bytea);
SELECT attach('owned', 'image'), attach('keyed_by', 'image');
BEGIN;
INSERT INTO owned VALUES (1, 1, 'a');
INSERT INTO owner VALUES (1);
INSERT INTO keyed_by VALUES (1, 'a');
COMMIT;
SELECT * FROM changes();
UPDATE owner SET id = 2;
SELECT * FROM changes();
DELETE FROM owner;
SELECT * FROM changes();
TRUNCATE owner CASCADE;
SELECT * FROM changes();

-- partitions: each row's is its own
CREATE TABLE album (id int, kind int, image bytea, PRIMARY KEY (kind, id)) PARTITION BY LIST (kind);
CREATE TABLE album_1 PARTITION OF album FOR VALUES IN (1);
CREATE TABLE album_2 (image bytea, gone int, kind int NOT NULL, id int NOT NULL, PRIMARY KEY (kind, id));
ALTER TABLE album_2 DROP gone;
ALTER TABLE album ATTACH PARTITION album_2 FOR VALUES IN (2);
SELECT attach('album', 'image');
INSERT INTO album VALUES (1, 1, 'a'), (2, 2, 'b');
SELECT * FROM changes();
UPDATE album SET kind = 3 - kind;
SELECT * FROM changes();
TRUNCATE album_1;
SELECT * FROM changes();
CREATE TABLE album_3 PARTITION OF album FOR VALUES IN (3) PARTITION BY LIST (kind);
CREATE TABLE album_3a PARTITION OF album_3 FOR VALUES IN (3);
TRUNCATE album_3;
SELECT * FROM changes();
TRUNCATE album;
SELECT DISTINCT * FROM changes() ORDER BY 1;

-- the writer needs no right on anything of the extension's
GRANT USAGE ON SCHEMA push_trigger TO regress_mediastore_writer;
GRANT ALL ON parts TO regress_mediastore_writer;
SET ROLE regress_mediastore_writer;
INSERT INTO parts (id, image) VALUES (50, 'a');
TRUNCATE parts;
SELECT try('SELECT FROM mediastore.change');
RESET ROLE;
SELECT * FROM changes();

-- a table that has lost its key
CREATE TABLE keyless (id int PRIMARY KEY, image bytea);
SELECT attach('keyless', 'image');
INSERT INTO keyless VALUES (1, 'a');
ALTER TABLE keyless DROP CONSTRAINT keyless_pkey;
SELECT try($$INSERT INTO keyless VALUES (2, 'a')$$), try('DELETE FROM keyless');
ALTER TABLE keyless ADD PRIMARY KEY (id) DEFERRABLE;
SELECT try($$INSERT INTO keyless VALUES (2, 'a')$$);
SELECT * FROM changes();

-- the session learns of a renamed table, and of columns that move
ALTER TABLE keyed RENAME TO renamed;
SELECT attach('renamed', 'image', key => '{table}/{pk}');
INSERT INTO renamed VALUES ('x', 100, 'a');
ALTER TABLE renamed RENAME TO again;
INSERT INTO again VALUES ('x', 2, 'a');
ALTER TABLE album RENAME TO book;
INSERT INTO book VALUES (3, 1, 'a');
SELECT * FROM changes();

-- dropped: the table, the column, the schema; by whoever may
INSERT INTO mediastore.attachment (relation, row_key, column_name, index, object, written)
	SELECT r, '{1}', 'image', 0, -1, true FROM unnest('{parts,two,again,album_1}'::regclass[]) AS r;
ALTER TABLE parts DROP image CASCADE;
ALTER TABLE two DROP other CASCADE;
SELECT * FROM changes();
DROP TABLE two;
BEGIN;
DROP TABLE again;
ROLLBACK;
SELECT regexp_replace(change, '\d+', 'OID') FROM changes() AS c (change);
DROP TABLE owned, keyed_by, many;
SELECT regexp_replace(change, '\d+', 'OID') FROM changes() AS c (change);
INSERT INTO again VALUES ('z', 1, 'a');
DROP TABLE again;
SELECT regexp_replace(regexp_replace(change, '\d+', 'OID'), '/1%2Cz.*', '') FROM changes() AS c (change);
DROP TABLE book;
SELECT regexp_replace(change, '\d+', 'OID') FROM changes() AS c (change);
DELETE FROM mediastore.attachment WHERE object = -1;

-- not more than may wait; what is dropped always may
SET mediastore.max_queue_rows = 3;
CREATE TABLE full_queue (id int PRIMARY KEY, image bytea);
SELECT attach('full_queue', 'image');
INSERT INTO full_queue VALUES (1, 'a');
INSERT INTO full_queue VALUES (2, 'a');
INSERT INTO full_queue VALUES (3, 'a');
SELECT try($$INSERT INTO full_queue VALUES (4, 'a')$$), try('DELETE FROM full_queue'), try('TRUNCATE full_queue');
RESET mediastore.max_queue_rows;
SELECT count(*) FROM changes();
-- a renamed column is known by its new name, once it is attached
INSERT INTO mediastore.attachment (relation, row_key, column_name, index, object, written) VALUES ('full_queue', '{1}', 'image', 0, -1, true);
ALTER TABLE full_queue RENAME image TO picture;
SELECT try($$INSERT INTO full_queue VALUES (5, 'a')$$);
SELECT attach('full_queue', 'picture');
INSERT INTO full_queue VALUES (5, 'a');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'full_queue'::regclass ORDER BY tgname COLLATE "C";
SELECT * FROM changes();
DELETE FROM mediastore.attachment WHERE object = -1;

DROP SCHEMA push_trigger CASCADE;
DELETE FROM mediastore.change;
DROP SERVER trigger_photos CASCADE;
DROP ROLE regress_mediastore_writer;
