-- the options of media_compress
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


CREATE TEMPORARY TABLE one AS SELECT data FROM picture WHERE name = 'jpeg 32x16';

-- numbers
SELECT media_compress(data, max_dimension => 0) FROM one;
SELECT media_compress(data, max_dimension => 16384) FROM one;
SELECT media_compress(data, max_bytes => 127) FROM one;
SELECT media_compress(data, max_bytes => -1) FROM one;
SELECT media_compress(data, quality => 0) FROM one;
SELECT media_compress(data, quality => 101) FROM one;
SELECT media_compress(data, min_quality => 0) FROM one;
SELECT media_compress(data, effort => 7) FROM one;
SELECT media_compress(data, effort => -1) FROM one;

-- words
SELECT media_compress(data, alpha => 'maybe') FROM one;
SELECT media_compress(data, alpha => '#fffff') FROM one;
SELECT media_compress(data, alpha => '#ggffff') FROM one;
SELECT media_compress(data, lossless => '') FROM one;
SELECT media_compress(data, animation => 'second') FROM one;

-- against each other: the default of min_quality follows, a wish does not
SELECT media_compress(data, quality => 30, min_quality => 50) FROM one;
SELECT media_format(media_compress(data, quality => 30)) FROM one;
SELECT media_format(media_compress(data, quality => 30, min_quality => 30)) FROM one;

-- their ends are inside
SELECT media_format(media_compress(data, max_dimension => 1, max_bytes => 128, quality => 1, min_quality => 1,
	effort => 0, alpha => 'drop', lossless => 'never', animation => 'first')) FROM one;
SELECT media_format(media_compress(data, max_dimension => 16383, max_bytes => 1000000000, quality => 100,
	min_quality => 100, effort => 6, alpha => '#0aF0Af', lossless => 'always', animation => 'reject')) FROM one;
SELECT media_format(media_compress(data, alpha => 'KEEP', lossless => 'Auto')) FROM one;

-- what they do
SELECT (i).width, (i).height FROM (SELECT media_info(media_compress(data, max_dimension => 8)) AS i FROM one) AS t;
SELECT (i).width, (i).height FROM (SELECT media_info(media_compress(data)) AS i FROM one) AS t;
SELECT name, (i).width, (i).height, (i).orientation FROM (SELECT name, media_info(media_compress(data)) AS i
	FROM picture WHERE name LIKE 'jpeg%') AS t ORDER BY name;
SELECT name, alpha, (media_info(media_compress(data, alpha => alpha))).has_alpha
	FROM picture, unnest(ARRAY['keep', 'drop', '#ffffff']) alpha WHERE name LIKE 'png 2x2%' ORDER BY name, alpha;
SELECT animation, (media_info(media_compress(data, animation => animation))).frames
	FROM picture, unnest(ARRAY['keep', 'first']) animation WHERE name LIKE 'gif%frames' ORDER BY animation;
SELECT media_compress(data, animation => 'reject') FROM picture WHERE name LIKE 'gif%frames';
SELECT media_format(media_compress(data, animation => 'reject')) FROM picture WHERE name = 'gif 4x4';

-- every format there is; once more changes nothing
SELECT name, media_format(small) AS format, media_compress(small) = small AS again
	FROM (SELECT name, media_compress(data) AS small FROM picture
		WHERE name NOT LIKE 'claim%' AND name NOT IN ('text', 'empty')) AS t ORDER BY name;
