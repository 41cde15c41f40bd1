-- what comes into an attached column is compressed
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


CREATE SCHEMA trigger;
SET search_path = trigger, public;
SET client_min_messages = warning;

-- how many pictures the codec has been asked for since the last time
CREATE TABLE asked (requests int8);
CREATE FUNCTION codec_requests() RETURNS int8 LANGUAGE plpgsql AS $$
DECLARE
	total int8 := COALESCE((SELECT requests FROM mediastore.helper), 0);
	result int8 := total - COALESCE((SELECT requests FROM asked), 0);
BEGIN
	DELETE FROM asked;
	INSERT INTO asked VALUES (total);
	RETURN result;
END $$;
CREATE FUNCTION picture(wanted text) RETURNS bytea LANGUAGE sql AS 'SELECT data FROM picture WHERE name = wanted';

CREATE TABLE parts (id int PRIMARY KEY, gone int, name text, image bytea);
ALTER TABLE parts DROP gone;
SELECT FROM media_attach('parts', 'image', max_dimension => 8);

-- INSERT
INSERT INTO parts VALUES (1, 'a', picture('jpeg 32x16')), (2, 'b', NULL), (3, 'c', picture('webp 5x3, lossless'));
SELECT codec_requests();
SELECT id, name, (media_info(image)).format, media_width(image), media_height(image), image = picture('webp 5x3, lossless') AS kept
	FROM parts ORDER BY id;

-- UPDATE: what is the same asks no codec, by whatever way it comes
UPDATE parts SET name = name || 'x';
UPDATE parts SET image = image;
UPDATE parts SET image = image || '';
UPDATE parts p SET image = q.image FROM parts q WHERE p.id = q.id;
UPDATE parts SET id = id + 10, image = image;
UPDATE parts SET image = NULL WHERE id = 12;
SELECT codec_requests();
UPDATE parts SET image = picture('png 3x2') WHERE id IN (12, 13);
SELECT codec_requests();
UPDATE parts SET image = NULL WHERE id = 12;
SELECT id, name, media_width(image) FROM parts ORDER BY id;

-- out of line, in and out of other tables
CREATE FUNCTION long_webp(seed int) RETURNS bytea LANGUAGE sql AS $$
	SELECT media_compress('\x424d36300000000000003600000028000000400000004000000001001800000000000030000000000000000000000000000000000000'
		|| string_agg(sha256(int4send(seed) || int4send(n)), '' ORDER BY n), max_bytes => 1000000, quality => 100, lossless => 'always')
		FROM generate_series(1, 384) n
$$;
CREATE TABLE long (id int PRIMARY KEY, n int, image bytea);
CREATE TABLE other (image bytea);
SELECT FROM media_attach('long', 'image');
INSERT INTO long VALUES (1, 1, long_webp(1));
SELECT pg_column_size(image) > 10000 AS out_of_line, image = long_webp(1) AS kept, media_width(image) FROM long;
INSERT INTO other SELECT image FROM long;
SELECT codec_requests() > 0;
UPDATE long SET n = n + 1;
UPDATE long SET n = n + 1, image = image;
UPDATE long SET image = other.image FROM other;
UPDATE long SET image = image || '';
SELECT codec_requests();
UPDATE long SET image = long_webp(2);
SELECT codec_requests();
SELECT image = long_webp(2) AS kept FROM long;

-- a row of before the column was attached is compressed by an UPDATE of it, and only of it
SELECT FROM media_detach('parts', 'image');
INSERT INTO parts VALUES (4, 'd', picture('jpeg 32x16'));
INSERT INTO parts SELECT 5, 'e', picture('jpeg 32x16') || string_agg(sha256(int4send(n)), '') FROM generate_series(1, 1000) n;
SELECT FROM media_attach('parts', 'image', max_dimension => 8);
SELECT codec_requests() >= 0;
UPDATE parts SET name = 'd' WHERE id = 4;
SELECT codec_requests(), (SELECT media_format(image) FROM parts WHERE id = 4);
UPDATE parts SET image = image WHERE id = 4;
SELECT codec_requests(), (SELECT media_format(image) FROM parts WHERE id = 4);
UPDATE parts SET image = image WHERE id = 5;
SELECT codec_requests(), (SELECT media_width(image) FROM parts WHERE id = 5);
SELECT FROM media_attach('parts', 'image', max_dimension => 4);
UPDATE parts SET image = image;
SELECT codec_requests(), (SELECT max(media_width(image)) FROM parts);

-- ON CONFLICT and MERGE
DELETE FROM parts;
INSERT INTO parts VALUES (1, 'a', picture('jpeg 32x16')) ON CONFLICT (id) DO UPDATE SET image = excluded.image;
INSERT INTO parts VALUES (1, 'a', picture('png 3x2')) ON CONFLICT (id) DO UPDATE SET image = excluded.image;
SELECT media_width(image) FROM parts;
INSERT INTO parts VALUES (1, 'a', picture('jpeg 32x16')) ON CONFLICT (id) DO NOTHING;
INSERT INTO parts VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET image = picture('gif 4x4');
SELECT media_format(image), media_width(image) FROM parts;
SELECT codec_requests() > 0;
INSERT INTO parts VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
SELECT codec_requests();
MERGE INTO parts p USING (VALUES (1, picture('jpeg 32x16')), (2, picture('png 3x2'))) AS s (id, data) ON p.id = s.id
	WHEN MATCHED THEN UPDATE SET image = s.data WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'm', s.data);
SELECT id, name, media_format(image), media_width(image) FROM parts ORDER BY id;

-- options of all kinds
CREATE TABLE optional (image bytea);
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON optional FOR EACH ROW WHEN (new.image IS NOT NULL)
	EXECUTE FUNCTION media_compress_trigger('image', 'MAX_dimension=3', 'max_bytes=5000', 'quality=50', 'min_quality=10', 'effort=0',
		'alpha=#102030', 'lossless=never', 'animation=first');
INSERT INTO optional SELECT data FROM picture WHERE name IN ('png 2x2, alpha', 'gif 4x4, 2 frames', 'jpeg 32x16');
SELECT DISTINCT (i).format, (i).width, (i).has_alpha, (i).frames FROM (SELECT media_info(image) AS i FROM optional) t ORDER BY 1, 2;
DROP TABLE optional;

-- a generated column sees the result, a CHECK too
CREATE TABLE generated (id int PRIMARY KEY, image bytea CHECK (media_width(image) <= 8),
	info media_info GENERATED ALWAYS AS (media_info(image)) STORED,
	thumbnail bytea GENERATED ALWAYS AS (media_thumbnail(image, 2, 2, 'fill')) STORED);
SELECT FROM media_attach('generated', 'image', max_dimension => 8);
INSERT INTO generated (id, image) VALUES (1, picture('jpeg 32x16'));
SELECT id, (info).width, (info).format, media_width(thumbnail) FROM generated;
UPDATE generated SET image = picture('png 3x2');
SELECT id, (info).width, (info).format, media_width(thumbnail) FROM generated;
DROP TABLE generated;

-- partitions, of other column orders, and from one to the other
CREATE TABLE album (id int, image bytea) PARTITION BY RANGE (id);
CREATE TABLE album_1 (gone bytea, image bytea, id int);
ALTER TABLE album_1 DROP gone;
ALTER TABLE album ATTACH PARTITION album_1 FOR VALUES FROM (0) TO (100);
CREATE TABLE album_2 PARTITION OF album FOR VALUES FROM (100) TO (200);
SELECT FROM media_attach('album', 'image', max_dimension => 8);
INSERT INTO album VALUES (1, picture('jpeg 32x16')), (101, picture('jpeg 32x16'));
UPDATE album SET id = 102 - id;
SELECT tableoid::regclass, id, media_width(image) FROM album ORDER BY 2;
UPDATE album SET id = 102 - id, image = picture('png 3x2');
SELECT tableoid::regclass, id, media_width(image) FROM album ORDER BY 2;
INSERT INTO album_1 VALUES (picture('jpeg 32x16'), 2);
UPDATE album_1 SET id = id + 1 WHERE id = 2;
SELECT tableoid::regclass, id, media_width(image) FROM album_1 ORDER BY 2;
DROP TABLE album;

-- children
CREATE TABLE thing (id int, image bytea);
CREATE TABLE thing_a (a int) INHERITS (thing);
SELECT FROM media_attach('thing', 'image', max_dimension => 8);
INSERT INTO thing_a VALUES (1, picture('jpeg 32x16'), 1);
UPDATE thing SET image = picture('png 3x2');
SELECT tableoid::regclass, id, media_width(image) FROM thing;
DROP TABLE thing CASCADE;

-- domains: what comes in is checked before, what comes out after
CREATE DOMAIN small AS bytea CHECK (media_width(value) < 100);
CREATE DOMAIN smaller AS small CHECK (length(value) < 1000);
CREATE DOMAIN no_webp AS bytea CHECK (media_format(value) <> 'webp');
CREATE TABLE typed (image smaller, no no_webp);
SELECT FROM media_attach('typed', 'image');
SELECT FROM media_attach('typed', 'no');
INSERT INTO typed (image) VALUES (picture('jpeg 32x16')), (picture('png 3x2'));
SELECT media_format(image) FROM typed;
\set VERBOSITY terse
INSERT INTO typed (no) VALUES (picture('jpeg 32x16'));
\set VERBOSITY default
SELECT count(*) FROM typed;
DROP TABLE typed;
DROP DOMAIN smaller, small, no_webp;

-- row-level security: the result is what is checked
CREATE ROLE regress_mediastore_writer;
CREATE TABLE secured (who name DEFAULT current_user, image bytea);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secured USING (who = current_user) WITH CHECK (who = current_user AND media_width(image) <= 8);
GRANT ALL ON secured TO regress_mediastore_writer;
GRANT SELECT ON picture TO regress_mediastore_writer;
GRANT USAGE ON SCHEMA trigger TO regress_mediastore_writer;
SELECT FROM media_attach('secured', 'image', max_dimension => 8);
INSERT INTO secured VALUES ('another', picture('jpeg 32x16'));
SET ROLE regress_mediastore_writer;
INSERT INTO secured (image) VALUES (picture('jpeg 32x16'));
\set VERBOSITY terse
INSERT INTO secured VALUES ('another', picture('jpeg 32x16'));
\set VERBOSITY default
UPDATE secured SET image = picture('png 3x2');
RESET ROLE;
SELECT who, media_format(image), media_width(image) FROM secured ORDER BY who;
DROP TABLE secured;

-- other triggers before and after
CREATE TABLE busy (id int, image bytea, width int);
CREATE FUNCTION set_width() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.width := media_width(new.image); RETURN new; END';
CREATE FUNCTION set_image() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.image := trigger.picture(''jpeg 32x16''); RETURN new; END';
CREATE TRIGGER a BEFORE INSERT ON busy FOR EACH ROW WHEN (new.image IS NULL) EXECUTE FUNCTION set_image();
CREATE TRIGGER z BEFORE INSERT ON busy FOR EACH ROW EXECUTE FUNCTION set_width();
SELECT FROM media_attach('busy', 'image', max_dimension => 8);
INSERT INTO busy VALUES (1, picture('png 3x2')), (2, NULL);
SELECT id, media_format(image), width FROM busy ORDER BY id;

-- a trigger replaced in the middle of a statement: no one is confused afterwards
CREATE FUNCTION replace_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM media_attach('busy', 'image', max_dimension => 2 + new.id);
	RETURN new;
END $$;
CREATE TRIGGER b BEFORE INSERT ON busy FOR EACH ROW WHEN (new.id < 10) EXECUTE FUNCTION replace_it();
DELETE FROM busy;
INSERT INTO busy SELECT n, picture('jpeg 32x16') FROM generate_series(1, 3) n;
INSERT INTO busy VALUES (10, picture('jpeg 32x16'));
SELECT options FROM mediastore.attached WHERE relation = 'busy'::regclass;
SELECT id, media_width(image) FROM busy WHERE id = 10;
DROP TABLE busy;

-- COPY
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/trigger.data'
CREATE TABLE many (id int, image bytea);
SELECT FROM media_attach('many', 'image', max_dimension => 4);
COPY (SELECT n, '\x424d66000000000000003600000028000000040000000400000001001800000000003000000000000000000000000000000000000000'
	|| string_agg(int4send(n * 131071 + m), '' ORDER BY m) FROM generate_series(1, 1000) n, generate_series(1, 12) m GROUP BY n ORDER BY n)
	TO :'file';
COPY many FROM :'file';
SELECT count(*), count(DISTINCT image) > 500 AS various, min(media_format(image)), max(media_format(image)), max(media_width(image)) FROM many;
DROP TABLE many;

DROP SCHEMA trigger CASCADE;
DROP OWNED BY regress_mediastore_writer;
DROP ROLE regress_mediastore_writer;
