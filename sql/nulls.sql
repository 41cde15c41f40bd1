-- null in, null out
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


SELECT media_info(NULL) IS NULL AS info, media_format(NULL) IS NULL AS format, media_mime_type(NULL) IS NULL AS mime_type,
	media_width(NULL) IS NULL AS width, media_height(NULL) IS NULL AS height, media_is_image(NULL) IS NULL AS is_image,
	media_compress(NULL) IS NULL AS compress;
SELECT media_compress(NULL, max_dimension => 10, alpha => 'drop') IS NULL AS compress;

-- an option that is null by mistake must not make a picture null
SELECT media_compress(data, max_dimension => NULL) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(data, max_bytes => NULL) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(data, quality => NULL) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(data, min_quality => NULL) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(data, effort => NULL) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(data, alpha => NULL) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(data, lossless => NULL) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(data, animation => NULL) FROM picture WHERE name = 'png 3x2';
\set VERBOSITY sqlstate
SELECT media_compress(NULL, quality => NULL);
SELECT media_compress(data, quality => NULL) FROM picture WHERE name = 'png 3x2';
\set VERBOSITY default

-- no codec was started for that
SELECT count(*) FROM mediastore.helper;

-- as columns have them
CREATE TEMPORARY TABLE part (id int, image_data bytea[]);
INSERT INTO part SELECT 1, array_agg(data ORDER BY name) FROM picture WHERE name LIKE 'png%';
INSERT INTO part VALUES (2, ARRAY[NULL::bytea]), (3, NULL), (4, '{}');
SELECT id, (SELECT array_agg(media_format(media_compress(image)) ORDER BY n)
	FROM unnest(image_data) WITH ORDINALITY AS i (image, n)) AS formats FROM part ORDER BY id;
