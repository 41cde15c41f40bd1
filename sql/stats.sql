-- what is in the attached columns
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


SELECT count(*) FROM mediastore.stats;

SET client_min_messages = warning;
CREATE TABLE stats_user (id int, photo bytea, thumbnail bytea, logo bytea);
INSERT INTO stats_user SELECT row_number() OVER (ORDER BY name), data FROM picture;
INSERT INTO stats_user VALUES (100, NULL), (101, NULL);
SELECT media_attach('stats_user', 'photo'), media_attach('stats_user', 'thumbnail', max_dimension => 2);
INSERT INTO stats_user (id, thumbnail) SELECT 200, data FROM picture WHERE name = 'png 3x2';

-- lengths as they are, whatever is stored of them
CREATE TABLE stats_large (data bytea);
ALTER TABLE stats_large ALTER data SET STORAGE extended;
INSERT INTO stats_large SELECT data || convert_to(repeat('x', 1000000), 'UTF8') FROM picture WHERE name IN ('gif 4x4', 'png 3x2');
SELECT media_attach('stats_large', 'data');
INSERT INTO stats_large SELECT data || convert_to(repeat('x', 3000000), 'UTF8') FROM picture WHERE name = 'jpeg 32x16';
ALTER TABLE stats_large DISABLE TRIGGER USER;
INSERT INTO stats_large SELECT data || convert_to(repeat('x', 3000000), 'UTF8') FROM picture WHERE name = 'jpeg 32x16';
SELECT pg_column_compression(data) IS NOT NULL AS compressed, pg_column_size(data) < 100000 AS small, count(*) FROM stats_large GROUP BY 1, 2 ORDER BY 1, 2;

-- arrays: pictures are elements
CREATE TABLE stats_part (id int, images bytea[]);
INSERT INTO stats_part SELECT 1, array_agg(data ORDER BY name) FROM picture;
INSERT INTO stats_part VALUES (2, NULL), (3, '{}'), (4, '[5:7]={NULL,"",NULL}');
INSERT INTO stats_part SELECT 5, ARRAY[ARRAY[data], ARRAY[data]] FROM picture WHERE name = 'png 3x2';
INSERT INTO stats_part SELECT 6, ARRAY[data, data || convert_to(repeat('x', 1000000), 'UTF8')] FROM picture WHERE name = 'png 3x2';
SELECT media_attach('stats_part', 'images');

-- nothing, and partitions and children: as one
CREATE TABLE stats_nothing (data bytea, images bytea[]);
SELECT media_attach('stats_nothing', 'data'), media_attach('stats_nothing', 'images');
CREATE TABLE stats_tree (id int, data bytea) PARTITION BY LIST (id);
CREATE TABLE stats_tree_1 PARTITION OF stats_tree FOR VALUES IN (1);
CREATE TABLE stats_tree_2 PARTITION OF stats_tree FOR VALUES IN (2);
SELECT media_attach('stats_tree', 'data');
INSERT INTO stats_tree SELECT id, data FROM generate_series(1, 2) id, picture WHERE name = 'webp 5x3, lossy';
CREATE TABLE stats_child () INHERITS (stats_nothing);
INSERT INTO stats_child SELECT data FROM picture WHERE name = 'bmp 2x3';

SELECT relation, column_name, rows, nulls, pictures, mean_bytes = bytes / nullif(pictures, 0) AS mean, largest_bytes BETWEEN mean_bytes AND bytes AS largest,
	bytes_saved, formats
	FROM mediastore.stats ORDER BY relation::text COLLATE "C", column_name;
SELECT s.bytes = (SELECT sum(length(photo)) FROM stats_user) AS bytes, s.largest_bytes = (SELECT max(length(photo)) FROM stats_user) AS largest
	FROM mediastore.stats s WHERE relation = 'stats_user'::regclass AND column_name = 'photo';
SELECT s.bytes = (SELECT sum(length(data)) FROM stats_large) AS bytes, s.largest_bytes = (SELECT max(length(data)) FROM stats_large) AS largest
	FROM mediastore.stats s WHERE relation = 'stats_large'::regclass;
-- all but the row that no picture can be told of
SELECT s.bytes = (SELECT sum(length(i)) FROM stats_part, unnest(images) i WHERE id <> 5) AS bytes, largest_bytes > 1000000 AS largest
	FROM mediastore.stats s WHERE relation = 'stats_part'::regclass;

-- what was saved: by the runs that have written
INSERT INTO mediastore.run (operation, relation, column_name, pid, started_at, updated_at, bytes_before, bytes_after)
	SELECT operation, relation::regclass, name, 0, now(), now(), before, after FROM (VALUES
		('backfill', 'stats_user', 'photo', 10000000000, 3000000000), ('import', 'stats_user', 'photo', 500, 700),
		('import (dry run)', 'stats_user', 'photo', 1, 0), ('backfill', 'stats_user', 'thumbnail', 0, 0),
		('backfill', 'stats_user', 'logo', 5, 1), ('backfill', 'picture', 'photo', 5, 1))
		AS v (operation, relation, name, before, after);
SELECT relation, column_name, bytes_saved FROM mediastore.stats WHERE relation IN ('stats_user'::regclass, 'stats_tree'::regclass) ORDER BY 1, 2;

CREATE TABLE stats_run (data bytea);
INSERT INTO stats_run SELECT data FROM picture WHERE name LIKE 'jpeg%';
SELECT media_attach('stats_run', 'data');
CREATE TEMPORARY TABLE before AS SELECT bytes FROM mediastore.stats WHERE relation = 'stats_run'::regclass;
CALL media_backfill('stats_run', 'data');
SELECT s.rows, s.formats, s.bytes_saved = before.bytes - s.bytes AS saved FROM mediastore.stats s, before WHERE relation = 'stats_run'::regclass;
DROP TABLE stats_run;

-- a column that is not what its trigger says breaks nothing
CREATE TRIGGER broken BEFORE INSERT OR UPDATE ON stats_user FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('logo');
ALTER TABLE stats_user RENAME logo TO picture;
CREATE TRIGGER broken BEFORE INSERT OR UPDATE ON stats_large FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('ctid');
ALTER TABLE stats_nothing ADD note text;
CREATE TRIGGER broken BEFORE INSERT OR UPDATE ON stats_nothing FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('note');
SELECT relation, column_name, rows FROM mediastore.stats WHERE relation IN ('stats_user'::regclass, 'stats_large'::regclass, 'stats_nothing'::regclass) ORDER BY relation::text, column_name;
ALTER TABLE stats_user RENAME photo TO portrait;
SELECT relation, column_name, rows, pictures FROM mediastore.stats WHERE relation = 'stats_user'::regclass ORDER BY column_name;

-- each sees what they may read, and of it the rows that are theirs
CREATE ROLE regress_mediastore_reader;
CREATE SCHEMA stats_hidden;
CREATE TABLE stats_hidden.photo (data bytea);
SELECT media_attach('stats_hidden.photo', 'data');
SET ROLE regress_mediastore_reader;
SELECT count(*) FROM mediastore.stats;
RESET ROLE;
GRANT SELECT ON stats_hidden.photo TO regress_mediastore_reader;
GRANT SELECT (thumbnail) ON stats_user TO regress_mediastore_reader;
GRANT SELECT ON stats_tree TO regress_mediastore_reader;
ALTER TABLE stats_tree ENABLE ROW LEVEL SECURITY;
CREATE POLICY second ON stats_tree USING (id = 2);
SET ROLE regress_mediastore_reader;
SELECT relation, column_name, rows, pictures, bytes_saved FROM mediastore.stats ORDER BY relation::text COLLATE "C";
-- a condition must not see more
CREATE FUNCTION pg_temp.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE WARNING '%', $1; RETURN true; END $$;
SELECT relation, column_name FROM mediastore.stats WHERE pg_temp.tell(column_name || ': ' || coalesce(bytes_saved::text, 'nothing'))
	AND relation = 'stats_user'::regclass;
-- whatever the caller's names are
CREATE FUNCTION pg_temp.count() RETURNS int LANGUAGE sql AS 'SELECT 1/0';
CREATE TEMPORARY TABLE stats_tree (data bytea);
CREATE TEMPORARY TABLE run (data bytea);
SET search_path = pg_temp, public, pg_catalog;
SELECT relation, rows FROM mediastore.stats ORDER BY relation::text COLLATE "C";
RESET search_path;
SELECT * FROM mediastore.run;
SELECT * FROM mediastore.column_stats('stats_part', 'images');
DROP TABLE stats_tree;
RESET ROLE;
GRANT USAGE ON SCHEMA stats_hidden TO regress_mediastore_reader;
SET ROLE regress_mediastore_reader;
SELECT relation, rows, pictures, bytes, mean_bytes, largest_bytes, formats FROM mediastore.stats WHERE relation = 'stats_hidden.photo'::regclass;
RESET ROLE;

-- the function by itself
SELECT * FROM mediastore.column_stats('stats_user', 'id');
SELECT * FROM mediastore.column_stats('stats_user', 'nothing');
SELECT * FROM mediastore.column_stats(1::regclass, 'nothing');
SELECT pictures FROM mediastore.column_stats('picture', 'data');

-- what the owner of a table has written does not run with the rights of who looks
GRANT CREATE ON SCHEMA stats_hidden TO regress_mediastore_reader;
GRANT USAGE ON SCHEMA stats_hidden TO PUBLIC;
SET ROLE regress_mediastore_reader;
CREATE FUNCTION stats_hidden.tell(anyelement) RETURNS anyelement IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'regress_mediastore_reader' THEN RAISE 'as %', current_user; END IF;
	IF current_setting('search_path') <> nullif(current_setting('stats.path', true), '') THEN RAISE 'search_path: %', current_setting('search_path'); END IF;
	PERFORM set_config('work_mem', '7MB', false);
	RETURN $1;
END $$;
CREATE VIEW stats_hidden.view AS SELECT stats_hidden.tell(''::bytea) AS data;
CREATE TRIGGER attached INSTEAD OF INSERT ON stats_hidden.view FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('data');
CREATE TABLE stats_hidden.guarded (data bytea);
CREATE TRIGGER attached BEFORE INSERT ON stats_hidden.guarded FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('data');
ALTER TABLE stats_hidden.guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tell ON stats_hidden.guarded USING (stats_hidden.tell(data) IS NOT NULL);
CREATE TABLE stats_hidden.indexed (data bytea);
CREATE TRIGGER attached BEFORE INSERT ON stats_hidden.indexed FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('data');
INSERT INTO stats_hidden.indexed VALUES (NULL), (NULL);
CREATE INDEX ON stats_hidden.indexed (stats_hidden.tell(1));
GRANT ALL ON stats_hidden.view, stats_hidden.guarded, stats_hidden.indexed TO PUBLIC;
-- a session that does not know the expression yet
\c -
SET client_min_messages = warning;
SET work_mem = '5MB';
SELECT relation FROM mediastore.attached WHERE relation::text LIKE 'stats_hidden.%' ORDER BY relation::text COLLATE "C";
SET stats.path = 'pg_catalog, pg_temp';
SELECT relation, rows FROM mediastore.stats WHERE relation::text LIKE 'stats_hidden.%' ORDER BY relation::text COLLATE "C";
RESET stats.path;
SHOW work_mem;
SHOW search_path;
-- not for who might see other rows than the owner
CREATE ROLE regress_mediastore_other;
SET ROLE regress_mediastore_other;
SELECT relation, rows FROM mediastore.stats WHERE relation::text LIKE 'stats_hidden.%' ORDER BY relation::text COLLATE "C";
SET ROLE regress_mediastore_reader;
SELECT relation, rows FROM mediastore.stats WHERE relation::text LIKE 'stats_hidden.%' ORDER BY relation::text COLLATE "C";
RESET ROLE;
DROP ROLE regress_mediastore_other;

-- it can be cancelled
ALTER TABLE stats_nothing DISABLE TRIGGER USER;
INSERT INTO stats_nothing SELECT NULL FROM generate_series(1, 100000);
SET statement_timeout = '20ms';
\set VERBOSITY sqlstate
SELECT sum(rows) FROM generate_series(1, 1000) n, LATERAL mediastore.column_stats((CASE WHEN n > 0 THEN 'stats_nothing' END)::regclass, 'data');
RESET statement_timeout;
\set VERBOSITY default

DROP OWNED BY regress_mediastore_reader;
DROP ROLE regress_mediastore_reader;
DROP SCHEMA stats_hidden CASCADE;
DROP TABLE stats_user, stats_large, stats_part, stats_nothing, stats_tree, stats_child CASCADE;
