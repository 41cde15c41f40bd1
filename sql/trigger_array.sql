-- arrays of pictures
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


CREATE SCHEMA trigger_array;
SET search_path = trigger_array, public;
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

CREATE TABLE parts (id int PRIMARY KEY, images bytea[]);
SELECT FROM media_attach('parts', 'images', max_dimension => 8);
CREATE VIEW elements AS SELECT id, array_dims(images) AS dims, n, media_format(images[n]) AS format, media_width(images[n]) AS width
	FROM parts LEFT JOIN LATERAL generate_subscripts(images, 1) n ON true ORDER BY id, n;

-- INSERT: nulls and bounds are kept, no array and an empty one too
INSERT INTO parts VALUES
	(1, ARRAY[picture('jpeg 32x16'), NULL, picture('png 3x2')]),
	(2, ARRAY[NULL, picture('jpeg 32x16'), NULL]),
	(3, NULL),
	(4, '{}'),
	(5, '{NULL,NULL}'),
	(6, ('[-1:1]={NULL,"' || replace(picture('jpeg 32x16')::text, '\', '\\') || '",NULL}')::bytea[]),
	(7, ARRAY[picture('webp 5x3, lossless'), picture('webp 5x3, lossy')]),
	(8, ARRAY[picture('webp 5x3, lossless'), picture('jpeg 32x16'), picture('webp 5x3, lossy'), NULL]);
SELECT codec_requests();
SELECT * FROM elements;
SELECT id, images[1] = picture('webp 5x3, lossless') AS kept FROM parts WHERE id > 6 ORDER BY id;

-- UPDATE: what is the same asks no codec, wherever it has gone
UPDATE parts SET images = images;
UPDATE parts SET images = images || '{}';
UPDATE parts SET images = ARRAY[images[3], images[1], NULL, images[1]] WHERE id = 1;
UPDATE parts SET images = array_remove(images, NULL) WHERE id = 2;
UPDATE parts SET images = images[2:3] WHERE id = 8;
UPDATE parts SET images = NULL WHERE id = 5;
UPDATE parts SET images = '{}' WHERE id = 6;
SELECT codec_requests();
SELECT * FROM elements;

-- one more, one other: that one is asked for
UPDATE parts SET images = images || picture('gif 4x4') WHERE id = 1;
SELECT codec_requests();
UPDATE parts SET images = picture('gif 4x4') || images WHERE id = 1;
SELECT codec_requests();
UPDATE parts SET images[1] = picture('png 3x2') WHERE id IN (1, 3, 4);
SELECT codec_requests();
UPDATE parts SET images = ARRAY[picture('webp 5x3, lossless')] WHERE id = 2;
SELECT codec_requests();
SELECT * FROM elements WHERE id <= 4;

-- out of line: 12 kB each, and what PL/pgSQL has in memory
CREATE FUNCTION long_webp(seed int) RETURNS bytea LANGUAGE sql AS $$
	SELECT media_compress('\x424d36300000000000003600000028000000400000004000000001001800000000000030000000000000000000000000000000000000'
		|| string_agg(sha256(int4send(seed) || int4send(n)), '' ORDER BY n), max_bytes => 1000000, quality => 100, lossless => 'always')
		FROM generate_series(1, 384) n
$$;
CREATE TABLE long (id int PRIMARY KEY, images bytea[]);
SELECT FROM media_attach('long', 'images');
INSERT INTO long VALUES (1, ARRAY[long_webp(1), NULL, long_webp(2), long_webp(3)]);
SELECT codec_requests();
UPDATE long SET images = images, id = 2;
UPDATE long SET images = ARRAY[images[3], images[4], images[1]];
UPDATE long SET images = images || picture('png 3x2');
SELECT codec_requests();
DO $$
DECLARE
	pictures bytea[] := (SELECT images FROM long);
BEGIN
	pictures[5] := pictures[1];
	pictures[1] := trigger_array.picture('jpeg 32x16');
	UPDATE long SET images = pictures;
END $$;
SELECT codec_requests();
SELECT media_width(images[1]), images[5] = long_webp(2), images[2] = long_webp(3), images[3] = long_webp(1), media_width(images[4])
	FROM long;

-- rows of before the column was attached
SELECT FROM media_detach('parts', 'images');
ALTER TABLE parts ALTER images SET STORAGE extended;
DELETE FROM parts;
INSERT INTO parts VALUES
	(1, ARRAY[picture('jpeg 32x16'), picture('webp 5x3, lossy'), picture('jpeg 32x16')]),
	(2, ARRAY[[picture('jpeg 32x16')], [picture('png 3x2')]]),
	(3, array_fill(picture('jpeg 32x16') || convert_to(repeat('x', 10000), 'UTF8'), '{5}')),
	(4, array_fill(picture('webp 5x3, lossless'), '{300}'));
SELECT id, pg_column_compression(images) IS NOT NULL AS compressed FROM parts ORDER BY id;
SELECT FROM media_attach('parts', 'images', max_dimension => 8);
SELECT codec_requests() >= 0;
UPDATE parts SET images = images WHERE id = 1;
SELECT codec_requests();
UPDATE parts SET images = ARRAY[images[2][1], picture('jpeg 32x16')] WHERE id = 2;
SELECT codec_requests();
UPDATE parts SET images = images WHERE id = 3;
SELECT codec_requests();
UPDATE parts SET images = images WHERE id = 4;
SELECT codec_requests();
SELECT pg_column_compression(images) IS NOT NULL AS compressed FROM parts WHERE id = 4;
UPDATE parts SET images = images || NULL::bytea WHERE id = 4;
SELECT codec_requests();
SELECT * FROM elements WHERE id < 4;

-- a domain over an array
CREATE DOMAIN album AS bytea[] CHECK (cardinality(value) <= 3 AND media_width(value[1]) <> 7);
CREATE TABLE typed (images album);
SELECT FROM media_attach('typed', 'images', max_dimension => 7);
INSERT INTO typed VALUES (ARRAY[picture('png 3x2'), picture('jpeg 32x16')]);
SELECT media_width(images[1]), media_width(images[2]) FROM typed;
\set VERBOSITY terse
INSERT INTO typed VALUES (ARRAY[picture('jpeg 32x16')]);
\set VERBOSITY default
DROP TABLE typed;
DROP DOMAIN album;

-- COPY, partitions, a generated column
CREATE TABLE album (id int, images bytea[], count int GENERATED ALWAYS AS (media_count(images)) STORED) PARTITION BY LIST (id);
CREATE TABLE album_1 PARTITION OF album FOR VALUES IN (1);
SELECT FROM media_attach('album', 'images', max_dimension => 8);
COPY album (id, images) FROM stdin;
1	{NULL,"\\\\x89504e470d0a1a0a0000000d49484452000000030000000208020000001216f14d0000001549444154789c633c2127c7c0c0c0c0c0c0c4000300132e01086ac065610000000049454e44ae426082"}
1	{}
\.
SELECT count, media_format(images[2]) FROM album ORDER BY count;
DROP TABLE album;

-- many elements
UPDATE parts SET images = array_fill(picture('webp 5x3, lossy'), '{300}') || array_fill(NULL::bytea, '{3000}') WHERE id = 3;
SELECT codec_requests();
UPDATE parts SET images = NULL::bytea || images || NULL::bytea WHERE id = 3;
SELECT codec_requests();
SELECT media_count(images), media_width(media_element(images, 300)), media_element(images, 302) IS NULL FROM parts WHERE id = 3;

DROP SCHEMA trigger_array CASCADE;
