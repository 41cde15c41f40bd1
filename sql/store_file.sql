-- objects in a folder of the server's: media_put, media_get, media_head, media_delete, media_list
CREATE ROLE regress_mediastore_owner;
CREATE ROLE regress_mediastore_user;
SELECT current_setting('data_directory') || '/regress_mediastore_files' AS root \gset
\set make 'cat >/dev/null; rm -rf ' :root '; umask 077; mkdir -p ' :root
COPY (SELECT) TO PROGRAM :'make';
CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root :'root');
CREATE SERVER public TYPE 'file' FOREIGN DATA WRAPPER mediastore
	OPTIONS (root :'root', prefix 'public/', public_url 'https://example.com/media', cache_control 'no-store');
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE statement INTO result;
	RETURN coalesce(result, 'null');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

-- there and back
SELECT media_put('files', 'a.txt', 'some text');
SELECT media_get('files', 'a.txt') = 'some text' AS same;
SELECT bytes, last_modified BETWEEN now() - interval '1 hour' AND clock_timestamp() + interval '1 second' AS dated, etag <> '' AS tagged
	FROM media_head('files', 'a.txt');
SELECT media_put('files', 'a.txt', 'another text'), encode(media_get('files', 'a.txt'), 'escape') AS content;
SELECT media_put('files', 'a.txt', 'x', if_none_match => true);
SELECT encode(media_get('files', 'a.txt'), 'escape') AS content;
SELECT media_put('files', 'b.txt', 'x', if_none_match => true), encode(media_get('files', 'b.txt'), 'escape') AS content;
SELECT media_put('public', 'folder/a b.txt', 'public');
SELECT encode(media_get('files', 'public/folder/a b.txt'), 'escape') AS content;

-- none, nothing and much
SELECT media_get('files', 'missing.txt');
SELECT * FROM media_head('files', 'missing.txt');
SELECT media_delete('files', 'missing.txt');
SELECT media_put('files', 'empty', ''), media_get('files', 'empty') AS empty, (media_head('files', 'empty')).bytes;
CREATE TABLE large (id int, data bytea);
ALTER TABLE large ALTER data SET STORAGE EXTERNAL;
INSERT INTO large SELECT length, decode(repeat('00ff0a0d2700', length / 6 + 1), 'hex') FROM unnest('{65535,65536,65537,262143,262144,262145,1048576,3000000}'::int[]) AS length;
UPDATE large SET data = substr(data, 1, id);
SELECT id, media_put('files', 'large', data) IS NULL AND (media_head('files', 'large')).bytes = id AND media_get('files', 'large') = data AS same
	FROM large ORDER BY id;
ALTER TABLE large ALTER data SET STORAGE EXTENDED;
UPDATE large SET data = data || '';
SELECT id, media_put('files', 'large', data) IS NULL AND media_get('files', 'large') = data AS same FROM large ORDER BY id;
DROP TABLE large;
SELECT media_put(NULL, 'null', 'x') IS NULL AND media_put('files', NULL, 'x') IS NULL AND media_put('files', 'null', NULL) IS NULL
	AND media_get('files', NULL) IS NULL AND (media_head('files', 'null')).bytes IS NULL AS "null";

-- odd keys
CREATE TABLE odd (nr int, key text);
INSERT INTO odd VALUES (1, 'a b'), (2, ' a'), (3, 'a '), (4, 'a+b'), (5, 'a%2Fb'), (6, '%'), (7, 'ä/日本/😀'), (8, '-rf'), (9, 'a''b"c\d'),
	(10, '.hidden'), (11, '...'), (12, 'a..b'), (13, '*'), (14, '$(id)'), (15, repeat('x', 255)), (16, 'a?b#c&d=e'), (17, '~'),
	(18, repeat(repeat('y', 200) || '/', 4) || 'z');
SELECT nr, media_put('files', 'odd/' || key, convert_to(key, 'UTF8')) IS NULL AND media_get('files', 'odd/' || key) = convert_to(key, 'UTF8') AS same
	FROM odd ORDER BY nr;
SELECT count(*) FROM media_list('files', 'odd/') AS list JOIN odd ON list.key = 'odd/' || odd.key AND list.bytes = octet_length(odd.key);
SELECT count(*) FROM media_list('files', 'odd/');
SELECT bool_and(media_delete('files', 'odd/' || key)) AS deleted FROM odd;
SELECT count(*) FROM media_list('files', 'odd/');
DROP TABLE odd;
-- and those that can't be
SELECT nr, try(format('SELECT media_put(%L, %L, %L)', 'files', key, 'x')) AS put, try(format('SELECT media_get(%L, %L)', 'files', key)) AS get,
	try(format('SELECT media_head(%L, %L)', 'files', key)) AS head, try(format('SELECT media_delete(%L, %L)', 'files', key)) AS delete FROM (VALUES
	(1, ''), (2, '..'), (3, '../x'), (4, 'a/../x'), (5, 'a/..'), (6, '.'), (7, './x'), (8, '/etc/passwd'), (9, 'a//b'), (10, 'a/'), (11, E'a\nb'),
	(12, E'a\x7fb'), (13, repeat('x', 256)), (14, repeat('x/', 600))) AS bad (nr, key) ORDER BY nr;
SELECT media_put('files', '../x', 'x');
SELECT media_put('files', 'a//b', 'x');
-- a folder is no object, an object no folder
SELECT try($$SELECT media_put('files', 'public', 'x')$$) ~ '^[0-9A-Z]{5}$' AS refused, try($$SELECT media_put('files', 'a.txt/b', 'x')$$) ~ '^[0-9A-Z]{5}$' AS refused_too;
SELECT media_get('files', 'public');

-- lists
SELECT media_put('files', 'list/' || n, 'x') IS NULL AS put FROM generate_series(1, 3) AS n;
SELECT key, bytes, etag <> '' AS tagged, last_modified IS NOT NULL AS dated FROM media_list('files') ORDER BY key COLLATE "C";
SELECT key FROM media_list('files', 'list/') ORDER BY key COLLATE "C";
SELECT key FROM media_list('files', 'l') ORDER BY key COLLATE "C";
SELECT key FROM media_list('files', 'list/2');
SELECT key FROM media_list('files', 'nothing/');
SELECT key FROM media_list('public');
SELECT count(*) FROM media_list('public', 'folder/');
SELECT key FROM media_list('files', 'b') UNION ALL SELECT key FROM media_list('files', 'e');
SELECT try(format('SELECT count(*) FROM media_list(%L, %L)', 'files', prefix)) AS result FROM unnest('{../,list/../,/,//,./}'::text[]) AS prefix;
SELECT try(format('SELECT count(*) FROM media_list(%L, %L)', 'files', E'a\nb')) AS refused;

-- gone
SELECT media_delete('files', 'a.txt'), media_delete('files', 'a.txt');
SELECT * FROM media_head('files', 'a.txt');

-- what is done is done
BEGIN;
SELECT media_put('files', 'rolled back', 'x');
ROLLBACK;
SELECT media_delete('files', 'rolled back');

-- headers that can't be
SELECT nr, try(call) AS sqlstate FROM (VALUES
	(1, $$SELECT media_put('files', 'h', 'x', content_type => '')$$),
	(2, $$SELECT media_put('files', 'h', 'x', content_type => E'text/plain\r\nx-evil: a')$$),
	(3, $$SELECT media_put('files', 'h', 'x', cache_control => ' x')$$),
	(4, $$SELECT media_put('files', 'h', 'x', metadata => '[]')$$),
	(5, $$SELECT media_put('files', 'h', 'x', metadata => '"a"')$$),
	(6, $$SELECT media_put('files', 'h', 'x', metadata => '{"a": 1}')$$),
	(7, $$SELECT media_put('files', 'h', 'x', metadata => '{"a": null}')$$),
	(8, $$SELECT media_put('files', 'h', 'x', metadata => '{"a": {"b": "c"}}')$$),
	(9, $$SELECT media_put('files', 'h', 'x', metadata => '{"": "b"}')$$),
	(10, $$SELECT media_put('files', 'h', 'x', metadata => '{"a b": "b"}')$$),
	(11, $$SELECT media_put('files', 'h', 'x', metadata => '{"a": "b\r\nc"}')$$),
	(12, $$SELECT media_put('files', 'h', 'x', metadata => '{"a": "b", "A": "c"}')$$),
	(13, $$SELECT media_put('files', 'h', 'x', metadata => jsonb_build_object('a', repeat('x', 2048)))$$),
	(14, $$SELECT media_put('files', 'h', 'x', metadata => jsonb_build_object('a', repeat('x', 2047)))$$),
	(15, $$SELECT media_put('files', 'h', 'x', 'text/plain', 'no-store', '{}', NULL)$$)) AS call (nr, call) ORDER BY nr;
SELECT media_put('files', 'h', 'x', metadata => '{"a": 1}');
SELECT media_put('files', 'h', 'x', metadata => '{"a b": "c"}');

-- who may
GRANT EXECUTE ON FUNCTION media_put, media_get TO regress_mediastore_user;
SET ROLE regress_mediastore_owner;
SELECT media_put('files', 'x', 'x');
SELECT media_list('files');
RESET ROLE;
SET ROLE regress_mediastore_user;
SELECT media_put('files', 'x', 'x');
SELECT media_get('files', 'x');
SELECT media_head('files', 'x');
SELECT media_delete('files', 'x');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER files TO regress_mediastore_user;
SET ROLE regress_mediastore_user;
SELECT media_put('files', 'x', 'x');
SELECT encode(media_get('files', 'x'), 'escape') AS content;
SELECT media_list('files');
RESET ROLE;

-- where not
SELECT media_put('missing', 'x', 'x');
SELECT media_get('missing', 'x');
BEGIN READ ONLY;
SELECT try($$SELECT encode(media_get('files', 'x'), 'escape')$$) AS get, try($$SELECT (media_head('files', 'x')).bytes$$) AS head,
	try($$SELECT count(*) FROM media_list('files', 'x')$$) AS list;
SELECT media_put('files', 'x', 'x');
ROLLBACK;
BEGIN READ ONLY;
SELECT media_delete('files', 'x');
ROLLBACK;
CREATE SERVER nowhere TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '/no/such/folder');
SELECT try($$SELECT media_put('nowhere', 'x', 'x')$$) AS put, try($$SELECT media_get('nowhere', 'x')$$) AS get, try($$SELECT media_list('nowhere')$$) AS list;
CREATE SERVER bucket TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', region 'us-east-1', endpoint 'http://127.0.0.1:9');
SELECT media_get('bucket', 'x');
CREATE USER MAPPING FOR PUBLIC SERVER bucket OPTIONS (access_key_id 'AKIA', secret_access_key 'dontshow');
-- an address that a superuser has not opened
SELECT media_get('bucket', 'x');
ALTER SERVER bucket OPTIONS (ADD private_network 'true');
SELECT try($$SELECT media_get('bucket', 'x')$$);

DROP FUNCTION try(text);
\set remove 'cat >/dev/null; rm -rf ' :root
COPY (SELECT) TO PROGRAM :'remove';
SET client_min_messages = warning;
DROP SERVER files, public, nowhere, bucket CASCADE;
DROP OWNED BY regress_mediastore_owner, regress_mediastore_user;
DROP ROLE regress_mediastore_owner, regress_mediastore_user;
