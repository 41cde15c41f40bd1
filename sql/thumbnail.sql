-- media_thumbnail
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


-- nulls: a null picture is one, null options are errors whatever the picture
SELECT media_thumbnail(NULL, 10) IS NULL AS inside, media_thumbnail(NULL, 10, 10, 'cover', 50) IS NULL AS cover;
CREATE TEMPORARY TABLE one AS SELECT data FROM picture WHERE name = 'jpeg 32x16';
SELECT media_thumbnail(data, NULL) FROM one;
SELECT media_thumbnail(data, 10, fit => NULL) FROM one;
SELECT media_thumbnail(data, 10, quality => NULL) FROM one;
SELECT media_thumbnail(data, 10, fit => 'cover') FROM one;
SELECT media_thumbnail(data, 10, NULL, 'contain') FROM one;
SELECT media_thumbnail(data, 10, NULL, 'FILL') FROM one;
\set VERBOSITY sqlstate
SELECT media_thumbnail(NULL, NULL);
SELECT media_thumbnail(NULL, 10, fit => 'cover');
\set VERBOSITY default

-- options out of their range, and at its ends
SELECT media_thumbnail(data, 0) FROM one;
SELECT media_thumbnail(data, 16384) FROM one;
SELECT media_thumbnail(data, 10, 0) FROM one;
SELECT media_thumbnail(data, 10, -1) FROM one;
SELECT media_thumbnail(data, 10, 16384) FROM one;
SELECT media_thumbnail(data, 10, 10, 'outside') FROM one;
SELECT media_thumbnail(data, 10, 10, '') FROM one;
SELECT media_thumbnail(data, 10, 10, quality => 0) FROM one;
SELECT media_thumbnail(data, 10, 10, quality => 101) FROM one;
SELECT media_width(media_thumbnail(data, 1, 1, 'Inside', 1)) AS least,
		media_width(media_thumbnail(data, 16383, 16383, 'INSIDE', 100)) AS most FROM one;

-- the codec has seen those two, and nothing for nulls and errors
SELECT requests FROM mediastore.helper;

-- what is no picture, or not allowed
\set VERBOSITY sqlstate
SELECT media_thumbnail(data, 10) FROM picture WHERE name = 'text';
SELECT media_thumbnail(data, 10) FROM picture WHERE name = 'empty';
SELECT media_thumbnail(data, 10) FROM picture WHERE name = 'claim: png 100000x100000';
SELECT media_thumbnail(data, 10) FROM picture WHERE name = 'claim: heif 320x240';
SELECT media_thumbnail(data, 10) FROM picture WHERE name = 'claim: svg';
SELECT media_thumbnail(substr(data, 1, length(data) - 40), 10) FROM one;
\set VERBOSITY default

-- the size: smaller, larger, narrower, lower boxes
CREATE FUNCTION pg_temp.size(data bytea) RETURNS text LANGUAGE sql AS $$
	SELECT format('%sx%s%s', (i).width, (i).height, CASE WHEN (i).has_alpha THEN ', alpha' END)
		FROM (SELECT media_info(data) AS i OFFSET 0) AS t WHERE (i).orientation = 1 AND (i).frames = 1 AND (i).format = 'webp' $$;
SELECT name, width, height, pg_temp.size(media_thumbnail(data, width, height)) AS inside,
		pg_temp.size(media_thumbnail(data, width, height, 'cover')) AS cover,
		pg_temp.size(media_thumbnail(data, width, height, 'contain')) AS contain,
		pg_temp.size(media_thumbnail(data, width, height, 'fill')) AS fill
	FROM picture, (VALUES (8, 8), (7, 5), (20, 20), (10, 100), (100, 10), (64, 64), (1, 1)) AS box (width, height)
	WHERE name LIKE 'jpeg%' ORDER BY name, width, height;
SELECT name, width, pg_temp.size(media_thumbnail(data, width)) AS size
	FROM picture, unnest(ARRAY[1, 4, 16, 20, 32, 100]) width WHERE name LIKE 'jpeg%' ORDER BY name, width;

-- every format; of an animation the first frame
SELECT name, pg_temp.size(media_thumbnail(data, 2)) AS inside, pg_temp.size(media_thumbnail(data, 2, 2, 'cover')) AS cover,
		pg_temp.size(media_thumbnail(data, 9, 7, 'contain')) AS contain, pg_temp.size(media_thumbnail(data, 9, 7, 'fill')) AS fill
	FROM picture WHERE name NOT LIKE 'claim%' AND name NOT IN ('text', 'empty') ORDER BY name;
SELECT media_thumbnail(data, 4) = media_compress(data, animation => 'first', quality => 80) AS first
	FROM picture WHERE name LIKE 'gif%frames';

-- A WebP of that size stays as it is; what does not belong in it goes.
SELECT name, media_thumbnail(data, 5) = data AS wide, media_thumbnail(data, 5, 3, 'cover') = data AS exact,
		media_thumbnail(data, 100, 100) = data AS large, media_thumbnail(data, 4) = data AS narrow
	FROM picture WHERE name LIKE 'webp%' ORDER BY name;

-- Which part: of red, white and blue bands of 30 x 60 pixels, the white one.
CREATE FUNCTION pg_temp.bmp(width int, height int, line text) RETURNS bytea LANGUAGE sql AS $$
	SELECT decode('424d000000000000000036000000' || '28000000' || lpad(to_hex(width), 2, '0') || '000000'
		|| lpad(to_hex(height), 2, '0') || '000000' || '01001800' || repeat('00', 24)
		|| repeat(line || repeat('00', width % 4), height), 'hex') $$;
CREATE TEMPORARY TABLE bands AS
	SELECT pg_temp.bmp(90, 60, repeat('0000ff', 30) || repeat('ffffff', 30) || repeat('ff0000', 30)) AS across,
		pg_temp.bmp(30, 60, repeat('ffffff', 30)) AS white;
SELECT pg_temp.size(across) IS NULL AS no_webp, media_width(across) AS width, media_width(white) AS narrow FROM bands;
SELECT media_thumbnail(across, 30, 60, 'cover') = media_thumbnail(white, 30) AS middle,
		media_thumbnail(across, 120, 240, 'cover') = media_thumbnail(white, 30) AS largest,
		media_thumbnail(across, 90, 60, 'cover') = media_thumbnail(across, 90) AS whole
	FROM bands;

-- stretched, to more and to less
SELECT media_thumbnail(white, 100, 7, 'fill') = media_thumbnail(pg_temp.bmp(100, 7, repeat('ffffff', 100)), 100) AS stretched
	FROM bands;

-- what lies around it is transparent, and it lies in the middle
SELECT media_thumbnail(around, 30, 60, 'cover') = media_thumbnail(white, 30) AS middle,
		pg_temp.size(media_thumbnail(around, 30, 63, 'cover')) AS more
	FROM bands, media_thumbnail(white, 30, 101, 'contain') AS around;
SELECT media_compress(media_thumbnail(white, 90, 60, 'contain'), alpha => '#ffffff')
		= media_thumbnail(pg_temp.bmp(90, 60, repeat('ffffff', 90)), 90) AS flattened
	FROM bands;

-- less quality, less bytes
SELECT length(media_thumbnail(noise, 64, quality => 1)) < length(media_thumbnail(noise, 64)) AS less,
		length(media_thumbnail(noise, 64)) < length(media_thumbnail(noise, 64, quality => 100)) AS more
	FROM (SELECT substr(pg_temp.bmp(64, 64, ''), 1, 54) || string_agg(sha256(int4send(n)), '' ORDER BY n)
		FROM generate_series(1, 64 * 64 * 3 / 32) n) AS t (noise);

-- in a column that keeps itself
CREATE TEMPORARY TABLE photo (id int PRIMARY KEY, data bytea,
	small bytea GENERATED ALWAYS AS (media_thumbnail(data, 16, 16, 'cover')) STORED);
INSERT INTO photo SELECT 1, data FROM one;
INSERT INTO photo VALUES (2, NULL);
INSERT INTO photo SELECT 3, media_thumbnail(white, 16, 16, 'fill') FROM bands;
SELECT id, pg_temp.size(small) AS size, small = data AS same FROM photo ORDER BY id;
UPDATE photo SET data = bands.white FROM bands WHERE id < 3;
SELECT id, pg_temp.size(small) AS size, small = data AS same FROM photo ORDER BY id;
\set VERBOSITY sqlstate
UPDATE photo SET data = 'no picture' WHERE id = 1;
\set VERBOSITY default
SELECT id, pg_temp.size(small) AS size FROM photo WHERE id = 1;
