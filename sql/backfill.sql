-- pictures of before a column was attached
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all

\set VERBOSITY terse
-- NOTICEs tell of rates
SET client_min_messages = warning;

-- what there is nothing to do for
SELECT name, mediastore.keeps_limits(data) AS before, mediastore.keeps_limits(media_compress(data)) AS after,
	mediastore.keeps_limits(media_compress(data), '{max_dimension=2}') AS smaller,
	mediastore.keeps_limits(media_compress(data, max_dimension => 2), '{MAX_DIMENSION=2,quality=20}') AS small
	FROM picture WHERE name NOT LIKE 'claim%' AND name NOT LIKE 'text%' AND name <> 'empty' ORDER BY name;
SELECT name, mediastore.keeps_limits(data) FROM picture WHERE name LIKE 'claim%' OR name LIKE 'text%' OR name = 'empty' ORDER BY name;
SELECT mediastore.keeps_limits(NULL::bytea), mediastore.keeps_limits(''::bytea, NULL);
SELECT mediastore.keeps_limits(array_agg(media_compress(data))) AS kept, mediastore.keeps_limits(array_agg(media_compress(data)) || NULL) AS with_null,
	mediastore.keeps_limits(array_agg(media_compress(data)) || (array_agg(data))[1]) AS with_other
	FROM picture WHERE name LIKE 'jpeg%';
SELECT mediastore.keeps_limits('{}'::bytea[]) AS empty,
	mediastore.keeps_limits(ARRAY[[media_compress(data)]]) AS two_dimensions FROM picture WHERE name = 'png 3x2';
-- options that change from row to row
SELECT o, mediastore.keeps_limits(media_compress(data), ARRAY[o]) FROM picture,
	unnest('{max_dimension=2,max_dimension=3,max_dimension=3,lossless=never,lossless=always}'::text[]) AS o
	WHERE name = 'png 3x2';
SELECT mediastore.keeps_limits('x'::bytea, '{size=2}');
SELECT mediastore.keeps_limits('x'::bytea, '{NULL}');
SELECT mediastore.keeps_limits('x'::bytea, '{max_bytes=1}');

-- a table of before
CREATE TABLE photo (id int PRIMARY KEY, name text COLLATE "C", data bytea, touched int NOT NULL DEFAULT 0);
INSERT INTO photo SELECT row_number() OVER (ORDER BY name), name, data FROM picture;
INSERT INTO photo VALUES (100, 'null', NULL), (101, 'kept', (SELECT media_compress(data) FROM picture WHERE name = 'png 3x2'));
CREATE TABLE before AS SELECT * FROM photo;

-- not without a trigger
CALL media_backfill('photo', 'data');
CALL media_backfill('photo', 'nothing');
CALL media_backfill('photo', 'name');
SELECT media_attach('photo', 'data', max_dimension => 4);
ALTER TABLE photo DISABLE TRIGGER USER;
CALL media_backfill('photo', 'data');
ALTER TABLE photo ENABLE REPLICA TRIGGER media_compress_data;
CALL media_backfill('photo', 'data');
ALTER TABLE photo ENABLE TRIGGER USER;
SET session_replication_role = replica;
CALL media_backfill('photo', 'data');
RESET session_replication_role;
CALL media_backfill('photo', 'data', batch_size => 0);
CALL media_backfill('photo', 'data', NULL);
CALL media_backfill(0::regclass, 'data');
CREATE VIEW photos AS SELECT * FROM photo;
CALL media_backfill('photos', 'data');
-- nor inside of a transaction
BEGIN;
CALL media_backfill('photo', 'data');
ROLLBACK;
DO $$ BEGIN CALL media_backfill('photo', 'data'); EXCEPTION WHEN active_sql_transaction THEN RAISE WARNING '%', sqlerrm; END $$;
CREATE FUNCTION backfill() RETURNS void LANGUAGE sql AS $$ CALL media_backfill('photo', 'data') $$;
SELECT backfill();
SET default_transaction_read_only = on;
CALL media_backfill('photo', 'data');
RESET default_transaction_read_only;
-- none of these was a run
SELECT count(*) FROM mediastore.progress;

-- each is updated once; what is right is not
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := NEW.touched + 1; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON photo FOR EACH ROW EXECUTE FUNCTION touch();
CALL media_backfill('photo', 'data', 7);
SELECT id, p.name, p.touched, media_format(p.data), p.data = media_compress(b.data, max_dimension => 4) AS same
	FROM photo p JOIN before b USING (id) WHERE p.touched > 0 ORDER BY id;
SELECT id, name, touched FROM photo WHERE touched = 0 ORDER BY id;
SELECT relation, row_key, column_name, element, sqlstate, message FROM mediastore.failure ORDER BY (row_key ->> 'id')::int;
SELECT operation, relation, column_name, state, rows_total, rows_done, rows_changed, rows_failed, rows_locked,
	bytes_before > bytes_after AS smaller, started_at <= updated_at AND updated_at <= finished_at AS ordered, seconds_left
	FROM mediastore.progress;

-- again: only what failed is tried, and what is mended or gone is no failure any more
UPDATE photo SET data = (SELECT data FROM picture WHERE name = 'png 3x2') WHERE id = (SELECT min(id) FROM photo WHERE name LIKE 'claim%');
DELETE FROM photo WHERE id = (SELECT max(id) FROM photo WHERE name LIKE 'text%');
SET mediastore.max_pixels = '2000000000';
SELECT count(*) FROM mediastore.failure;
CALL media_backfill('photo', 'data', 1000);
SELECT count(*) FROM mediastore.failure;
SELECT rows_total, rows_done, rows_changed, rows_failed FROM mediastore.progress ORDER BY run DESC LIMIT 1;
RESET mediastore.max_pixels;
-- what can be done at last is none either
SELECT media_detach('photo', 'data');
UPDATE photo SET data = (SELECT data FROM picture WHERE name = 'jpeg 32x16') WHERE name = 'claim: heif';
SELECT media_attach('photo', 'data', max_dimension => 4);
CALL media_backfill('photo', 'data');
SELECT rows_total, rows_done, rows_changed, rows_failed FROM mediastore.progress ORDER BY run DESC LIMIT 1;
SELECT count(*) FROM mediastore.failure WHERE row_key ->> 'id' = (SELECT id::text FROM photo WHERE name = 'claim: heif');

-- other options, other work
SELECT media_attach('photo', 'data', max_dimension => 2);
CALL media_backfill('photo', 'data');
SELECT max(greatest(media_width(data), media_height(data))) FROM photo WHERE media_format(data) = 'webp';
DROP TABLE photo CASCADE;
SELECT count(*) FROM mediastore.progress;

-- arrays, no primary key, names that want quotes, a domain
CREATE SCHEMA "Its ""schema";
CREATE DOMAIN pictures AS bytea[] CHECK (cardinality(VALUE) < 10);
CREATE TABLE "Its ""schema"."A 'table" (n int, "The ""data" pictures);
INSERT INTO "Its ""schema"."A 'table" SELECT 1, array_agg(data ORDER BY name) || NULL FROM picture WHERE name LIKE 'png%' OR name LIKE 'tiff%';
INSERT INTO "Its ""schema"."A 'table" SELECT 2, ARRAY[media_compress(data), NULL, '\x00', data] FROM picture WHERE name = 'png 3x2';
INSERT INTO "Its ""schema"."A 'table" SELECT 3, ARRAY[media_compress(data), NULL] FROM picture WHERE name = 'png 3x2';
INSERT INTO "Its ""schema"."A 'table" SELECT 4, ARRAY[[data], [data]] FROM picture WHERE name = 'png 3x2';
INSERT INTO "Its ""schema"."A 'table" SELECT 5, '[5:6]={"\\x00","\\x01"}'::bytea[];
INSERT INTO "Its ""schema"."A 'table" VALUES (6, '{}'), (7, NULL);
SELECT media_attach('"Its ""schema"."A ''table"', 'The "data');
CALL media_backfill('"Its ""schema"."A ''table"', 'The "data');
SELECT n, array_agg(media_format(e) ORDER BY ordinality) AS formats
	FROM "Its ""schema"."A 'table" t, unnest("The ""data") WITH ORDINALITY AS e (e) GROUP BY n ORDER BY n;
SELECT relation, row_key, column_name, element, sqlstate, message FROM mediastore.failure ORDER BY row_key;
SELECT relation, rows_total, rows_changed, rows_failed FROM mediastore.progress;
DROP SCHEMA "Its ""schema" CASCADE;

-- a tree: partitions with options of their own, one that is not attached, one of somebody else
CREATE ROLE regress_mediastore_owner;
CREATE TABLE part (region int, id int, data bytea, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2) PARTITION BY LIST (id);
CREATE TABLE part_21 PARTITION OF part_2 FOR VALUES IN (1);
CREATE TABLE part_22 PARTITION OF part_2 FOR VALUES IN (2);
INSERT INTO part SELECT region, id, data FROM picture, generate_series(1, 2) AS region, generate_series(1, 2) AS id WHERE name = 'jpeg 32x16';
CALL media_backfill('part', 'data');
SELECT media_attach('part_1', 'data');
SELECT media_attach('part_21', 'data', max_dimension => 8);
CALL media_backfill('part', 'data');
SELECT tableoid::regclass, region, id, media_format(data), media_width(data) FROM part ORDER BY region, id;
SELECT relation, rows_total, rows_done, rows_changed FROM mediastore.progress;

-- attached as a whole, and a child by inheritance
CREATE TABLE whole (region int, data bytea) PARTITION BY LIST (region);
CREATE TABLE whole_1 PARTITION OF whole FOR VALUES IN (1);
CALL media_backfill('whole', 'data');
SELECT media_attach('whole', 'data');
CREATE TABLE whole_2 PARTITION OF whole FOR VALUES IN (2);
ALTER TABLE whole DISABLE TRIGGER USER;
INSERT INTO whole SELECT region, data FROM picture, generate_series(1, 2) AS region WHERE name = 'jpeg 32x16';
ALTER TABLE whole ENABLE TRIGGER USER;
CALL media_backfill('whole', 'data');
SELECT tableoid::regclass, media_format(data) FROM whole ORDER BY region;
DROP TABLE whole;
CREATE TABLE parent (id int PRIMARY KEY, data bytea);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO parent SELECT 1, data FROM picture WHERE name = 'jpeg 32x16';
INSERT INTO child SELECT 2, data FROM picture WHERE name = 'jpeg 32x16';
SELECT media_attach('parent', 'data');
CALL media_backfill('parent', 'data');
SELECT tableoid::regclass, media_format(data) FROM parent ORDER BY id;
DROP TABLE child, parent;

-- every one who owns the table may, and sees its own
GRANT CREATE ON SCHEMA public TO regress_mediastore_owner;
SET ROLE regress_mediastore_owner;
CREATE TABLE mine (id int PRIMARY KEY, data bytea, double bytea GENERATED ALWAYS AS (data || data) STORED);
INSERT INTO mine VALUES (1, 'no picture');
RESET ROLE;
INSERT INTO mine SELECT 2, data FROM picture WHERE name = 'jpeg 32x16';
SET ROLE regress_mediastore_owner;
SELECT media_attach('mine', 'data');
CALL media_backfill('mine', 'data');
SELECT id, media_format(data), double = data || data AS generated FROM mine ORDER BY id;
SELECT relation, rows_total, rows_changed, rows_failed FROM mediastore.progress;
SELECT relation, row_key, sqlstate FROM mediastore.failure;
CALL media_backfill('part_1', 'data');
SELECT * FROM mediastore.run;
SELECT * FROM mediastore.failed_row;
SELECT * FROM mediastore.live_run;
DELETE FROM mediastore.failure;
INSERT INTO mediastore.progress (run) VALUES (1);
RESET ROLE;
-- whoever may make triggers on the tables of runs does not get their owner's rights
GRANT ALL ON mediastore.run, mediastore.failed_row TO regress_mediastore_owner;
SET ROLE regress_mediastore_owner;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'as %', current_user; RETURN NEW; END $$;
CREATE TRIGGER tell BEFORE INSERT ON mediastore.failed_row FOR EACH ROW EXECUTE FUNCTION tell();
CALL media_backfill('mine', 'data');
RESET ROLE;
DROP TRIGGER tell ON mediastore.failed_row;
REVOKE ALL ON mediastore.run, mediastore.failed_row FROM regress_mediastore_owner;
-- a partition of another owner is left alone
ALTER TABLE part_1 OWNER TO regress_mediastore_owner;
ALTER TABLE part OWNER TO regress_mediastore_owner;
SET ROLE regress_mediastore_owner;
CALL media_backfill('part', 'data');
RESET ROLE;

-- triggers of the table: one that forbids, one that fails, one that empties
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	CASE NEW.id
		WHEN 1 THEN RETURN NULL;
		WHEN 2 THEN RAISE 'no %', NEW.id;
		WHEN 3 THEN NEW.data := NULL;
		ELSE NULL;
	END CASE;
	RETURN NEW;
END $$;
CREATE TABLE meddled (id int PRIMARY KEY, data bytea);
INSERT INTO meddled SELECT id, data FROM picture, generate_series(1, 4) AS id WHERE name = 'jpeg 32x16';
SELECT media_attach('meddled', 'data');
CREATE TRIGGER meddle BEFORE UPDATE ON meddled FOR EACH ROW EXECUTE FUNCTION meddle();
CALL media_backfill('meddled', 'data');
SELECT id, media_format(data) FROM meddled ORDER BY id;
SELECT row_key, sqlstate, message FROM mediastore.failure WHERE relation = 'meddled'::regclass ORDER BY row_key;

-- a key is told without its type's casts, which anybody may have made
CREATE TYPE feeling AS ENUM ('glad', 'sad');
CREATE FUNCTION to_json(feeling) RETURNS json LANGUAGE sql AS 'SELECT ''"?"''::json';
CREATE CAST (feeling AS json) WITH FUNCTION to_json(feeling);
CREATE DOMAIN mood AS feeling;
CREATE TABLE felt (kind mood, at numeric, PRIMARY KEY (kind, at), data bytea);
INSERT INTO felt VALUES ('glad', 'NaN', 'bad'), ('sad', 1.50, 'bad');
SELECT media_attach('felt', 'data');
CALL media_backfill('felt', 'data');
SELECT row_key FROM mediastore.failure WHERE relation = 'felt'::regclass ORDER BY row_key;
SELECT row_key FROM mediastore.verify('felt', 'data') ORDER BY row_key;
DROP TABLE felt;
DROP TYPE feeling CASCADE;

-- a deferred trigger that fails is its row's failure, and not that of a batch
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON meddled DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW WHEN (NEW.id = 6) EXECUTE FUNCTION meddle();
CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_NAME = 'later' THEN RAISE 'not %', NEW.id; END IF;
	RETURN NEW;
END $$;
ALTER TABLE meddled DISABLE TRIGGER USER;
TRUNCATE meddled;
INSERT INTO meddled SELECT id, data FROM picture, generate_series(5, 7) AS id WHERE name = 'jpeg 32x16';
ALTER TABLE meddled ENABLE TRIGGER USER;
CALL media_backfill('meddled', 'data');
SELECT id, media_format(data) FROM meddled ORDER BY id;
SELECT row_key, sqlstate, message FROM mediastore.failure WHERE relation = 'meddled'::regclass ORDER BY row_key;
DROP TRIGGER later ON meddled;

-- a value that is lost on disk is its row's failure (verify.sql tells how it gets lost)
CREATE TEMPORARY TABLE lost (id int PRIMARY KEY, data bytea);
ALTER TABLE lost ALTER data SET STORAGE external;
INSERT INTO lost SELECT id, data || decode(repeat(md5(id::text), 300), 'hex') FROM picture, generate_series(1, 3) AS id WHERE name = 'jpeg 32x16';
SELECT media_attach('lost', 'data');
INSERT INTO lost SELECT 4, data FROM picture WHERE name = 'jpeg 32x16';
SELECT reltoastrelid AS toast, reltoastrelid::regclass AS toast_name FROM pg_class WHERE oid = 'lost'::regclass \gset
UPDATE pg_class SET relkind = 'r' WHERE oid = :toast;
DELETE FROM :toast_name WHERE chunk_id = (SELECT chunk_id FROM :toast_name ORDER BY chunk_id OFFSET 4 LIMIT 1);
UPDATE pg_class SET relkind = 't' WHERE oid = :toast;
VACUUM lost;
SELECT row_key, sqlstate FROM mediastore.verify('lost', 'data');
\set VERBOSITY sqlstate
CALL media_backfill('lost', 'data', 2);
\set VERBOSITY terse
SELECT row_key, sqlstate FROM mediastore.failure WHERE relation = 'lost'::regclass ORDER BY row_key;
SELECT rows_total, rows_done, rows_changed, rows_failed, rows_locked FROM mediastore.progress WHERE relation = 'lost'::regclass;
DROP TABLE lost;

-- the element that failed, whatever names say
CREATE TABLE "a, element 8" (id int PRIMARY KEY, "b, element 9" bytea[]);
INSERT INTO "a, element 8" SELECT 1, ('[3:4]=' || ARRAY[data, 'bad']::text)::bytea[] FROM picture WHERE name = 'jpeg 32x16';
SELECT media_attach('"a, element 8"', 'b, element 9');
CALL media_backfill('"a, element 8"', 'b, element 9');
SELECT relation, column_name, element, message FROM mediastore.failure WHERE column_name = 'b, element 9';
DROP TABLE "a, element 8";

-- what ends all of it: batches that were finished stay
CREATE OR REPLACE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id = 4 THEN RAISE 'deadlock' USING ERRCODE = 'deadlock_detected'; END IF;
	RETURN NEW;
END $$;
TRUNCATE meddled;
ALTER TABLE meddled DISABLE TRIGGER USER;
INSERT INTO meddled SELECT id, data FROM picture, generate_series(1, 5) AS id WHERE name = 'jpeg 32x16';
ALTER TABLE meddled ENABLE TRIGGER USER;
CALL media_backfill('meddled', 'data', 2);
SELECT id, media_format(data) FROM meddled ORDER BY id;
SELECT state, rows_total, rows_done, rows_changed FROM mediastore.progress WHERE relation = 'meddled'::regclass ORDER BY run DESC LIMIT 1;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';
DROP TRIGGER meddle ON meddled;
CALL media_backfill('meddled', 'data', 2);
SELECT state, rows_total, rows_done, rows_changed FROM mediastore.progress WHERE relation = 'meddled'::regclass ORDER BY run DESC LIMIT 1;

-- whatever the isolation level, and from a block that may commit
SET default_transaction_isolation = serializable;
DO $$ BEGIN
	CALL media_backfill('meddled', 'data');
	RAISE WARNING 'what follows is %', current_setting('transaction_isolation');
END $$;
RESET default_transaction_isolation;

-- a temporary table; functions and operators of others in the path
CREATE SCHEMA evil;
CREATE FUNCTION evil.keeps_limits(bytea, text[]) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
CREATE FUNCTION evil.eq(tid, tid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
CREATE OPERATOR evil.= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = evil.eq);
CREATE TABLE evil.run (id int);
SET search_path = evil, pg_catalog, public;
CREATE TEMPORARY TABLE mine (id int, data bytea);
INSERT INTO mine SELECT 1, data FROM picture WHERE name = 'jpeg 32x16';
SELECT media_attach('mine', 'data');
CALL media_backfill('mine', 'data');
SELECT id, media_format(data) FROM mine;
RESET search_path;
DROP TABLE mine;
DROP SCHEMA evil CASCADE;

DROP TABLE meddled, before, part;
DROP FUNCTION touch(), meddle(), backfill();
DROP DOMAIN pictures;
DROP OWNED BY regress_mediastore_owner;
DROP ROLE regress_mediastore_owner;
