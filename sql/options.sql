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
	FROM picture WHERE name LIKE 'jpeg%' OR name LIKE '%orientation 6') AS t ORDER BY name;
SELECT name, alpha, (media_info(media_compress(data, alpha => alpha))).has_alpha
	FROM picture, unnest(ARRAY['keep', 'drop', '#ffffff']) alpha WHERE name LIKE 'png 2x2%' ORDER BY name, alpha;
SELECT animation, (media_info(media_compress(data, animation => animation))).frames
	FROM picture, unnest(ARRAY['keep', 'first']) animation WHERE name LIKE 'gif%frames' ORDER BY animation;
SELECT media_compress(data, animation => 'reject') FROM picture WHERE name LIKE 'gif%frames';
SELECT media_format(media_compress(data, animation => 'reject')) FROM picture WHERE name = 'gif 4x4';

-- The same of pictures that are worth it, 64 x 64 with 24 bits: noise, waves and
-- flat areas.  How many bytes there are is the library's, so only which are more.
CREATE TEMPORARY TABLE large (kind text COLLATE "C" PRIMARY KEY, data bytea);
INSERT INTO large SELECT kind, '\x424d36300000000000003600000028000000400000004000000001001800000000000030000000000000000000000000000000000000'
	|| pixels FROM (
		SELECT 'noise', string_agg(sha256(int4send(n)), '' ORDER BY n) FROM generate_series(1, 64 * 64 * 3 / 32) n
		UNION ALL
		SELECT 'waves', string_agg(decode(lpad(to_hex((128 + 60 * sin(x / 5.0 + y / (2.0 + c)) + 50 * cos(x * y / 90.0 + c))::int), 2, '0'), 'hex'),
			'' ORDER BY y, x, c)
			FROM generate_series(0, 63) x, generate_series(0, 63) y, generate_series(0, 2) c
		UNION ALL
		SELECT 'flat', string_agg(CASE (x / 16 + y / 16) % 3 WHEN 0 THEN '\x2040d0' WHEN 1 THEN '\xffffff' ELSE '\x20a020' END::bytea,
			'' ORDER BY y, x)
			FROM generate_series(0, 63) x, generate_series(0, 63) y) AS t (kind, pixels);


-- work saves bytes, with loss and without
SELECT lossless, length(media_compress(data, effort => 6, lossless => lossless))
		< length(media_compress(data, effort => 0, lossless => lossless)) AS smaller
	FROM large, unnest(ARRAY['never', 'always']) lossless WHERE kind = 'waves' ORDER BY lossless;

-- so does less quality
SELECT kind, length(media_compress(data, quality => 30)) < length(media_compress(data, quality => 90)) AS smaller
	FROM large WHERE kind <> 'flat' ORDER BY kind;

-- the budget is kept, at the cost of quality first, and of size where min_quality ends that
SELECT kind, max_bytes, bool_and(length(media_compress(data, max_bytes => max_bytes, min_quality => min_quality)) <= max_bytes) AS kept
	FROM large, unnest(ARRAY[128, 500, 1000, 2000]) max_bytes, unnest(ARRAY[1, 40, 85]) min_quality
	GROUP BY kind, max_bytes ORDER BY kind, max_bytes;
SELECT media_width(media_compress(data, max_bytes => 1500, min_quality => 1)) AS low,
		media_width(media_compress(data, max_bytes => 1500, min_quality => 80)) < 64 AS high
	FROM large WHERE kind = 'noise';

-- without loss when asked to, or when it is the smaller way; "rgb" tells
SELECT kind, lossless, (media_info(media_compress(data, lossless => lossless))).color_space
	FROM large, unnest(ARRAY['never', 'auto', 'always']) lossless ORDER BY kind, lossless;
SELECT length(media_compress(data, lossless => 'always')) > length(media_compress(data, lossless => 'never')) AS larger
	FROM large WHERE kind = 'noise';

-- and nothing is lost then: what is made of it is what is made of the original
SELECT kind, lossless, media_compress(media_compress(data, lossless => lossless), max_dimension => 40)
		= media_compress(data, max_dimension => 40) AS same
	FROM large, unnest(ARRAY['never', 'always']) lossless WHERE kind = 'noise' ORDER BY kind, lossless;

-- under what is transparent lies the color asked for, or the picture's own
SELECT media_compress(data, alpha => '#ffffff', lossless => 'always') <> media_compress(data, alpha => '#000000', lossless => 'always') AS colors,
		media_compress(data, alpha => 'drop', lossless => 'always') <> media_compress(data, alpha => '#000000', lossless => 'always') AS drop
	FROM picture WHERE name = 'png 2x2, alpha';

-- every format there is; once more changes nothing
SELECT name, media_format(small) AS format, media_compress(small) = small AS again
	FROM (SELECT name, media_compress(data) AS small FROM picture
		WHERE name NOT LIKE 'claim%' AND name NOT IN ('text', 'empty')) AS t ORDER BY name;
