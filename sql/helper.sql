-- the helper processes of this session
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


SELECT count(*) FROM mediastore.helper;

SELECT media_format(media_compress(data)) FROM picture WHERE name = 'png 3x2';
SELECT program, pid <> pg_backend_pid() AS other, sandboxed IS NOT NULL AS told, requests, memory > 0 AS memory,
	started_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS started
	FROM mediastore.helper;

-- one for all
CREATE TEMPORARY TABLE seen AS SELECT pid FROM mediastore.helper;
SELECT count(media_compress(data)) FROM picture WHERE name NOT LIKE 'claim%' AND name NOT IN ('text', 'empty');
SELECT program, requests, pid IN (SELECT pid FROM seen) AS same FROM mediastore.helper;

-- a refusal is an answer, too
\set VERBOSITY sqlstate
SELECT media_compress(substr(data, 1, 60)) FROM picture WHERE name = 'png 3x2';
\set VERBOSITY default
SELECT program, requests, pid IN (SELECT pid FROM seen) AS same FROM mediastore.helper;

-- other limits, another codec
SET mediastore.codec_memory = '500MB';
SELECT media_format(media_compress(data)) FROM picture WHERE name = 'png 3x2';
SELECT program, requests, pid IN (SELECT pid FROM seen) AS same FROM mediastore.helper;
RESET mediastore.codec_memory;

-- another's are not shown
\c -
SELECT count(*) FROM mediastore.helper;
