-- a value as the answer to an HTTP request
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all

-- incompressible bytes, made without chance
CREATE FUNCTION pg_temp.noise(seed int, length int) RETURNS bytea LANGUAGE sql AS $$
	SELECT substr(string_agg(sha256(int4send(seed) || int4send(n)), '' ORDER BY n), 1, length)
	FROM generate_series(0, length / 32) n
$$;

-- every header of an answer
SELECT key, value FROM picture, media_serve(data, last_modified => '1994-11-06 08:49:37.9+00', filename => 'tiny.gif') r,
	jsonb_each_text(r.headers) WHERE name = 'gif 4x4' ORDER BY key COLLATE "C";
SELECT r.status, r.body = data AS same FROM picture, media_serve(data) r WHERE name = 'gif 4x4';

-- what is a picture by its bytes is shown as that; all else is bytes to be saved
SELECT name, r.headers->>'Content-Type' AS type, r.headers->>'Content-Disposition' AS disposition
	FROM picture, media_serve(data) r ORDER BY name;
SELECT sample, r.headers->>'Content-Type' AS type, r.headers->>'Content-Disposition' AS disposition
	FROM (VALUES
		(1, '<!DOCTYPE html><html><script>alert(1)</script></html>'),
		(2, '<html><svg onload="alert(1)"></svg></html>'),
		(3, '<?xml version="1.0"?><x xmlns="http://www.w3.org/1999/xhtml"/>'),
		(4, '<?xml version="1.0"?><svg onload="alert(1)"/>'),
		(5, 'alert(1)'),
		(6, '%PDF-1.7'),
		(7, 'fLaC'),
		(8, '#!/bin/sh')) v (sample, content), media_serve(content::bytea, filename => 'picture.webp') r
	ORDER BY sample;
SELECT r.headers->>'Content-Type' AS type, r.headers->>'Content-Security-Policy' AS policy
	FROM media_serve('\x00000018667479706d703432000000006d70343269736f6d') r;

-- requests; "abc" is the tag, and the date that of RFC 9110
\set date '1994-11-06 08:49:37+00'
CREATE TEMPORARY TABLE asked (n serial, request jsonb);
INSERT INTO asked (request) VALUES
	('{}'),
	(NULL),
	('{"method": "GET"}'),
	('{"method": "HEAD"}'),
	('{"method": "POST"}'),
	('{"method": "get"}'),
	('{"Method": "POST"}'),
	('{"method": null, "range": null}'),
	('{"Accept": "image/webp", "X": 1, "Y": {"range": "bytes=0-0"}, "Z": [1]}'),
	('{"If-None-Match": "\"abc\""}'),
	('{"if-none-match": "W/\"abc\""}'),
	('{"IF-NONE-MATCH": "\"x\", \"abc\""}'),
	('{"if-none-match": ["\"x\"", "\"abc\""]}'),
	('{"if-none-match": []}'),
	('{"if-none-match": "*", "method": "HEAD"}'),
	('{"if-none-match": "*", "method": "PUT"}'),
	('{"if-none-match": "abc"}'),
	('{"if-none-match": "\"x\"", "if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}'),
	('{"if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}'),
	('{"if-modified-since": "Sunday, 06-Nov-94 08:49:37 GMT"}'),
	('{"if-modified-since": "Sun Nov  6 08:49:37 1994"}'),
	('{"if-modified-since": "Sun, 06 Nov 1994 08:49:36 GMT"}'),
	('{"if-modified-since": "1994-11-06"}'),
	('{"if-unmodified-since": "Sun, 06 Nov 1994 08:49:37 GMT"}'),
	('{"if-unmodified-since": "Sun, 06 Nov 1994 08:49:36 GMT"}'),
	('{"if-match": "\"abc\""}'),
	('{"if-match": "\"x\""}'),
	('{"if-match": "W/\"abc\""}'),
	('{"range": "bytes=0-3"}'),
	('{"range": "bytes=0-3", "method": "HEAD"}'),
	('{"range": "bytes=0-3,5-6"}'),
	('{"range": ["bytes=0-3", "bytes=5-6"]}'),
	('{"Range": "bytes=0-3", "range": "bytes=5-6"}'),
	('{"range": "bytes=100-"}'),
	('{"range": "bytes=0-3", "if-range": "\"abc\""}'),
	('{"range": "bytes=0-3", "if-range": "\"x\""}'),
	('{"range": "bytes=0-3", "if-range": "Sun, 06 Nov 1994 08:49:37 GMT"}'),
	('{"range": "bytes=0-3", "if-range": "Sun, 06 Nov 1994 08:49:38 GMT"}'),
	('{"range": "bytes=0-3\r\nSet-Cookie: a=b"}');
SELECT request, r.status, encode(r.body, 'escape') AS body, r.headers->>'Content-Length' AS length,
	r.headers->>'Content-Range' AS range, r.headers->>'Cache-Control' AS cache, r.headers->>'ETag' AS tag,
	r.headers->>'Allow' AS allow
	FROM asked, media_serve('fake image', request, etag => 'abc', last_modified => :'date') r ORDER BY n;

-- an answer without a body has no other headers than these
SELECT request, r.status, r.headers FROM asked, media_serve('fake image', request, etag => 'abc', last_modified => :'date') r
	WHERE r.body IS NULL AND r.status <> 200 ORDER BY n;

-- no value
SELECT * FROM media_serve(NULL);
SELECT * FROM media_serve(NULL, '{"method": "HEAD", "if-match": "*", "range": "bytes=0-"}', 'public', 'abc', now(), 'a');
-- an empty one
SELECT range, r.status, r.body, r.headers->>'Content-Length' AS length, r.headers->>'Content-Range' AS part
	FROM (VALUES (NULL), ('bytes=0-'), ('bytes=-5'), ('bytes=-0')) v (range), media_serve('', jsonb_build_object('range', range)) r
	ORDER BY range COLLATE "C";

-- tags and other headers as they were asked for
SELECT given, r.headers->>'ETag' AS tag FROM (VALUES ('v1'), ('"v1"'), ('W/"v1"'), ('W/v1'), ('a,b')) v (given),
	media_serve('x', etag => given) r ORDER BY given COLLATE "C";
SELECT r.headers ? 'Cache-Control' AS has FROM media_serve('x', cache_control => NULL) r;
SELECT r.headers->>'Cache-Control' AS cache FROM media_serve('x', cache_control => 'private, no-cache') r;
SELECT given, r.headers->>'Last-Modified' AS modified FROM (VALUES
	('1994-11-06 08:49:37.999999+00'), ('1969-12-31 23:59:59.5+00'), ('infinity'), ('-infinity'), (NULL),
	('0044-03-15 12:00:00+00 BC')) v (given), media_serve('x', last_modified => given::timestamptz) r ORDER BY given COLLATE "C";
-- a date to come is now
SELECT to_timestamp(substr(r.headers->>'Last-Modified', 6, 20) || ' +00', 'DD Mon YYYY HH24:MI:SS TZH')
	BETWEEN now() - interval '1 second' AND clock_timestamp() AS now
	FROM media_serve('x', last_modified => '9999-12-31 23:59:59+00') r;

-- names
SELECT n, r.headers->>'Content-Disposition' AS disposition FROM picture, (VALUES
	(1, 'tree.webp'), (2, ''), (3, E'b\xc3\xa4ume.webp'), (4, '../../etc/passwd'), (5, 'a"; filename="b.exe'),
	(6, E'a\r\nSet-Cookie: b'), (7, '.htaccess'), (8, 'C:\autoexec.bat'), (9, '100%'), (10, E'\xe2\x80\xaeexe.jpg'),
	(11, repeat('x', 100000) || '.webp')) v (n, filename), media_serve(data, filename => v.filename) r
	WHERE picture.name = 'gif 4x4' ORDER BY n;

-- ranges, against substr; of values however they are stored
CREATE TEMPORARY TABLE stored (kind text, how text, note int DEFAULT 0, data bytea);
CREATE TEMPORARY TABLE source AS
	SELECT 'small' AS kind, pg_temp.noise(1, 1000) AS data
	UNION ALL SELECT 'medium', pg_temp.noise(2, 200000)
	UNION ALL SELECT 'medium, compressible', convert_to(repeat('fake image content ', 10000), 'UTF8')
	UNION ALL SELECT 'at the limit', pg_temp.noise(3, 524288)
	UNION ALL SELECT 'large', pg_temp.noise(4, 524289)
	UNION ALL SELECT 'large, compressible', convert_to(repeat('fake image content ', 50000), 'UTF8');
-- || '' has them plain again, to be stored as the column says
INSERT INTO stored SELECT kind, 'extended', 0, data || '' FROM source;
ALTER TABLE stored ALTER data SET STORAGE external;
INSERT INTO stored SELECT kind, 'external', 0, data || '' FROM source;
ALTER TABLE stored ALTER data SET STORAGE main;
INSERT INTO stored SELECT kind, 'main', 0, data || '' FROM source;

CREATE FUNCTION pg_temp.expect(data bytea, first int, last int) RETURNS bytea LANGUAGE sql AS
	$$ SELECT substr(data, first + 1, last - first + 1) $$;
WITH ranges (range, first, last) AS (VALUES
	('bytes=0-0', 0, 0), ('bytes=0-99', 0, 99), ('bytes=1-', 1, -1), ('bytes=-1', -1, -1), ('bytes=-100', -100, -1),
	('bytes=500-99999999999999999999', 500, -1), ('bytes=-99999999', 0, -1), ('bytes=995-1100', 995, 1100), ('bytes=0-', 0, -1))
SELECT range, count(*), bool_and(r.status = 206) AS partial,
	bool_and(r.body = pg_temp.expect(data, at.first, at.last)) AS body,
	bool_and(r.headers->>'Content-Range' = format('bytes %s-%s/%s', at.first, at.last, length(data))) AS content_range,
	bool_and(r.headers->>'Content-Length' = length(r.body)::text) AS length
	FROM stored, ranges, media_serve(data, jsonb_build_object('range', range)) r,
		LATERAL (SELECT CASE WHEN first < 0 THEN length(data) + first ELSE first END AS first,
			CASE WHEN last < 0 THEN length(data) + last ELSE least(last, length(data) - 1) END AS last) at
	GROUP BY range ORDER BY range COLLATE "C";

-- the tag is the content's, up to 512 kB and wherever all of it was at hand;
-- a large value that can be read by slices has one of its own
SELECT kind, how, r.headers->>'ETag' = format('"%s"', left(encode(sha256(data), 'hex'), 32)) AS of_content, r.body = data AS body
	FROM stored, media_serve(data) r ORDER BY kind, how;
SELECT r.headers->>'ETag' AS tag FROM media_serve('fake image content') r;
SELECT r.headers->>'ETag' = format('"%s"', left(encode(sha256(data), 'hex'), 32)) AS in_memory
	FROM source, LATERAL (SELECT data || '' AS plain OFFSET 0) p, media_serve(plain) r WHERE kind = 'large';

-- each of them is good for a 304 and for If-Range, in a GET as in a HEAD
SELECT count(*), bool_and(again.status = 304 AND again.headers->>'ETag' = r.headers->>'ETag') AS unchanged,
	bool_and(part.status = 206 AND part.headers->>'ETag' = r.headers->>'ETag') AS part
	FROM stored, media_serve(data, '{"method": "HEAD"}') r,
		media_serve(data, jsonb_build_object('if-none-match', r.headers->>'ETag')) again,
		media_serve(data, jsonb_build_object('if-range', r.headers->>'ETag', 'range', 'bytes=0-0')) part;

-- it stays when another column changes, and goes when the content does
CREATE TEMPORARY TABLE tag AS SELECT kind, how, r.headers->>'ETag' AS tag FROM stored, media_serve(data) r WHERE how = 'external';
UPDATE stored SET note = 1 WHERE how = 'external';
SELECT kind, r.headers->>'ETag' = tag AS same FROM stored JOIN tag USING (kind, how), media_serve(data) r ORDER BY kind;
UPDATE stored SET data = set_byte(data, length(data) / 2, get_byte(data, length(data) / 2) # 1) WHERE how = 'external';
SELECT kind, r.headers->>'ETag' = tag AS same FROM stored JOIN tag USING (kind, how), media_serve(data) r ORDER BY kind;
-- two rows of one large content may have two, which are never mixed up
SELECT count(*), count(DISTINCT data), count(DISTINCT media_serve(data, '{"if-none-match": "*"}')) FROM
	(SELECT data FROM stored WHERE kind = 'large' AND how <> 'external') s;

-- prepared, and many at once
PREPARE serve(bytea, jsonb) AS SELECT status, body FROM media_serve($1, $2);
EXECUTE serve('abc', '{}');
EXECUTE serve('abc', '{"range": "bytes=1-1"}');
EXECUTE serve(NULL, NULL);
SELECT r.status, count(*) FROM generate_series(1, 1000) n, media_serve('fake image', jsonb_build_object('range', format('bytes=%s-', n))) r
	GROUP BY r.status ORDER BY r.status;

-- a header sent very often costs what its bytes do
SELECT r.status FROM media_serve('x', jsonb_build_object('if-none-match', (SELECT jsonb_agg(format('"%s"', n)) FROM generate_series(1, 50000) n)),
	etag => '50000') r;

-- what cannot be a request, or a header
SELECT media_serve('x', '[]');
SELECT media_serve('x', '"GET"');
SELECT media_serve('x', 'null');
SELECT media_serve('x', '{"range": 1}');
SELECT media_serve('x', '{"If-None-Match": {"a": "b"}}');
SELECT media_serve('x', '{"if-none-match": ["\"a\"", 1]}');
SELECT media_serve('x', '{"if-none-match": [["\"a\""]]}');
SELECT media_serve('x', '{"if-none-match": true}');
SELECT media_serve('x', '{"method": 1}');
SELECT media_serve('x', '{"method": ["GET"]}');
SELECT media_serve('x', cache_control => E'public\r\nSet-Cookie: a=b');
SELECT media_serve('x', cache_control => E'caf\xc3\xa9');
SELECT media_serve('x', etag => E'a\nb');
SELECT media_serve('x', etag => 'a b');
SELECT media_serve('x', etag => 'a"b');
SELECT media_serve('x', etag => '');
SELECT media_serve('x', etag => '""');
SELECT media_serve('x', etag => E'\xc3\xa9');
-- whether there is a value or not
\set VERBOSITY sqlstate
SELECT media_serve(NULL, '[]');
SELECT media_serve(NULL, '{"range": 1}');
SELECT media_serve(NULL, '{"method": 1}');
SELECT media_serve(NULL, cache_control => E'a\nb');
SELECT media_serve(NULL, etag => 'a b');
