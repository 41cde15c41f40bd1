-- a value is read the way it is stored
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


-- a picture with a long tail, and one with a long way to its frame header:
-- incompressible bytes of 1 MB in all, made without chance
CREATE FUNCTION pg_temp.noise(seed int, length int) RETURNS bytea LANGUAGE sql AS $$
	SELECT substr(string_agg(sha256(int4send(seed) || int4send(n)), '' ORDER BY n), 1, length)
	FROM generate_series(0, length / 32) n
$$;
CREATE FUNCTION pg_temp.segments(count int, filler bytea) RETURNS bytea LANGUAGE sql AS $$
	SELECT string_agg('\xffe2'::bytea || substring(int4send(length(filler) + 2) FROM 3) || filler, '')
	FROM generate_series(1, count)
$$;

CREATE TEMPORARY TABLE stored (kind text, how text, data bytea);
CREATE TEMPORARY TABLE source AS
	SELECT 'long tail' AS kind, data || pg_temp.noise(1, 1000000) AS data FROM picture WHERE name = 'jpeg 32x16'
	UNION ALL
	SELECT 'long header', substr(data, 1, 2) || pg_temp.segments(20, pg_temp.noise(2, 50000)) || substr(data, 3)
		FROM picture WHERE name = 'jpeg 32x16'
	UNION ALL
	SELECT 'compressible', substr(data, 1, 2) || pg_temp.segments(20, convert_to(repeat('x', 50000), 'UTF8')) || substr(data, 3)
		FROM picture WHERE name = 'jpeg 32x16'
	UNION ALL
	SELECT 'few when compressed', substr(data, 1, 2) || pg_temp.segments(2, convert_to(repeat('x', 50000), 'UTF8')) || substr(data, 3)
		FROM picture WHERE name = 'jpeg 32x16'
	UNION ALL
	SELECT 'half and half', substr(data, 1, 2) || pg_temp.segments(4, convert_to(repeat('x', 20000), 'UTF8') || pg_temp.noise(3, 5000)) || substr(data, 3)
		FROM picture WHERE name = 'jpeg 32x16';

-- || '' has them plain again, to be stored as the column says
INSERT INTO stored SELECT kind, 'extended', data || '' FROM source;
ALTER TABLE stored ALTER data SET STORAGE external;
INSERT INTO stored SELECT kind, 'external', data || '' FROM source;
ALTER TABLE stored ALTER data SET STORAGE main;
INSERT INTO stored SELECT kind, 'main', data || '' FROM source;
ALTER TABLE stored ALTER data SET STORAGE plain;
INSERT INTO stored SELECT 'small', 'plain', data FROM picture WHERE name = 'jpeg 32x16';
ALTER TABLE stored ALTER data SET STORAGE extended;
INSERT INTO stored SELECT 'small', 'extended', data FROM picture WHERE name = 'jpeg 32x16';

-- they lie as they should
SELECT kind, how, pg_column_compression(data) IS NOT NULL AS compressed, pg_column_size(data) < 10000 AS small
	FROM stored ORDER BY kind, how;

SELECT kind, how, media_format(data), media_width(data), media_height(data), (media_info(data)).bytes = length(data) AS bytes
	FROM stored ORDER BY kind, how;

-- all of it, and the same whichever way
SELECT kind, count(*), count(DISTINCT media_compress(data)) FROM stored GROUP BY kind ORDER BY kind;

-- what is returned as it was stored is the same value still
CREATE TEMPORARY TABLE kept (data bytea);
ALTER TABLE kept ALTER data SET STORAGE external;
INSERT INTO kept SELECT media_compress(data) FROM picture WHERE name = 'jpeg 32x16';
INSERT INTO kept SELECT media_compress(data) FROM kept;
SELECT count(*), count(DISTINCT data) FROM kept;
