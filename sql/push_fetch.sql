-- values that were moved to a store, for those who see their rows
SET client_min_messages = warning;
CREATE ROLE regress_mediastore_owner;
CREATE ROLE regress_mediastore_user;
SELECT current_setting('data_directory') || '/regress_mediastore_fetch' AS root \gset
\set make 'cat >/dev/null; rm -rf ' :root '; mkdir ' :root
COPY (SELECT) TO PROGRAM :'make';
CREATE SERVER fetch_files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root :'root', prefix 'media/');
CREATE SERVER fetch_public TYPE 's3' FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'examplebucket', region 'us-east-1', public_url 'https://cdn.example.com');
CREATE SERVER fetch_private TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', region 'us-east-1', prefix 'p/');
GRANT USAGE ON FOREIGN SERVER fetch_files, fetch_public, fetch_private TO regress_mediastore_owner;
CREATE USER MAPPING FOR regress_mediastore_owner SERVER fetch_private OPTIONS (access_key_id 'AKIAOWNER', secret_access_key 'dontshow');
-- no worker is to look at what is made up here
INSERT INTO mediastore.store (server, system_identifier, database, timeline, paused)
	SELECT server, 0, 0, 0, true FROM unnest('{fetch_files,fetch_public,fetch_private}'::name[]) AS server;

CREATE TABLE fetch_user (note text, id int, name text, photo bytea, photos bytea[], PRIMARY KEY (name, id));
ALTER TABLE fetch_user OWNER TO regress_mediastore_owner;
GRANT SELECT ON fetch_user TO regress_mediastore_user;
INSERT INTO fetch_user (id, name, photo, photos) VALUES
	(1, 'held', 'held bytes', '{one,NULL,three}'), (2, 'none', NULL, NULL), (3, 'moved', NULL, NULL),
	(4, 'small', 'thumbnail', '{small}'), (5, 'public', NULL, NULL), (6, 'private', NULL, NULL), (7, 'pending', NULL, NULL);

-- what the worker does, by hand
CREATE FUNCTION move(relation regclass, row_key text[], column_name name, index int, server name, content bytea,
	put bool DEFAULT true, state text DEFAULT 'stored') RETURNS bool LANGUAGE sql AS $$
	SELECT media_put(server, encode(sha256(content), 'hex'), content) WHERE put;
	INSERT INTO mediastore.object (server, key, sha256, bytes, immutable, owner, state, etag, stored_at)
		VALUES (server, encode(sha256(content), 'hex'), sha256(content), length(content), true, 'regress_mediastore_owner', state, NULL,
			CASE state WHEN 'stored' THEN now() - interval '1 day' END)
		ON CONFLICT DO NOTHING;
	INSERT INTO mediastore.attachment (relation, row_key, column_name, index, object, written, offloaded)
		SELECT relation, row_key, column_name, index, o.id, true, true FROM mediastore.object AS o
			WHERE o.server = move.server AND o.key = encode(sha256(content), 'hex')
		RETURNING true;
$$;
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE statement INTO result;
	RETURN coalesce(result, 'null');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION text_of(bytea) RETURNS text LANGUAGE sql AS $$ SELECT convert_from($1, 'UTF8') $$;

SELECT count(move('fetch_user', ARRAY['moved', '3'], 'photo', 0, 'fetch_files', 'moved bytes'));
SELECT count(move('fetch_user', ARRAY['moved', '3'], 'photos', n, 'fetch_files', convert_to('element ' || n, 'UTF8'))) FROM generate_series(1, 2) AS n;
SELECT count(move('fetch_user', ARRAY['small', '4'], 'photo', 0, 'fetch_files', convert_to(repeat('large', 200000), 'UTF8')));
SELECT count(move('fetch_user', ARRAY['small', '4'], 'photos', 1, 'fetch_files', 'large element'));
SELECT count(move('fetch_user', ARRAY['public', '5'], 'photo', 0, 'fetch_public', 'public bytes', false));
SELECT count(move('fetch_user', ARRAY['private', '6'], 'photo', 0, 'fetch_private', 'private bytes', false));
SELECT count(move('fetch_user', ARRAY['pending', '7'], 'photo', 0, 'fetch_files', 'pending bytes', false, 'pending'));
ANALYZE mediastore.attachment, mediastore.object;

-- what there is
SELECT id, text_of(media_fetch(u, 'photo')) AS photo, text_of(media_fetch(u, 'photos', 1)) AS first, text_of(media_fetch(u, 'photos', 2)) AS second,
	text_of(media_fetch(u, 'photos', 3)) AS third, text_of(media_fetch(u, 'photos', 4)) AS fourth
	FROM fetch_user AS u WHERE id < 4 ORDER BY id;
SELECT md5(media_fetch(u, 'photo')) = md5(repeat('large', 200000)) AS photo, text_of(media_fetch(u, 'photos', 1)) AS first, text_of(media_fetch(u, 'photos', 2)) AS second
	FROM fetch_user AS u WHERE id = 4;
SELECT try($$SELECT media_fetch(u, 'photo') FROM fetch_user AS u WHERE id = 7$$);
SELECT media_fetch(NULL::fetch_user, 'photo') IS NULL AND media_fetch(u, NULL) IS NULL AS "null" FROM fetch_user AS u WHERE id = 1;

-- what a statement writes, and what it writes over
BEGIN;
INSERT INTO fetch_user (id, name, photo) VALUES (10, 'new', 'new bytes') RETURNING text_of(media_fetch(fetch_user, 'photo'));
UPDATE fetch_user SET note = 'x' WHERE id = 3 RETURNING text_of(media_fetch(fetch_user, 'photo'));
DELETE FROM fetch_user WHERE id = 3 RETURNING text_of(media_fetch(fetch_user, 'photo'));
ROLLBACK;

-- what can't be asked for
SELECT try(statement) FROM (VALUES
	(1, $$SELECT media_fetch(1, 'photo')$$),
	(2, $$SELECT media_fetch(ROW(1, 2), 'photo')$$),
	(3, $$SELECT media_fetch(u, 'photo') FROM (SELECT * FROM fetch_user) AS u$$),
	(4, $$SELECT media_fetch(NULL::media_response, 'body')$$),
	(5, $$SELECT media_fetch(r, 'photo') FROM pg_foreign_server AS r$$),
	(6, $$SELECT media_fetch(u, 'picture') FROM fetch_user AS u$$),
	(7, $$SELECT media_fetch(u, 'ctid') FROM fetch_user AS u$$),
	(8, $$SELECT media_fetch(u, 'note') FROM fetch_user AS u$$),
	(9, $$SELECT media_fetch(u, 'photos') FROM fetch_user AS u$$),
	(10, $$SELECT media_fetch(u, 'photos', 0) FROM fetch_user AS u$$),
	(11, $$SELECT media_fetch(u, 'photo', 1) FROM fetch_user AS u$$)) AS wrong (nr, statement) ORDER BY nr;
SELECT media_fetch(ROW(1, 2), 'photo');
SELECT media_fetch(u, 'photos') FROM fetch_user AS u;

-- what is not folded yet: the row has a value of its own, has lost it, has another key
BEGIN;
INSERT INTO mediastore.change (kind, relation, row_key, column_name, index) VALUES ('a', 'fetch_user', '{small,4}', 'photo', 0);
SELECT text_of(media_fetch(u, 'photo')) FROM fetch_user AS u WHERE id = 4;
SELECT text_of(media_fetch(u, 'photos', 1)) FROM fetch_user AS u WHERE id = 4;
INSERT INTO mediastore.change (kind, relation, row_key, column_name) VALUES ('d', 'fetch_user', '{small,4}', 'photos');
SELECT text_of(media_fetch(u, 'photos', 1)) FROM fetch_user AS u WHERE id = 4;
INSERT INTO mediastore.change (kind, relation, row_key, column_name, new_key)
	VALUES ('m', 'fetch_user', '{moved,3}', 'photo', '{away,3}'), ('m', 'fetch_user', '{moved,3}', 'photos', '{away,3}'), ('m', 'fetch_user', '{away,3}', 'photo', '{again,3}');
CREATE TRIGGER media_push AFTER INSERT OR UPDATE OR DELETE ON fetch_user FOR EACH ROW EXECUTE FUNCTION media_push_trigger('photo', 'server=fetch_files', 'offload=null');
ALTER TABLE fetch_user DISABLE TRIGGER media_push;
UPDATE fetch_user SET name = 'again' WHERE id = 3;
INSERT INTO fetch_user (id, name) VALUES (3, 'moved');
SELECT name, text_of(media_fetch(u, 'photo')) FROM fetch_user AS u WHERE id = 3 ORDER BY name;
INSERT INTO mediastore.change (kind, relation) VALUES ('t', 'fetch_user');
SELECT name, text_of(media_fetch(u, 'photo')) FROM fetch_user AS u WHERE id IN (3, 4) ORDER BY name;
ROLLBACK;

-- who sees the row sees the value: EXECUTE, SELECT, row-level security
SET ROLE regress_mediastore_user;
SELECT media_fetch(u, 'photo') FROM fetch_user AS u WHERE id = 3;
SELECT media_serve_row(u, 'photo') FROM fetch_user AS u WHERE id = 3;
SELECT * FROM mediastore.audit('fetch_files');
RESET ROLE;
GRANT EXECUTE ON FUNCTION media_fetch, media_serve_row TO regress_mediastore_user, regress_mediastore_owner;
SET ROLE regress_mediastore_user;
SELECT text_of(media_fetch(u, 'photo')) FROM fetch_user AS u WHERE id = 3;
SELECT media_get('fetch_files', 'x');
RESET ROLE;
ALTER TABLE fetch_user ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON fetch_user FOR SELECT TO regress_mediastore_user USING (id % 2 = 0);
SET ROLE regress_mediastore_user;
SELECT text_of(media_fetch(ROW('', 4, 'small', 'mine', NULL)::fetch_user, 'photos', 1)) AS seen,
	text_of(media_fetch(ROW('', 3, 'moved', NULL, NULL)::fetch_user, 'photo')) AS unseen,
	text_of(media_fetch(ROW('', 3, 'moved', 'mine', NULL)::fetch_user, 'photo')) AS unseen_mine,
	(media_serve_row(ROW('', 3, 'moved', NULL, NULL)::fetch_user, 'photo')).status AS unseen_served,
	media_fetch(ROW('', NULL, 'moved', NULL, NULL)::fetch_user, 'photo') AS no_key;
RESET ROLE;
REVOKE SELECT ON fetch_user FROM regress_mediastore_user;
GRANT SELECT (id, name, photo) ON fetch_user TO regress_mediastore_user;
SET ROLE regress_mediastore_user;
SELECT length(media_fetch(ROW('', 4, 'small', NULL, NULL)::fetch_user, 'photo'));
SELECT media_fetch(ROW('', 4, 'small', NULL, NULL)::fetch_user, 'photos', 1);
RESET ROLE;
REVOKE SELECT ON fetch_user FROM regress_mediastore_user;
REVOKE SELECT (id, name, photo) ON fetch_user FROM regress_mediastore_user;
SET ROLE regress_mediastore_user;
SELECT media_fetch(ROW('', 4, 'small', NULL, NULL)::fetch_user, 'photo');
RESET ROLE;
ALTER TABLE fetch_user DISABLE ROW LEVEL SECURITY;

-- the store is asked as the object's owner, and we are who we were
REVOKE USAGE ON FOREIGN SERVER fetch_files FROM regress_mediastore_owner;
SELECT media_fetch(u, 'photo') FROM fetch_user AS u WHERE id = 3;
SELECT current_user = session_user AS same;
GRANT USAGE ON FOREIGN SERVER fetch_files TO regress_mediastore_owner;
SELECT length(media_fetch(u, 'photo')), current_user = session_user AS same FROM fetch_user AS u WHERE id = 3;

-- what is there is not what was put there, or nothing is
SELECT media_put('fetch_files', encode(sha256('moved bytes'), 'hex'), 'other bytes');
SELECT try($$SELECT media_fetch(u, 'photo') FROM fetch_user AS u WHERE id = 3$$) ~ '^XX001 what store "fetch_files" has is not what was put there';
SELECT media_put('fetch_files', encode(sha256('moved bytes'), 'hex'), 'other');
SELECT left(try($$SELECT media_fetch(u, 'photo') FROM fetch_user AS u WHERE id = 3$$), 5);
SELECT media_delete('fetch_files', encode(sha256('moved bytes'), 'hex'));
SELECT left(try($$SELECT media_fetch(u, 'photo') FROM fetch_user AS u WHERE id = 3$$), 5);

-- trees of tables; keys of any type, and in any order
CREATE DOMAIN day AS date;
CREATE TABLE fetch_log (data bytea, id uuid, at timestamptz, d day, PRIMARY KEY (at, d, id)) PARTITION BY RANGE (at);
CREATE TABLE fetch_log_1 (d day NOT NULL, dropped int, at timestamptz NOT NULL, id uuid NOT NULL, data bytea);
ALTER TABLE fetch_log_1 DROP dropped;
ALTER TABLE fetch_log ATTACH PARTITION fetch_log_1 FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
INSERT INTO fetch_log VALUES (NULL, 'a0000000-0000-0000-0000-000000000001', '2024-02-03 04:05:06.7+00', '2024-12-31');
CREATE TABLE fetch_parent (id int PRIMARY KEY, data bytea);
CREATE TABLE fetch_child (PRIMARY KEY (id)) INHERITS (fetch_parent);
CREATE TABLE fetch_keyless () INHERITS (fetch_parent);
CREATE TABLE fetch_other (extra int, PRIMARY KEY (id, extra)) INHERITS (fetch_parent);
INSERT INTO fetch_parent VALUES (1, 'parent'), (2, NULL);
INSERT INTO fetch_child VALUES (3, NULL), (4, 'child');
INSERT INTO fetch_keyless VALUES (5, 'keyless'), (6, NULL);
INSERT INTO fetch_other VALUES (7, 'other', 1);
SELECT count(move('fetch_log_1', ARRAY['2024-02-03 04:05:06.7+00', '2024-12-31', 'a0000000-0000-0000-0000-000000000001'], 'data', 0, 'fetch_files', 'of a partition'));
SELECT count(move('fetch_child', ARRAY['3'], 'data', 0, 'fetch_files', 'of a child'));
SET datestyle = 'German, DMY';
SET timezone = 'Asia/Kolkata';
SELECT text_of(media_fetch(l, 'data')) AS root FROM fetch_log AS l;
SELECT text_of(media_fetch(l, 'data')) AS leaf FROM fetch_log_1 AS l;
RESET datestyle;
RESET timezone;
SELECT id, text_of(media_fetch(p, 'data')) FROM fetch_parent AS p WHERE id < 7 ORDER BY id;
SELECT id, text_of(media_fetch(p, 'data')) FROM fetch_child AS p ORDER BY id;
SELECT id, text_of(media_fetch(p, 'data')) FROM fetch_keyless AS p ORDER BY id;
SELECT media_fetch(p, 'data') FROM fetch_parent AS p WHERE id = 7;
SELECT text_of(media_fetch(p, 'data')) FROM fetch_other AS p;
INSERT INTO fetch_child VALUES (1, 'twice');
SELECT media_fetch(p, 'data') FROM ONLY fetch_parent AS p WHERE id = 1;

-- serving: from here, or by a redirect
CREATE FUNCTION answer(media_response) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s %s %s', $1.status, (SELECT string_agg(key || ': ' || value, ', ' ORDER BY key) FROM jsonb_each_text($1.headers - 'Content-Security-Policy' -
		'X-Content-Type-Options' - 'Accept-Ranges')), text_of($1.body)) $$;
SELECT answer(media_serve_row(u, 'photo')) FROM fetch_user AS u WHERE id < 3 ORDER BY id;
SELECT answer(media_serve_row(u, 'photos', index => 3, filename => 'a.bin', etag => 'x')) FROM fetch_user AS u WHERE id = 1;
SELECT answer(media_serve_row(u, 'photo', request)) FROM fetch_user AS u, (VALUES
	(1, '{}'::jsonb), (2, '{"method": "HEAD"}'), (3, '{"method": "POST"}'), (4, '{"range": "bytes=0-1"}'),
	(5, jsonb_build_object('if-none-match', '"' || left(encode(sha256('public bytes'), 'hex'), 32) || '"')), (6, '{"if-match": "\"x\""}')) AS request (nr, request)
	WHERE id = 5 ORDER BY nr;
SELECT answer(media_serve_row(u, 'photo', cache_control => NULL, etag => 'mine')) FROM fetch_user AS u WHERE id = 5;
SELECT nr, regexp_replace(answer(media_serve_row(u, 'photo', request, expires => expires)),
	'(X-Amz-Date=)\d{8}T\d{6}Z|(X-Amz-Signature=)[0-9a-f]{64}|(AKIAOWNER%2F)\d{8}', '\1\2\3...', 'g') FROM fetch_user AS u, (VALUES
	(1, '{}'::jsonb, '15 min'::interval), (2, '{"method": "HEAD"}', '2 d'), (3, '{"method": "POST"}', '15 min'), (4, '{}', NULL),
	(5, jsonb_build_object('if-none-match', '"' || left(encode(sha256('private bytes'), 'hex'), 32) || '"'), '15 min')) AS request (nr, request, expires)
	WHERE id = 6 ORDER BY nr;
-- a signature is for the method that will follow it
SELECT count(DISTINCT media_serve_row(u, 'photo', jsonb_build_object('method', method))) FROM fetch_user AS u, unnest('{GET,HEAD}'::text[]) AS method WHERE id = 6;
SELECT try($$SELECT media_serve_row(u, 'photo', expires => '8 d') FROM fetch_user AS u WHERE id = 6$$);
SELECT try($$SELECT media_serve_row(u, 'photo') FROM fetch_user AS u WHERE id = 7$$);
SELECT try($$SELECT media_serve_row(u, 'photo', '[]') FROM fetch_user AS u WHERE id = 5$$);
-- what nobody else serves
SELECT answer(media_serve_row(l, 'data', request)) FROM fetch_log AS l, unnest(ARRAY['{}', '{"range": "bytes=3-6"}', '{"method": "PUT"}']::jsonb[]) AS request;
ALTER SERVER fetch_files OPTIONS (ADD public_url 'https://files.example.com/');
SELECT answer(media_serve_row(l, 'data')) FROM fetch_log AS l;
-- of whom credentials are
DROP USER MAPPING FOR regress_mediastore_owner SERVER fetch_private;
CREATE USER MAPPING FOR CURRENT_USER SERVER fetch_private OPTIONS (access_key_id 'AKIACALLER', secret_access_key 'dontshow');
SELECT left(try($$SELECT media_serve_row(u, 'photo') FROM fetch_user AS u WHERE id = 6$$), 5);

DELETE FROM mediastore.attachment WHERE relation IN ('fetch_user'::regclass, 'fetch_log_1', 'fetch_child');
DELETE FROM mediastore.object WHERE server LIKE 'fetch_%';
DELETE FROM mediastore.store WHERE server LIKE 'fetch_%';
DROP TABLE fetch_user, fetch_log, fetch_parent CASCADE;
DROP DOMAIN day;
DROP FUNCTION answer(media_response), text_of(bytea), try(text), move(regclass, text[], name, int, name, bytea, bool, text);
DROP SERVER fetch_files, fetch_public, fetch_private CASCADE;
DROP OWNED BY regress_mediastore_owner, regress_mediastore_user;
DROP ROLE regress_mediastore_owner, regress_mediastore_user;
\set remove 'cat >/dev/null; rm -r ' :root
COPY (SELECT) TO PROGRAM :'remove';
