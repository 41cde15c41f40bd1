-- stores: foreign servers, the addresses of their objects, and what signs them
CREATE ROLE regress_mediastore_owner;
CREATE ROLE regress_mediastore_user;

-- servers
CREATE SERVER photos TYPE 's3' FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'examplebucket', region 'us-east-1');
CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '/srv/media');
CREATE SERVER untyped FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', region 'us-east-1');
CREATE SERVER unknown TYPE 'ftp' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', region 'us-east-1');
CREATE SERVER mistaken TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (root '/srv/media');
CREATE FOREIGN DATA WRAPPER other;
CREATE SERVER others TYPE 's3' FOREIGN DATA WRAPPER other OPTIONS (bucket 'examplebucket');

-- options that are none, or not together
CREATE SERVER wrong TYPE 's3' FOREIGN DATA WRAPPER mediastore;
CREATE SERVER wrong TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (region 'us-east-1');
CREATE SERVER wrong TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', regoin 'us-east-1');
CREATE SERVER wrong TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', root '/srv/media');
CREATE SERVER wrong TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '/srv/media', region 'us-east-1');
CREATE SERVER wrong TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', secret_access_key 'x');
ALTER FOREIGN DATA WRAPPER mediastore OPTIONS (ADD bucket 'examplebucket');
CREATE FOREIGN TABLE wrong (data bytea) SERVER photos OPTIONS (bucket 'examplebucket');

-- values
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
CREATE FUNCTION try_option(name text, value text) RETURNS text LANGUAGE sql AS $$
	SELECT try(format('ALTER SERVER %s OPTIONS (%s %I %L)', CASE name WHEN 'root' THEN 'files' ELSE 'photos' END,
		CASE WHEN name IN ('root', 'bucket', 'region') THEN 'SET' ELSE 'ADD' END, name, value));
$$;
BEGIN;
SELECT name, left(value, 40) AS value, try_option(name, value) AS sqlstate FROM (VALUES
	('bucket', ''), ('bucket', 'no'), ('bucket', 'Upper_Case!'), ('bucket', 'a/b'),
	('region', 'eu central'), ('region', 'a/b'),
	('endpoint', 'example.com'), ('endpoint', 'ftp://example.com'), ('endpoint', 'https://'),
	('endpoint', 'https://user:secret@example.com'), ('endpoint', 'https://example.com/?a=b'), ('endpoint', 'https://example.com/#a'),
	('endpoint', E'https://example.com/\n'),
	('public_url', '/media'), ('public_url', 'https://cdn.example.com/?a=b'),
	('prefix', E'a\nb'), ('prefix', repeat('x', 2000)),
	('path_style', 'maybe'), ('path_style', ''),
	('profile', ''), ('profile', 'a]b'), ('profile', 'a b'),
	('root', ''), ('root', 'srv/media'), ('root', '/srv/../etc'), ('root', '/srv/media/..')) AS bad (name, value);
ROLLBACK;
ALTER SERVER photos OPTIONS (ADD path_style 'maybe');
ALTER SERVER files OPTIONS (SET root 'srv/media');
ALTER SERVER photos OPTIONS (ADD endpoint 'https://user:dontshow@example.com');
ALTER SERVER photos OPTIONS (DROP bucket);

-- who may name what
GRANT CREATE ON SCHEMA public TO regress_mediastore_owner;
SET ROLE regress_mediastore_owner;
CREATE SERVER mine TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', region 'us-east-1');
RESET ROLE;
GRANT USAGE ON FOREIGN DATA WRAPPER mediastore TO regress_mediastore_owner;
SET ROLE regress_mediastore_owner;
CREATE SERVER mine TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', region 'us-east-1');
CREATE SERVER my_files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '/srv/media');
ALTER SERVER mine OPTIONS (DROP bucket, DROP region, ADD root '/srv/media');
SELECT mediastore.store_validator('{root=/srv/media}', 'pg_foreign_server'::regclass);
RESET ROLE;

-- addresses
CREATE FUNCTION url_with(options text, key text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'CREATE SERVER tried TYPE ''s3'' FOREIGN DATA WRAPPER mediastore OPTIONS (' || options || ')';
	RAISE EXCEPTION USING MESSAGE = media_url('tried', key), ERRCODE = 'UU000';
EXCEPTION WHEN SQLSTATE 'UU000' THEN
	RETURN SQLERRM;
END $$;
SELECT url_with(options, 'a/b.webp') FROM (VALUES
	(1, $$bucket 'examplebucket', region 'eu-central-1'$$),
	(2, $$bucket 'example.bucket', region 'eu-central-1'$$),
	(3, $$bucket 'examplebucket', region 'eu-central-1', path_style 'true'$$),
	(4, $$bucket 'examplebucket', region 'eu-central-1', prefix 'media/'$$),
	(5, $$bucket 'examplebucket', region 'auto', endpoint 'https://0123.r2.cloudflarestorage.com'$$),
	(6, $$bucket 'examplebucket', endpoint 'https://ref.storage.supabase.co/storage/v1/s3', region 'eu-central-1'$$),
	(7, $$bucket 'examplebucket', endpoint 'http://localhost:9000'$$),
	(8, $$bucket 'examplebucket', endpoint 'http://s3.example.com:9000', path_style 'false'$$),
	(9, $$bucket 'examplebucket', endpoint 'https://s3.example.com:443/base/'$$),
	(10, $$bucket 'examplebucket', region 'eu-central-1', public_url 'https://cdn.example.com'$$),
	(11, $$bucket 'examplebucket', region 'eu-central-1', public_url 'https://cdn.example.com/m/', prefix 'media/'$$)) AS store (nr, options)
	ORDER BY nr;
SELECT media_url('photos', key) FROM (VALUES
	(1, 'a b+c'), (2, 'a%2Fb'), (3, 'ä/日本/😀'), (4, 'a//b'), (5, '..x/.y'), (6, '/a'), (7, 'a?b#c&d=e'), (8, $$~!*'()_.-$$)) AS odd (nr, key) ORDER BY nr;
SELECT nr, try(format('SELECT media_url(%L, %L)', 'photos', key)) AS sqlstate FROM (VALUES
	(1, ''), (2, E'a\nb'), (3, E'a\x7fb')) AS bad (nr, key) ORDER BY nr;
SELECT try(format('SELECT media_url(%L, %L)', 'photos', repeat('x', 1025)));
-- what clients take out of an URL would make it another object's
SELECT media_url('photos', '../x');
BEGIN;
ALTER SERVER photos OPTIONS (ADD prefix 'media/.');
CREATE USER MAPPING FOR PUBLIC SERVER photos OPTIONS (access_key_id 'AKIA', secret_access_key 'dontshow');
SELECT nr, try(format('SELECT media_url(%L, %L)', 'photos', key)) AS url, try(format('SELECT media_presign(%L, %L)', 'photos', key)) AS signed
	FROM (VALUES (1, 'a/..'), (2, 'a/./b'), (3, './x'), (4, '/x'), (5, 'a/.../b'), (6, '.a/b..')) AS dots (nr, key) ORDER BY nr;
ROLLBACK;
SELECT media_url(NULL, 'a'), media_url('photos', NULL);
SELECT media_url('files', 'a.webp');
BEGIN;
ALTER SERVER files OPTIONS (ADD public_url 'https://example.com/media', ADD prefix 'x/');
SELECT media_url('files', 'a b.webp');
SELECT try($$SELECT media_url('files', '../a')$$), try($$SELECT media_url('files', 'a//b')$$);
ROLLBACK;
SELECT media_url('missing', 'a');
SELECT media_url('untyped', 'a');
SELECT media_url('unknown', 'a');
SELECT media_url('mistaken', 'a');
SELECT media_url('others', 'a');
BEGIN;
ALTER FOREIGN DATA WRAPPER mediastore NO VALIDATOR;
ALTER SERVER photos OPTIONS (ADD root '/srv/media');
SELECT try($$SELECT media_url('photos', 'a')$$);
ALTER SERVER photos OPTIONS (DROP root, SET region 'a/b');
SELECT try($$SELECT media_url('photos', 'a')$$);
ALTER SERVER photos OPTIONS (SET region 'us-east-1', ADD unknown 'x');
SELECT try($$SELECT media_url('photos', 'a')$$);
ROLLBACK;

-- signed ones: no credentials, wrong ones, AWS's own example
SELECT media_presign('mine', 'test.txt');
CREATE USER MAPPING FOR PUBLIC SERVER photos OPTIONS (access_key_id 'AKIAIOSFODNN7EXAMPLE');
CREATE USER MAPPING FOR PUBLIC SERVER photos OPTIONS (secret_access_key 'dontshow');
CREATE USER MAPPING FOR PUBLIC SERVER photos OPTIONS (session_token 'dontshow');
CREATE USER MAPPING FOR PUBLIC SERVER photos OPTIONS (access_key_id '', secret_access_key 'dontshow');
CREATE USER MAPPING FOR PUBLIC SERVER photos OPTIONS (access_key 'AKIAIOSFODNN7EXAMPLE', secret_access_key 'dontshow');
CREATE USER MAPPING FOR PUBLIC SERVER photos
	OPTIONS (access_key_id 'AKIAIOSFODNN7EXAMPLE', secret_access_key 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY');
SELECT media_presign('photos', 'a b/ä', '1 h', 'PUT', '2013-05-24 00:00+00');
CREATE SERVER example TYPE 's3' FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'examplebucket', region 'us-east-1', endpoint 'https://s3.amazonaws.com', path_style 'false');
CREATE USER MAPPING FOR PUBLIC SERVER example
	OPTIONS (access_key_id 'AKIAIOSFODNN7EXAMPLE', secret_access_key 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY');
SELECT right(media_presign('example', 'test.txt', '86400 s', 'GET', '2013-05-24 00:00+00'), 64) =
	'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404' AS "as published";

-- the same for half of the term, and another then
SELECT count(DISTINCT media_presign('photos', 'a', '1 h', at => '2013-05-24 00:00+00'::timestamptz + n * interval '1 min'))
	FROM generate_series(0, 29) AS n;
SELECT count(DISTINCT media_presign('photos', 'a', '1 h', at => '2013-05-24 00:00+00'::timestamptz + n * interval '1 min'))
	FROM generate_series(0, 59) AS n;
SELECT count(DISTINCT media_presign('photos', 'a', '1 h', method, '2013-05-24 00:00+00')) FROM unnest('{GET,HEAD,PUT,DELETE}'::text[]) AS method;
-- by default, it is that of the statement
SELECT media_presign('photos', 'a', '7 d') = media_presign('photos', 'a', '7 d', at => statement_timestamp()) AS now,
	media_presign('photos', 'a') LIKE '%X-Amz-Expires=900&%' AS minutes;
SELECT media_presign(NULL, 'a') IS NULL AND media_presign('photos', NULL) IS NULL AND media_presign('photos', 'a', NULL) IS NULL
	AND media_presign('photos', 'a', method => NULL) IS NULL AS "null";

-- a term, a method, a time that can't be
SELECT expires, try(format('SELECT media_presign(%L, %L, %L)', 'photos', 'a', expires)) AS sqlstate FROM (VALUES
	(1, '1 s'), (2, '7 d'), (3, '6 d 24 h'), (4, '1.9 s'), (5, '0'), (6, '0.9 s'), (7, '-1 s'), (8, '1 d -24 h'), (9, '7 d 1 s'), (10, '1 mon'),
	(11, '1 y -364 d'), (12, '2147483647 d'), (13, '-2147483648 d')) AS term (nr, expires) ORDER BY nr;
SELECT method, try(format('SELECT media_presign(%L, %L, method => %L)', 'photos', 'a', method)) AS sqlstate
	FROM unnest('{GET,get,POST,"",OPTIONS}'::text[]) AS method;
SELECT at, try(format('SELECT media_presign(%L, %L, at => %L)', 'photos', 'a', at)) AS sqlstate
	FROM unnest('{infinity,-infinity,1969-12-31 23:59:59+00,10000-01-01 00:00:00+00,294276-01-01 00:00+00}'::text[]) AS at;
SELECT media_presign('photos', 'a', '1 mon');
SELECT media_presign('photos', 'a', '8 d');
SELECT media_presign('files', 'a');

-- whose: EXECUTE and USAGE are both needed
SET ROLE regress_mediastore_user;
SELECT media_url('photos', 'a');
SELECT media_presign('photos', 'a');
RESET ROLE;
GRANT EXECUTE ON FUNCTION media_presign TO regress_mediastore_user, regress_mediastore_owner;
SET ROLE regress_mediastore_user;
SELECT media_presign('photos', 'a');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER photos TO regress_mediastore_user;
SET ROLE regress_mediastore_user;
SELECT media_url('photos', 'a');
SELECT substring(media_presign('photos', 'a') FROM 'X-Amz-Credential=([^%]*)') AS signed_by;
SELECT srvname, usename, umoptions FROM pg_user_mappings ORDER BY 1, 2;
RESET ROLE;

-- one's own before PUBLIC's, and nobody else's
CREATE USER MAPPING FOR regress_mediastore_user SERVER photos
	OPTIONS (access_key_id 'AKIAUSER', secret_access_key 'dontshow', session_token 'a+/=b');
CREATE USER MAPPING FOR regress_mediastore_owner SERVER photos OPTIONS (access_key_id 'AKIAOWNER', secret_access_key 'dontshow');
SET ROLE regress_mediastore_user;
SELECT media_presign('photos', 'a', at => '2013-05-24 00:00+00') ~ 'X-Amz-Credential=AKIAUSER%2F.*&X-Amz-Security-Token=a%2B%2F%3Db&' AS own;
RESET ROLE;
SELECT substring(media_presign('photos', 'a') FROM 'X-Amz-Credential=([^%]*)') AS signed_by;
DROP USER MAPPING FOR PUBLIC SERVER photos;
CREATE USER MAPPING FOR regress_mediastore_user SERVER mine OPTIONS (access_key_id 'AKIAUSER', secret_access_key 'dontshow');
SET ROLE regress_mediastore_owner;
SELECT media_presign('mine', 'a');
RESET ROLE;
-- a mapping that is empty does not open what comes after
ALTER USER MAPPING FOR regress_mediastore_user SERVER photos OPTIONS (DROP access_key_id, DROP secret_access_key);
ALTER USER MAPPING FOR regress_mediastore_user SERVER photos OPTIONS (DROP access_key_id, DROP secret_access_key, DROP session_token);
SET ROLE regress_mediastore_user;
SELECT media_presign('photos', 'a');
RESET ROLE;
DROP USER MAPPING FOR regress_mediastore_user SERVER photos;

-- the server's own file
SET mediastore.credentials_file = 'relative';
SELECT current_setting('data_directory') || '/regress_mediastore_credentials' AS file \gset
\set write 'umask 077; cat >' :file
COPY (SELECT line FROM (VALUES (1, '# mine'), (2, 'aws_access_key_id = AKIAOUTSIDE'), (3, '[default]'), (4, 'aws_access_key_id=AKIADEFAULT'),
	(5, 'aws_secret_access_key = dontshow'), (6, 'region = eu-central-1'), (7, ''), (8, '[ other ]'), (9, ';aws_access_key_id = AKIACOMMENT'),
	(10, 'aws_access_key_id =   AKIAOTHER  '), (11, ' aws_access_key_id = AKIANESTED'), (12, 'aws_secret_access_key=dont=show'), (13, 'aws_session_token = TOKEN'),
	(14, '[half]'), (15, 'aws_secret_access_key = dontshow'), (16, '[unclosed'), (17, 'aws_access_key_id = AKIAUNCLOSED')) AS file (nr, line) ORDER BY nr)
	TO PROGRAM :'write';
SET mediastore.credentials_file = :'file';
SELECT media_presign('photos', 'a');
ALTER SERVER photos OPTIONS (ADD profile 'default');
SELECT substring(media_presign('photos', 'a') FROM 'X-Amz-Credential=([^%]*)') AS signed_by;
ALTER SERVER photos OPTIONS (SET profile 'other');
SELECT substring(media_presign('photos', 'a') FROM 'X-Amz-Credential=([^%]*)') AS signed_by,
	substring(media_presign('photos', 'a') FROM 'X-Amz-Security-Token=([^&]*)') AS token;
ALTER SERVER photos OPTIONS (SET profile 'half');
SELECT media_presign('photos', 'a');
ALTER SERVER photos OPTIONS (SET profile 'unclosed');
SELECT media_presign('photos', 'a');
ALTER SERVER photos OPTIONS (SET profile 'other');
-- is for those that may use the server, who don't get to see its name
SET ROLE regress_mediastore_user;
SELECT substring(media_presign('photos', 'a') FROM 'X-Amz-Credential=([^%]*)') AS signed_by;
SELECT try('SHOW mediastore.credentials_file'), try($$SET mediastore.credentials_file = '/etc/passwd'$$);
RESET ROLE;
-- and not for others' servers, whoever owns them later
SET ROLE regress_mediastore_owner;
SELECT media_presign('mine', 'a');
ALTER SERVER mine OPTIONS (ADD profile 'default');
RESET ROLE;
ALTER SERVER mine OWNER TO CURRENT_USER;
SELECT media_presign('mine', 'a');
ALTER SERVER mine OWNER TO regress_mediastore_owner;
-- nor if others can read it, or it is none
\set open 'cat >/dev/null; chmod 644 ' :file
COPY (SELECT) TO PROGRAM :'open';
SELECT media_presign('photos', 'a');
SET mediastore.credentials_file = '/dev/null';
SELECT media_presign('photos', 'a');
SET mediastore.credentials_file = '/no/such/file';
SELECT media_presign('photos', 'a');
RESET mediastore.credentials_file;
SELECT media_presign('photos', 'a');
\set remove 'cat >/dev/null; rm ' :file
COPY (SELECT) TO PROGRAM :'remove';

-- the function of somebody signs as that one
CREATE USER MAPPING FOR CURRENT_USER SERVER photos OPTIONS (access_key_id 'AKIADEFINER', secret_access_key 'dontshow');
CREATE FUNCTION signed_by() RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
	SELECT substring(media_presign('photos', 'a') FROM 'X-Amz-Credential=([^%]*)') $$;
SET ROLE regress_mediastore_user;
SELECT signed_by();
RESET ROLE;

DROP FUNCTION signed_by(), url_with(text, text), try_option(text, text), try(text);
SET client_min_messages = warning;
DROP SERVER photos, example, files, untyped, unknown, mistaken, others CASCADE;
DROP FOREIGN DATA WRAPPER other;
DROP OWNED BY regress_mediastore_owner, regress_mediastore_user CASCADE;
DROP ROLE regress_mediastore_owner, regress_mediastore_user;
