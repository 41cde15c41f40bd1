-- what is no picture, and what is none of ours
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


SELECT media_info(data) FROM picture WHERE name = 'text';
SELECT media_info(data) FROM picture WHERE name = 'empty';
SELECT media_width(data) FROM picture WHERE name = 'text';
SELECT media_height(data) FROM picture WHERE name = 'text';
SELECT media_compress(data) FROM picture WHERE name = 'text';
SELECT media_compress(data) FROM picture WHERE name = 'empty';

-- the messages depend on the format's reader, the states do not
\set VERBOSITY sqlstate
SELECT media_info(data) FROM picture WHERE name = 'text';
SELECT media_compress(data) FROM picture WHERE name = 'text';
SELECT media_compress(data) FROM picture WHERE name = 'claim: png 100000x100000';
SELECT media_compress(data, quality => 0) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(data, animation => 'reject') FROM picture WHERE name LIKE 'gif%frames';
SET mediastore.formats = 'png';
SELECT media_compress(data) FROM picture WHERE name = 'jpeg 32x16';
RESET mediastore.formats;
SET mediastore.max_input_bytes = 10;
SELECT media_compress(data) FROM picture WHERE name = 'png 3x2';
RESET mediastore.max_input_bytes;
SELECT media_info(data) FROM picture WHERE name = 'claim: svg';
SELECT media_compress(data) FROM picture WHERE name = 'claim: svg';
SELECT media_info(data) FROM picture WHERE name = 'claim: heif';
SELECT media_info(substr(data, 1, 20)) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(substr(data, 1, 20)) FROM picture WHERE name = 'png 3x2';

-- a good header, then nothing: the codec finds out
SELECT media_is_image(substr(data, 1, 60)) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(substr(data, 1, 60)) FROM picture WHERE name = 'png 3x2';
SELECT media_compress(overlay(data PLACING '\xffffffff' FROM 50)) FROM picture WHERE name = 'png 3x2';

-- no picture is half there: a JPEG cut in its pixels, an animation in its last frame
SELECT media_compress(substr(data, 1, length(data) - 4)) FROM picture WHERE name = 'jpeg 32x16';
SELECT media_compress(substr(data, 1, length(data) - 6)) FROM picture WHERE name = 'jpeg 32x16';
SELECT media_compress(substr(data, 1, length(data) - 10)) FROM picture WHERE name = 'gif 4x4, 2 frames';
\set VERBOSITY default

-- never an error: these answer questions
SELECT name, n, media_is_image(substr(data, 1, n)) AS is_image,
	media_format(substr(data, 1, n)) IS NOT NULL AS has_format
	FROM picture, generate_series(0, 16, 4) n
	WHERE name IN ('png 3x2', 'jpeg 32x16') ORDER BY name, n;

-- every prefix of every picture: an answer or one of the errors there are
CREATE FUNCTION pg_temp.outcome(data bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM media_info(data), media_compress(data, max_dimension => 8);
	RETURN 'fine';
EXCEPTION
	WHEN invalid_binary_representation OR feature_not_supported OR program_limit_exceeded THEN
		RETURN 'refused';
END $$;
SELECT pg_temp.outcome(substr(data, 1, n)) NOT IN ('fine', 'refused') AS outcome, count(*) > 0 AS some
	FROM picture, generate_series(0, length(data)) n GROUP BY 1;

-- the session works as before
SELECT media_format(media_compress(data)) FROM picture WHERE name = 'png 3x2';
