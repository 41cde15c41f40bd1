-- what does not come in, and what is said of it
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


CREATE SCHEMA trigger_errors;
SET search_path = trigger_errors, public;
SET client_min_messages = warning;
CREATE FUNCTION picture(wanted text) RETURNS bytea LANGUAGE sql AS 'SELECT data FROM picture WHERE name = wanted';
INSERT INTO picture VALUES
	('png 0x0', '\x89504e470d0a1a0a0000000d4948445200000000000000000802000000b4e9eb45'),
	('gif 0x0', '\x47494638396100000000000000'),
	('200 megapixels', '\x89504e470d0a1a0a0000000d4948445200004e200000271008020000007646dff5'),
	('video', '\x000000186674797069736f6d0000020069736f6d69736f32000000086d646174'),
	('cut short', substr(picture('png 3x2'), 1, 60));

CREATE TABLE parts (id int PRIMARY KEY, image bytea, more bytea[]);
SELECT FROM media_attach('parts', 'image');
SELECT FROM media_attach('parts', 'more');
INSERT INTO parts VALUES (0, picture('png 3x2'), ARRAY[picture('png 3x2')]);

-- a bad picture fails the statement, and says where and why
INSERT INTO parts VALUES (1, picture('text'));
INSERT INTO parts VALUES (1, picture('empty'));
INSERT INTO parts VALUES (1, picture('png 0x0'));
INSERT INTO parts VALUES (1, picture('gif 0x0'));
INSERT INTO parts VALUES (1, picture('video'));
INSERT INTO parts VALUES (1, picture('200 megapixels'));
INSERT INTO parts VALUES (1, picture('claim: svg'));
INSERT INTO parts VALUES (1, picture('claim: heif 320x240'));
UPDATE parts SET image = picture('text');
INSERT INTO parts VALUES (1, picture('png 3x2')), (2, picture('text')), (3, picture('png 3x2'));
INSERT INTO parts SELECT n, CASE n WHEN 5 THEN picture('text') ELSE picture('png 3x2') END FROM generate_series(1, 9) n;
SELECT count(*) FROM parts;

-- in arrays it is counted as they are subscripted
INSERT INTO parts VALUES (1, NULL, ARRAY[picture('png 3x2'), NULL, picture('text')]);
INSERT INTO parts VALUES (1, NULL, '[-2:-1]={NULL,bad}');
INSERT INTO parts VALUES (1, NULL, ARRAY[[picture('png 3x2')], [picture('png 3x2')]]);
UPDATE parts SET more = more || '{bad}';
UPDATE parts SET more[4] = picture('200 megapixels');
SELECT id, array_dims(more) FROM parts;

-- a cancel is told where it found us, too: at the first element
CREATE TABLE cancelled (images bytea[], sent boolean);
SELECT FROM media_attach('cancelled', 'images');
INSERT INTO cancelled VALUES (ARRAY[picture('png 3x2')], false);
INSERT INTO cancelled VALUES ('[7:8]={bad,bad}', pg_cancel_backend(pg_backend_pid()));

-- SQLSTATE and fields for programs; what goes on goes on
CREATE FUNCTION attempt(id int, image bytea, more bytea[] DEFAULT NULL) RETURNS TABLE (state text, schema text, tab text, col text) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO parts VALUES ($1, $2, $3);
	state := '00000';
	RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, schema = SCHEMA_NAME, tab = TABLE_NAME, col = COLUMN_NAME;
	RETURN NEXT;
END $$;
SELECT name, (attempt(100 + length(name), data)).* FROM picture WHERE name IN
	('text', 'empty', 'png 0x0', 'gif 0x0', 'video', '200 megapixels', 'claim: svg', 'claim: heif 320x240', 'cut short', 'jpeg 32x16') ORDER BY name;
SELECT name, (attempt(200 + length(name), NULL, ARRAY[NULL, data])).* FROM picture WHERE name IN
	('text', 'empty', 'video', '200 megapixels', 'cut short', 'jpeg 32x16') ORDER BY name;
SELECT (attempt(300, NULL, ARRAY[[NULL, picture('text')]])).*;
SELECT id, media_format(image), media_format(more[2]) FROM parts ORDER BY id;

-- a partition is called by its own name
CREATE TABLE album (id int, image bytea) PARTITION BY LIST (id);
CREATE TABLE "Album 1" PARTITION OF album FOR VALUES IN (1);
SELECT FROM media_attach('album', 'image');
INSERT INTO album VALUES (1, picture('text'));

-- COPY of a thousand with a bad one: none of them
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/trigger_errors.data'
CREATE TABLE many (id int, image bytea);
SELECT FROM media_attach('many', 'image', max_dimension => 2);
COPY (SELECT n, CASE n WHEN 501 THEN '\x00' ELSE '\x424d66000000000000003600000028000000040000000400000001001800000000003000000000000000000000000000000000000000'
	|| string_agg(int4send(n * 131071 + m), '' ORDER BY m) END FROM generate_series(1, 1000) n, generate_series(1, 12) m GROUP BY n ORDER BY n)
	TO :'file';
\set VERBOSITY terse
COPY many FROM :'file';
\set VERBOSITY default
SELECT count(*) FROM many;

-- called wrongly
CREATE TABLE wrong (image bytea);
CREATE VIEW wrong_view AS SELECT image FROM wrong;
INSERT INTO wrong VALUES (picture('png 3x2'));
SELECT media_compress_trigger();
CREATE TRIGGER t AFTER INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('image');
INSERT INTO wrong VALUES (picture('png 3x2'));
CREATE OR REPLACE TRIGGER t BEFORE INSERT ON wrong FOR EACH STATEMENT EXECUTE FUNCTION media_compress_trigger('image');
INSERT INTO wrong VALUES (picture('png 3x2'));
CREATE OR REPLACE TRIGGER t BEFORE DELETE ON wrong FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('image');
DELETE FROM wrong;
CREATE OR REPLACE TRIGGER t BEFORE TRUNCATE ON wrong FOR EACH STATEMENT EXECUTE FUNCTION media_compress_trigger('image');
TRUNCATE wrong;
DROP TRIGGER t ON wrong;
CREATE TRIGGER t INSTEAD OF INSERT ON wrong_view FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('image');
INSERT INTO wrong_view VALUES (picture('png 3x2'));
DROP VIEW wrong_view;

-- with wrong arguments, whatever the row
CREATE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION media_compress_trigger();
INSERT INTO wrong VALUES (NULL);
CREATE OR REPLACE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('picture');
INSERT INTO wrong VALUES (NULL);
CREATE OR REPLACE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('ctid');
INSERT INTO wrong VALUES (NULL);
CREATE OR REPLACE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('image', 'quality');
INSERT INTO wrong VALUES (NULL);
CREATE OR REPLACE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('image', 'size=5');
INSERT INTO wrong VALUES (NULL);
CREATE OR REPLACE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('image', 'quality=high');
INSERT INTO wrong VALUES (NULL);
CREATE OR REPLACE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('image', 'quality=5', 'quality=6');
INSERT INTO wrong VALUES (NULL);
CREATE OR REPLACE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION media_compress_trigger(image, 'quality=5');
INSERT INTO wrong VALUES (NULL), (picture('jpeg 32x16'));
SELECT media_format(image) FROM wrong;

-- the column changes under an open session
ALTER TABLE wrong ALTER image TYPE text USING 'text', ADD other bytea;
INSERT INTO wrong VALUES ('text');
ALTER TABLE wrong ALTER image TYPE bytea[] USING NULL;
INSERT INTO wrong VALUES (ARRAY[picture('jpeg 32x16')]);
SELECT media_format(image[1]) FROM wrong WHERE image IS NOT NULL;
ALTER TABLE wrong DROP image;
INSERT INTO wrong VALUES (picture('jpeg 32x16'));
ALTER TABLE wrong RENAME other TO image;
INSERT INTO wrong VALUES (picture('jpeg 32x16'));
SELECT media_format(image) FROM wrong WHERE image IS NOT NULL;
ALTER TABLE wrong RENAME image TO picture;
INSERT INTO wrong VALUES (picture('jpeg 32x16'));
ALTER TABLE wrong ADD image bytea GENERATED ALWAYS AS (picture) STORED;
INSERT INTO wrong VALUES (picture('jpeg 32x16'));

-- nothing is left behind of a failure: the next statement works
INSERT INTO parts VALUES (999, picture('jpeg 32x16'), ARRAY[picture('jpeg 32x16')]);
SELECT media_format(image), media_format(more[1]) FROM parts WHERE id = 999;

DROP SCHEMA trigger_errors CASCADE;
