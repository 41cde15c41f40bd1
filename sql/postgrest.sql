-- media_serve as PostgREST wants it: by settings
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all

-- without a request
SELECT media_postgrest(data), current_setting('response.status') AS status FROM picture WHERE name = 'gif 4x4';
-- the settings were that transaction's
SELECT current_setting('response.status', true) = '' AS status, current_setting('response.headers', true) = '' AS headers;

-- what is the transaction's is readable once the function has run
CREATE FUNCTION pg_temp.ask(content bytea, method text, sent text, OUT status text, OUT headers json, OUT body text)
	LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('request.method', method, true), set_config('request.headers', sent, true);
	body := encode(media_postgrest(content, etag => 'abc', last_modified => '1994-11-06 08:49:37+00', filename => 'a.txt'), 'escape');
	status := current_setting('response.status');
	headers := current_setting('response.headers');
END $$;

SELECT key, value FROM pg_temp.ask('fake image', 'GET', '{"accept": "*/*"}') a, json_array_elements(a.headers) h (header), json_each_text(header)
	ORDER BY key COLLATE "C";
SELECT n, a.status, a.body, (SELECT string_agg(format('%s: %s', key, value), '; ' ORDER BY key COLLATE "C")
		FROM json_array_elements(a.headers) h (header), json_each_text(header) WHERE key IN ('ETag', 'Content-Range', 'Content-Length', 'Allow', 'Cache-Control')) AS headers
	FROM (VALUES
		(1, 'GET', '{"if-none-match": "W/\"abc\""}'),
		(2, 'HEAD', '{}'),
		(3, 'HEAD', '{"if-none-match": "\"abc\""}'),
		(4, 'GET', '{"range": "bytes=5-"}'),
		(5, 'GET', '{"range": "bytes=100-"}'),
		(6, 'GET', '{"if-match": "\"x\""}'),
		(7, 'POST', '{"method": "GET"}'),
		(8, 'GET', '{"method": "POST"}'),
		(9, '', ''),
		(10, 'GET', '{"user-agent": "\u0001 \" \\"}')) v (n, method, sent), pg_temp.ask('fake image', method, sent) a ORDER BY n;
SELECT a.* FROM pg_temp.ask(NULL, 'GET', '{}') a;
-- each header is an object of one key, each value a string
SELECT bool_and((SELECT count(*) FROM json_object_keys(header)) = 1), bool_and(json_typeof(value) = 'string')
	FROM pg_temp.ask('fake image', 'GET', '{"range": "bytes=0-1"}') a, json_array_elements(a.headers) h (header), json_each(header);

-- what was set before is replaced
BEGIN;
SELECT set_config('response.headers', '[{"Content-Type": "text/html"}]', true), set_config('response.status', '500', true);
SELECT media_postgrest(NULL);
SHOW response.headers;
SHOW response.status;
ROLLBACK;

-- as the function that PostgREST calls, any type being asked for
CREATE TABLE photo (id int PRIMARY KEY, data bytea, updated_at timestamptz);
INSERT INTO photo SELECT 1, data, '1994-11-06 08:49:37+00' FROM picture WHERE name = 'gif 4x4';
CREATE DOMAIN "*/*" AS bytea;
CREATE FUNCTION photo(id int) RETURNS "*/*" LANGUAGE sql AS $$
	SELECT media_postgrest(p.data, last_modified => p.updated_at) FROM (SELECT) one LEFT JOIN photo p ON p.id = photo.id
$$;
-- PostgREST's own way to read it
BEGIN READ ONLY;
SELECT set_config('request.method', 'GET', true), set_config('request.headers', '{"range": "bytes=0-5"}', true);
WITH source AS (SELECT call.body FROM (SELECT photo(1) AS body) call)
SELECT (SELECT string_agg(source.body, '') FROM source) AS body, nullif(current_setting('response.status', true), '') AS status;
SELECT h->>'Content-Type' AS type FROM json_array_elements(current_setting('response.headers')::json) h WHERE h->>'Content-Type' IS NOT NULL;
SELECT photo(2);
SHOW response.status;
COMMIT;
DROP FUNCTION photo(int);
DROP DOMAIN "*/*";
DROP TABLE photo;

-- a request that PostgREST would not send
\set VERBOSITY sqlstate
SELECT pg_temp.ask('x', 'GET', 'range: bytes=0-1');
SELECT pg_temp.ask('x', 'GET', '[]');
SELECT pg_temp.ask('x', 'GET', '{"range": 1}');
SELECT pg_temp.ask('x', 'GET', '{"range": ');
SELECT media_postgrest('x', cache_control => E'a\nb');
\set VERBOSITY default
BEGIN;
SELECT set_config('request.headers', '{"range": 1}', true);
SELECT media_postgrest('x');
ROLLBACK;
