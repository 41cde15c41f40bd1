-- attaching and detaching columns
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


CREATE SCHEMA attach;
SET search_path = attach, public;

-- what is shown of a table
CREATE VIEW triggers AS SELECT tgrelid::regclass AS relation, tgname, tgenabled AS enabled, tgparentid <> 0 AS clone,
	regexp_replace(pg_get_triggerdef(oid), '^.* EXECUTE', 'EXECUTE') AS action
	FROM pg_trigger WHERE tgrelid::regclass::text !~ '^pg_' ORDER BY tgrelid::regclass::text COLLATE "C", tgname;
CREATE VIEW storage AS SELECT attrelid::regclass AS relation, attname, attstorage AS storage
	FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relkind IN ('r', 'p', 'f') AND attnum > 0
		AND atttypid IN ('bytea'::regtype, 'bytea[]'::regtype) AND relnamespace = 'attach'::regnamespace
	ORDER BY attrelid::regclass::text COLLATE "C", attname;

-- a column, an array, and again
CREATE TABLE parts (id int PRIMARY KEY, image bytea, more bytea[], other bytea, name text);
SELECT media_attach('parts', 'image');
SELECT media_attach('parts', 'more', max_dimension => 4, alpha => '#AABBCC', lossless => 'never', animation => 'first');
SELECT media_attach('parts', 'image');
SELECT * FROM triggers;
SELECT * FROM storage;
SELECT * FROM mediastore.attached ORDER BY 1, 2;
INSERT INTO parts (id, image, more, other)
	SELECT 1, data, ARRAY[data, NULL], data FROM picture WHERE name = 'jpeg 32x16';
SELECT media_width(image), media_width(more[1]), media_format(other) FROM parts;

-- other options: the session that has compressed by the old ones knows
SELECT media_attach('parts', 'image', max_dimension => 8);
INSERT INTO parts (id, image) SELECT 2, data FROM picture WHERE name = 'jpeg 32x16';
SELECT media_attach('parts', 'image', max_dimension => 7);
INSERT INTO parts (id, image) SELECT 3, data FROM picture WHERE name = 'jpeg 32x16';
BEGIN;
SELECT media_attach('parts', 'image', max_dimension => 6);
INSERT INTO parts (id, image) SELECT 4, data FROM picture WHERE name = 'jpeg 32x16';
SELECT id, media_width(image) FROM parts ORDER BY id;
ROLLBACK;
INSERT INTO parts (id, image) SELECT 4, data FROM picture WHERE name = 'jpeg 32x16';
SELECT id, media_width(image) FROM parts ORDER BY id;

-- a trigger that does not fire is not as it should be
ALTER TABLE parts DISABLE TRIGGER media_compress_image;
SELECT column_name, enabled FROM mediastore.attached ORDER BY 1;
SELECT media_attach('parts', 'image', max_dimension => 7);
ALTER TABLE parts ENABLE ALWAYS TRIGGER media_compress_image;
SELECT media_attach('parts', 'image', max_dimension => 7);
SELECT * FROM triggers;

-- detached, the storage stays; not attached is no error
SELECT media_detach('parts', 'image');
SELECT media_detach('parts', 'image');
SELECT media_detach('parts', 'other');
INSERT INTO parts (id, image) SELECT 5, data FROM picture WHERE name = 'jpeg 32x16';
SELECT media_format(image) FROM parts WHERE id = 5;
SELECT * FROM storage;
SELECT relation, column_name FROM mediastore.attached ORDER BY 1, 2;

-- triggers made by hand are taken over, one is enough
CREATE TRIGGER mine BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('image', 'quality=50');
CREATE TRIGGER other BEFORE INSERT OR UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('image');
SELECT relation, column_name, options, trigger_name FROM mediastore.attached ORDER BY 1, 2, 4;
SELECT media_attach('parts', 'image', quality => 60);
SELECT media_attach('parts', 'image', quality => 60);
SELECT * FROM triggers;
SELECT media_detach('parts', 'image');

-- another's trigger may have the name
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER media_compress_image BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT media_attach('parts', 'image');
SELECT * FROM triggers;
SELECT media_detach('parts', 'image');
DROP TRIGGER media_compress_image ON parts;

-- names that need care
CREATE TABLE "odd ""table" (id int, "odd 'co\lumn" bytea,
	a234567890123456789012345678901234567890123456789012345678901_1 bytea,
	a234567890123456789012345678901234567890123456789012345678901_2 bytea);
SELECT media_attach('"odd ""table"', 'odd ''co\lumn', quality => 70);
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT media_attach('"odd ""table"', E'odd ''co\\lumn', quality => 71);
RESET standard_conforming_strings;
RESET escape_string_warning;
SELECT media_attach('"odd ""table"', 'a234567890123456789012345678901234567890123456789012345678901_1');
SELECT media_attach('"odd ""table"', 'a234567890123456789012345678901234567890123456789012345678901_2');
SELECT column_name, options, trigger_name FROM mediastore.attached WHERE relation = '"odd ""table"'::regclass ORDER BY 1;
INSERT INTO "odd ""table" SELECT 1, data, data, data FROM picture WHERE name = 'jpeg 32x16';
SELECT media_format("odd 'co\lumn"),
	media_format(a234567890123456789012345678901234567890123456789012345678901_2) FROM "odd ""table";
DROP TABLE "odd ""table";

-- a renamed column: the trigger follows it, its argument does not
SELECT media_attach('parts', 'image', max_dimension => 8);
ALTER TABLE parts RENAME image TO photo;
INSERT INTO parts (id, photo) SELECT 6, data FROM picture WHERE name = 'jpeg 32x16';
SELECT column_name, options FROM mediastore.attached ORDER BY 1;
ALTER TABLE parts ADD image bytea;
INSERT INTO parts (id, photo) SELECT 6, data FROM picture WHERE name = 'jpeg 32x16';
SELECT media_attach('parts', 'image', max_dimension => 4);
SELECT media_attach('parts', 'photo', max_dimension => 8);
INSERT INTO parts (id, photo, image) SELECT 6, data, data FROM picture WHERE name = 'jpeg 32x16';
SELECT media_width(photo), media_width(image) FROM parts WHERE id = 6;
SELECT * FROM triggers;
ALTER TABLE parts RENAME photo TO picture;
SELECT media_detach('parts', 'photo');
SELECT media_detach('parts', 'picture');

-- a dropped column takes its trigger with it, or leaves one made by hand
\set VERBOSITY terse
ALTER TABLE parts DROP image;
ALTER TABLE parts DROP image CASCADE;
\set VERBOSITY default
CREATE TRIGGER mine BEFORE INSERT OR UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('picture');
ALTER TABLE parts DROP picture;
INSERT INTO parts (id) VALUES (7);
SELECT column_name, is_array FROM mediastore.attached ORDER BY 1;
SELECT media_attach('parts', 'picture');
SELECT media_detach('parts', 'picture');
SELECT media_detach('parts', 'picture');
INSERT INTO parts (id) VALUES (7);

-- the type must be right, and stay so
CREATE DOMAIN picture_domain AS bytea;
CREATE DOMAIN picture_domain_2 AS picture_domain;
CREATE DOMAIN album AS bytea[];
CREATE TABLE kinds (b picture_domain_2, a album, c text, d picture_domain[], g bytea GENERATED ALWAYS AS (b) STORED);
SELECT media_attach('kinds', 'b');
SELECT media_attach('kinds', 'a');
SELECT column_name, is_array FROM mediastore.attached WHERE relation = 'kinds'::regclass ORDER BY 1;
SELECT media_attach('kinds', 'c');
SELECT media_attach('kinds', 'd');
SELECT media_attach('kinds', 'g');
SELECT media_attach('kinds', 'none');
SELECT media_attach('kinds', 'ctid');
SELECT media_attach('kinds', NULL);
SELECT media_attach(NULL, 'b');
SELECT media_attach('kinds', 'b', quality => NULL);
SELECT media_attach('kinds', 'b', quality => 0);
SELECT media_attach('kinds', 'b', alpha => 'maybe');
SELECT media_attach('kinds', 'b', quality => 20, min_quality => 30);
SELECT media_attach('none', 'b');
SELECT media_attach(0, 'b');
SELECT media_detach('kinds', 'none');
SELECT media_detach('kinds', 'ctid');
SELECT media_detach('kinds', NULL);
SELECT media_detach(NULL, 'b');
SELECT media_detach(0, 'b');
CREATE TRIGGER mine BEFORE INSERT ON kinds FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('c');
INSERT INTO kinds (c) VALUES ('text');
DROP TABLE kinds;
DROP DOMAIN album, picture_domain_2, picture_domain;

-- the relation, too
CREATE VIEW a_view AS SELECT other FROM parts;
CREATE MATERIALIZED VIEW a_matview AS SELECT other FROM parts;
CREATE FOREIGN DATA WRAPPER attach_nothing;
CREATE SERVER attach_nowhere FOREIGN DATA WRAPPER attach_nothing;
CREATE FOREIGN TABLE a_foreign (other bytea) SERVER attach_nowhere;
SELECT media_attach('a_view', 'other');
SELECT media_attach('a_matview', 'other');
SELECT media_attach('a_foreign', 'other');
SELECT media_detach('a_view', 'other');
SELECT media_attach('parts_pkey', 'id');
DROP FOREIGN TABLE a_foreign;

-- whose it is
CREATE ROLE regress_mediastore_owner;
CREATE ROLE regress_mediastore_guest;
GRANT USAGE ON SCHEMA attach TO regress_mediastore_owner, regress_mediastore_guest;
GRANT ALL ON parts TO regress_mediastore_guest;
ALTER TABLE parts OWNER TO regress_mediastore_owner;
SET ROLE regress_mediastore_guest;
SELECT media_attach('parts', 'other');
SELECT media_detach('parts', 'more');
SELECT relation, column_name FROM mediastore.attached ORDER BY 1, 2;
SET ROLE regress_mediastore_owner;
SELECT media_attach('parts', 'other');
SELECT media_detach('parts', 'more');
RESET ROLE;

-- under another's rights, and another search_path, where names are taken
CREATE SCHEMA attach_trap;
CREATE FUNCTION attach_trap.media_compress_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END';
CREATE TABLE attach_trap.parts (other bytea);
GRANT CREATE ON SCHEMA attach TO regress_mediastore_owner;
SET ROLE regress_mediastore_owner;
CREATE FUNCTION attach_it(name) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = attach_trap
	AS 'SELECT public.media_attach(''attach.parts'', $1)';
RESET ROLE;
SET ROLE regress_mediastore_guest;
SELECT attach_it('more');
RESET ROLE;
SELECT * FROM triggers;
SELECT media_detach('parts', 'other');
SELECT media_detach('parts', 'more');
DROP FUNCTION attach_it;

-- partitions have their parent's; their own would be in its way
CREATE TABLE album (id int, name text, image bytea) PARTITION BY RANGE (id);
CREATE TABLE album_1 (gone int, image bytea, name text, id int);
ALTER TABLE album_1 DROP gone;
SELECT media_attach('album_1', 'image', max_dimension => 16);
ALTER TABLE album ATTACH PARTITION album_1 FOR VALUES FROM (0) TO (100);
CREATE TABLE album_2 PARTITION OF album FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);
CREATE TABLE album_2a PARTITION OF album_2 FOR VALUES FROM (100) TO (150);
CREATE FOREIGN TABLE album_3 PARTITION OF album FOR VALUES FROM (200) TO (300) SERVER attach_nowhere;
CREATE TRIGGER media_compress_image BEFORE INSERT ON album_2a FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT media_attach('album_2', 'image', max_dimension => 16);
SELECT * FROM triggers;
SELECT media_attach('album', 'image', max_dimension => 8);
SELECT media_attach('album', 'image', max_dimension => 8);
CREATE TABLE album_2b PARTITION OF album_2 FOR VALUES FROM (150) TO (200);
SELECT * FROM triggers;
SELECT * FROM storage WHERE relation::text LIKE 'album%';
SELECT * FROM mediastore.attached;
SELECT media_attach('album_1', 'image');
SELECT media_attach('album_2', 'image');
SELECT media_detach('album_2a', 'image');
SELECT media_attach('album', 'image', max_dimension => 4);
INSERT INTO album SELECT n, NULL, data FROM picture, generate_series(50, 170, 50) n WHERE picture.name = 'jpeg 32x16';
SELECT tableoid::regclass, id, media_width(image) FROM ONLY album_1 UNION
	SELECT tableoid::regclass, id, media_width(image) FROM album_2 ORDER BY 2;

-- a partition whose trigger does not fire is not as it should be
ALTER TABLE album_1 DISABLE TRIGGER media_compress_image_1;
ALTER TABLE ONLY album_2 ENABLE REPLICA TRIGGER media_compress_image_1;
ALTER TABLE album_2b ENABLE ALWAYS TRIGGER media_compress_image_1;
SELECT media_attach('album', 'image', max_dimension => 4);
SELECT media_attach('album', 'image', max_dimension => 4);
SELECT relation, tgname, enabled FROM triggers WHERE clone;
SELECT media_detach('album', 'image');
SELECT * FROM triggers;
DROP TABLE album;

-- plain children have none from theirs
CREATE TABLE thing (id int, image bytea);
CREATE TABLE thing_a (a int) INHERITS (thing);
CREATE TABLE thing_b (b int) INHERITS (thing);
CREATE TABLE thing_ab () INHERITS (thing_a, thing_b);
CREATE FOREIGN TABLE thing_f () INHERITS (thing) SERVER attach_nowhere;
SELECT media_attach('thing_b', 'image', quality => 50);
SELECT media_attach('thing', 'image');
SELECT media_attach('thing', 'image');
CREATE TABLE thing_c () INHERITS (thing);
SELECT media_attach('thing', 'image');
SELECT * FROM triggers;
SELECT media_detach('thing_a', 'image');
SELECT media_detach('thing', 'image');
SELECT * FROM triggers;
ALTER TABLE thing_ab OWNER TO regress_mediastore_guest;
ALTER TABLE thing OWNER TO regress_mediastore_owner;
SET ROLE regress_mediastore_owner;
\set VERBOSITY terse
SELECT media_attach('thing', 'image');
RESET ROLE;
SELECT * FROM triggers;
DROP TABLE thing CASCADE;

-- a table of one's own session, a rewrite, a name in use, and a table in use
CREATE TEMPORARY TABLE mine (image bytea);
SET client_min_messages = warning;
SELECT media_attach('mine', 'image');
RESET client_min_messages;
INSERT INTO mine SELECT data FROM picture WHERE name = 'jpeg 32x16';
SELECT media_format(image) FROM mine;
SELECT media_attach('parts', 'other') FROM parts LIMIT 1;

-- all in one transaction, or none of it
CREATE TABLE fresh (id int, image bytea);
BEGIN;
SELECT media_attach('fresh', 'image');
SELECT relation, column_name FROM mediastore.attached WHERE relation = 'fresh'::regclass;
ROLLBACK;
SELECT relation, column_name FROM mediastore.attached WHERE relation = 'fresh'::regclass;
SELECT * FROM storage WHERE relation = 'fresh'::regclass;

-- what the view reads
SELECT mediastore.trigger_arguments('\x');
SELECT mediastore.trigger_arguments('a\000\000bc\000');
SELECT mediastore.trigger_arguments('a');
SELECT mediastore.trigger_arguments(NULL);

SET client_min_messages = warning;
DROP SCHEMA attach, attach_trap CASCADE;
DROP FOREIGN DATA WRAPPER attach_nothing CASCADE;
DROP ROLE regress_mediastore_owner, regress_mediastore_guest;
