-- what columns held before they were pushed
CREATE SCHEMA push_existing;
SET search_path = push_existing, public;
SET client_min_messages = warning;
CREATE ROLE regress_mediastore_owner;
CREATE ROLE regress_mediastore_other;
GRANT ALL ON SCHEMA push_existing TO regress_mediastore_owner, regress_mediastore_other;
CREATE SERVER existing_photos TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', region 'us-east-1');
CREATE SERVER existing_others TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', region 'us-east-1');
GRANT USAGE ON FOREIGN SERVER existing_photos TO regress_mediastore_owner;
DELETE FROM mediastore.change;

-- what only the worker does
CREATE FUNCTION fold(int DEFAULT 1000) RETURNS int LANGUAGE c STRICT AS 'mediastore', 'media_fold_changes';
CREATE FUNCTION push(relation regclass, col name, options text DEFAULT '', server text DEFAULT 'existing_photos') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TRIGGER push_%s AFTER INSERT OR DELETE OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION media_push_trigger(%L, %L%s)',
		col, relation, col, 'server=' || server, options);
END $$;
CREATE VIEW change AS SELECT kind, relation::regclass, row_key, column_name, index, server, regexp_replace(key, '[0-9a-f]{56}', '') AS key,
	bytes, content_type, immutable, write_back FROM mediastore.change ORDER BY relation::text COLLATE "C", row_key, column_name, index;
CREATE VIEW place AS SELECT a.relation::regclass, a.row_key, a.column_name, a.index, regexp_replace(o.key, '[0-9a-f]{56}', '') AS key, a.written, o.state
	FROM mediastore.attachment a JOIN mediastore.object o ON o.id = a.object ORDER BY a.relation::regclass::text COLLATE "C", a.row_key, a.column_name, a.index;
CREATE VIEW run AS SELECT relation, column_name, state, rows_total, rows_done, rows_changed, rows_failed, rows_locked, bytes_before, bytes_after
	FROM mediastore.progress WHERE operation = 'push' ORDER BY run;

-- rows of before: what they hold, be it small, large, empty or nothing
CREATE TABLE photo (id int PRIMARY KEY, name text, data bytea, url text, other bytea);
INSERT INTO photo VALUES (1, 'small', 'small'), (2, 'null', NULL), (3, 'empty', ''), (4, 'same', 'small'),
	(5, 'gif', '\x47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b');
INSERT INTO photo SELECT 6, 'large', string_agg(sha256(n::text::bytea), '') FROM generate_series(1, 1000) AS n;
CALL media_push_existing('photo', 'data');
SELECT push('photo', 'data', $$, 'url_column=url'$$);
SELECT count(*) FROM mediastore.change;
CALL media_push_existing('photo', 'data', 2);
SELECT * FROM change;
SELECT max(ctid) AS last, count(url) AS urls FROM photo;
SELECT * FROM run;
-- twice, before the worker has looked: the same once more
CALL media_push_existing('photo', 'data');
SELECT count(*), count(DISTINCT row_key) FROM mediastore.change;
SELECT fold();
SELECT * FROM place;
-- and after: nothing is left to do
CALL media_push_existing('photo', 'data');
SELECT count(*) FROM mediastore.change;
SELECT rows_total, rows_done FROM run ORDER BY 1 LIMIT 1;
-- only what came without the trigger
INSERT INTO photo VALUES (7, 'with', 'with');
SET session_replication_role = replica;
INSERT INTO photo VALUES (8, 'without', 'without');
CALL media_push_existing('photo', 'data');
RESET session_replication_role;
SELECT fold();
CALL media_push_existing('photo', 'data');
SELECT kind, row_key FROM change;
SELECT fold();
-- another server, another object
DROP TRIGGER push_data ON photo;
SELECT push('photo', 'data', $$, 'key={pk}'$$, 'existing_others');
CALL media_push_existing('photo', 'data');
SELECT row_key, server, key FROM change;
SELECT fold();
-- another column, by itself
SELECT push('photo', 'other');
UPDATE photo SET other = 'other' WHERE id = 1;
SELECT fold();
CALL media_push_existing('photo', 'other');
CALL media_push_existing('photo', 'name');
CALL media_push_existing('photo', 'nothing');
SELECT count(*) FROM mediastore.change;
ALTER TABLE photo DISABLE TRIGGER push_other;
CALL media_push_existing('photo', 'other');

-- interrupted: the queue is full, and goes on when it is not
CREATE TABLE many (id int PRIMARY KEY, data bytea);
INSERT INTO many SELECT n, n::text::bytea FROM generate_series(1, 10) AS n;
SELECT push('many', 'data');
SET mediastore.max_queue_rows = 4;
CALL media_push_existing('many', 'data', 2);
SELECT count(*) FROM mediastore.change;
SELECT row_key, sqlstate FROM mediastore.failure WHERE relation = 'many'::regclass ORDER BY (row_key ->> 'id')::int;
SELECT state, rows_total, rows_done, rows_changed, rows_failed FROM run WHERE relation = 'many'::regclass;
RESET mediastore.max_queue_rows;
SELECT fold();
CALL media_push_existing('many', 'data');
SELECT count(*), count(DISTINCT row_key) FROM mediastore.change;
SELECT fold();
SELECT count(*), count(DISTINCT key) FROM place WHERE relation = 'many'::regclass;
SELECT count(*) FROM mediastore.failure WHERE relation = 'many'::regclass;
CALL media_push_existing('many', 'data');
SELECT count(*) FROM mediastore.change;

-- partitions, some of them pushed by themselves, some not
CREATE TABLE part (region int, id int, data bytea, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 (id int NOT NULL, data bytea, region int NOT NULL);
ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES IN (2);
CREATE TABLE part_3 PARTITION OF part FOR VALUES IN (3) PARTITION BY LIST (id);
CREATE TABLE part_31 PARTITION OF part_3 FOR VALUES IN (1);
INSERT INTO part VALUES (1, 1, 'one'), (1, 2, 'two'), (2, 1, 'one'), (3, 1, 'three');
CALL media_push_existing('part', 'data');
SELECT push('part_1', 'data');
CALL media_push_existing('part', 'data');
SELECT relation, row_key, index, key FROM change;
SELECT fold();
DROP TRIGGER push_data ON part_1;
SELECT push('part', 'data');
CALL media_push_existing('part_3', 'data');
CALL media_push_existing('part', 'data', 1);
SELECT relation, row_key, index, key FROM change;
SELECT fold();
CALL media_push_existing('part', 'data');
SELECT count(*) FROM mediastore.change;
SELECT relation, row_key, key FROM place WHERE relation::text LIKE 'part%';

-- arrays: each element; keys of several columns and types, whatever the settings
CREATE TABLE album (at timestamptz, "the ""name" text, images bytea[], PRIMARY KEY ("the ""name", at));
INSERT INTO album VALUES ('2024-02-03 04:05:06+00', 'a,{"\', '{one,NULL,two}'), ('2024-02-03 04:05:06+00', 'empty', '{}'), ('2024-02-03 04:05:06+00', 'null', NULL),
	('2024-02-03 04:05:06+00', 'nulls', '{NULL,NULL}'), ('2024-02-03 04:05:06+00', 'square', '{{one,two},{three,four}}'), ('2024-02-03 04:05:06+00', 'shifted', '[5:6]={one,two}');
SELECT push('album', 'images');
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
CALL media_push_existing('album', 'images');
RESET TimeZone;
RESET DateStyle;
SELECT row_key, index, key FROM change;
SELECT row_key, sqlstate FROM mediastore.failure WHERE relation = 'album'::regclass;
SELECT fold();
CALL media_push_existing('album', 'images');
SELECT row_key, index FROM change;

-- no primary key
CREATE TABLE keyless (id int, data bytea);
INSERT INTO keyless VALUES (1, 'x');
CREATE TRIGGER push_data AFTER INSERT ON keyless FOR EACH ROW EXECUTE FUNCTION media_push_trigger('data', 'server=existing_photos');
CALL media_push_existing('keyless', 'data');

-- whose table it is; the owner's USAGE is what counts, as with the trigger
ALTER TABLE many OWNER TO regress_mediastore_owner;
GRANT ALL ON many TO regress_mediastore_other;
SET ROLE regress_mediastore_other;
CALL media_push_existing('many', 'data');
RESET ROLE;
GRANT EXECUTE ON PROCEDURE media_push_existing TO regress_mediastore_owner, regress_mediastore_other;
SET ROLE regress_mediastore_other;
CALL media_push_existing('many', 'data');
SELECT mediastore.is_attached('many'::regclass, 'data', 'existing_photos', 1);
SET ROLE regress_mediastore_owner;
CALL media_push_existing('many', 'data');
SELECT mediastore.is_attached('many'::regclass, 'data', 'existing_photos', 1), mediastore.is_attached('many'::regclass, 'data', 'existing_photos', 77),
	mediastore.is_attached('many'::regclass, 'data', 'existing_others', 1), mediastore.is_attached('many'::regclass, 'other', 'existing_photos', 1);
SELECT mediastore.is_attached(0::oid, 'data', 'existing_photos', 1);
RESET ROLE;
-- what can't be asked
CALL media_push_existing('many', 'data', 0);
CALL media_push_existing(NULL, 'data');
CALL media_push_existing('place', 'data');
BEGIN;
CALL media_push_existing('many', 'data');
ROLLBACK;

DROP SCHEMA push_existing CASCADE;
DELETE FROM mediastore.change;
DELETE FROM mediastore.attachment;
DELETE FROM mediastore.object;
DELETE FROM mediastore.store;
DROP SERVER existing_photos, existing_others CASCADE;
DROP OWNED BY regress_mediastore_owner, regress_mediastore_other;
DROP ROLE regress_mediastore_owner, regress_mediastore_other;
