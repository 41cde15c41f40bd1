-- who may use a server, and own a table, does others no harm by it
CREATE SCHEMA push_security;
SET search_path = push_security, public;
SET client_min_messages = warning;

CREATE ROLE regress_mediastore_one;
CREATE ROLE regress_mediastore_two;
CREATE ROLE regress_mediastore_none;
GRANT ALL ON SCHEMA push_security TO regress_mediastore_one, regress_mediastore_two, regress_mediastore_none;
CREATE SERVER security_photos TYPE 's3' FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'examplebucket', region 'us-east-1');
GRANT USAGE ON FOREIGN SERVER security_photos TO regress_mediastore_one, regress_mediastore_two;

-- what only the worker does
CREATE FUNCTION fold(int DEFAULT 1000) RETURNS int LANGUAGE c STRICT AS 'mediastore', 'media_fold_changes';
DELETE FROM mediastore.change;
DELETE FROM mediastore.attachment;
DELETE FROM mediastore.object;
DELETE FROM mediastore.store;
CREATE VIEW object AS SELECT regexp_replace(key, '[0-9a-f]{56}', '') AS key, left(encode(sha256, 'hex'), 8) AS sha256, owner, state,
	(SELECT string_agg(a.relation::regclass || ':' || array_to_string(a.row_key, ','), ' ' ORDER BY a.relation::regclass::text COLLATE "C", a.row_key)
		FROM mediastore.attachment a WHERE a.object = o.id) AS places
	FROM mediastore.object o ORDER BY o.key COLLATE "C";
CREATE FUNCTION stored() RETURNS void LANGUAGE sql AS $$
	UPDATE mediastore.object SET state = 'stored', stored_at = now(), attempts = 0, lease_until = NULL, lease_token = NULL WHERE state = 'pending'
$$;

-- the right to make triggers is not the right to push with the owner's rights
SET ROLE regress_mediastore_one;
CREATE TABLE granted (id int PRIMARY KEY, image bytea, url text);
GRANT TRIGGER, INSERT, SELECT ON granted TO regress_mediastore_none;
SET ROLE regress_mediastore_none;
CREATE TRIGGER push AFTER INSERT ON granted FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key=taken/{pk}', 'url_column=url');
CREATE CONSTRAINT TRIGGER push AFTER INSERT ON granted DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key=taken/{pk}');
CREATE TRIGGER push AFTER TRUNCATE ON granted FOR EACH STATEMENT
	EXECUTE FUNCTION media_push_trigger('image');
CREATE TRIGGER compress BEFORE INSERT ON granted FOR EACH ROW EXECUTE FUNCTION media_compress_trigger('image');
SET ROLE regress_mediastore_one;
CREATE TRIGGER push AFTER INSERT ON granted FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key=taken/{pk}', 'url_column=url');
RESET ROLE;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'granted'::regclass ORDER BY 1;
DROP TABLE granted;

-- one's object is not another's to change, whatever the key says
SET ROLE regress_mediastore_one;
CREATE TABLE mine (id int PRIMARY KEY, image bytea);
CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON mine FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key=photos/{pk}');
CREATE TABLE content (id int PRIMARY KEY, image bytea);
CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON content FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key=content/{sha256}');
INSERT INTO mine VALUES (1, 'mine');
INSERT INTO content VALUES (1, 'content');
SET ROLE regress_mediastore_two;
CREATE TABLE theirs (id text PRIMARY KEY, image bytea);
CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON theirs FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key=photos/{pk}');
CREATE TABLE their_content (id text PRIMARY KEY, image bytea);
CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON their_content FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key=content/{pk}');
RESET ROLE;
SELECT fold();
SELECT stored();
SET ROLE regress_mediastore_two;
INSERT INTO theirs VALUES ('1', 'theirs'), ('2', 'theirs');
INSERT INTO their_content VALUES (encode(sha256('content'), 'hex'), 'theirs');
RESET ROLE;
SELECT fold();
SELECT * FROM object;
-- the same content is no reason to share what its owner may change
UPDATE theirs SET image = 'mine' WHERE id = '1';
UPDATE their_content SET image = 'content';
SELECT fold();
SELECT * FROM object;
-- so the owner can
UPDATE mine SET image = 'mine, too';
SELECT fold();
SELECT * FROM object;
-- nor is what others refer to by its content the owner's to change
SELECT stored();
SET ROLE regress_mediastore_two;
CREATE TABLE copies (id int PRIMARY KEY, image bytea);
CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON copies FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key=content/{sha256}');
INSERT INTO copies VALUES (7, 'content');
RESET ROLE;
SELECT fold();
SET ROLE regress_mediastore_one;
CREATE TABLE changes (id text PRIMARY KEY, image bytea);
CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON changes FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key=content/{pk}');
INSERT INTO changes VALUES (encode(sha256('content'), 'hex'), 'changed');
RESET ROLE;
SELECT fold();
SELECT * FROM object WHERE key LIKE 'content%';
-- what nobody refers to any more is anybody's
DELETE FROM mine;
SELECT fold();
UPDATE theirs SET image = 'theirs again' WHERE id = '1';
SELECT fold();
SELECT * FROM object WHERE key LIKE 'photos%';
-- and a table's new owner goes on with what the old one had
ALTER TABLE theirs OWNER TO regress_mediastore_one;
UPDATE theirs SET image = 'still theirs' WHERE id = '1';
SELECT fold();
SELECT * FROM object WHERE key LIKE 'photos%';

-- to guess a key without USAGE keeps nobody from it, and gives no part in it
SET ROLE regress_mediastore_none;
CREATE TABLE guesses (id text PRIMARY KEY, image bytea);
CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON guesses FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key=photos/{pk}');
INSERT INTO guesses VALUES ('1', 'guess'), ('10', 'guess');
RESET ROLE;
SELECT fold();
SELECT * FROM object WHERE key LIKE 'photos%';
INSERT INTO mine VALUES (10, 'mine');
SELECT fold();
SELECT * FROM object WHERE key LIKE 'photos%';
UPDATE guesses SET image = 'another guess';
SELECT fold();
SELECT * FROM object WHERE key LIKE 'photos%';
DELETE FROM guesses;
SELECT fold();
SELECT * FROM object WHERE key LIKE 'photos%';

-- no row holds up those of others: keys that no index of ours could take
CREATE TABLE long (id bytea PRIMARY KEY, image bytea);
CREATE TRIGGER push AFTER INSERT OR DELETE OR UPDATE ON long FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=security_photos', 'key={sha256}');
INSERT INTO long SELECT string_agg(sha256(i::text::bytea), ''), 'long' FROM generate_series(1, 80) AS i;
INSERT INTO long SELECT string_agg(sha256(i::text::bytea), ''), 'short' FROM generate_series(1, 20) AS i;
UPDATE long SET id = (SELECT string_agg(sha256(i::text::bytea), '') FROM generate_series(1, 80) AS i);
SELECT fold();
SELECT owner, state, length(places) FROM object WHERE key !~ '/';

SELECT count(*) FROM mediastore.change;
DROP SCHEMA push_security CASCADE;
DELETE FROM mediastore.change;
DELETE FROM mediastore.attachment;
DELETE FROM mediastore.object;
DELETE FROM mediastore.store;
DROP SERVER security_photos;
DROP ROLE regress_mediastore_one, regress_mediastore_two, regress_mediastore_none;
