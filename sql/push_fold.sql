-- changes become objects and attachments
CREATE SCHEMA push_fold;
SET search_path = push_fold, public;
SET client_min_messages = warning;

CREATE ROLE regress_mediastore_owner;
CREATE ROLE regress_mediastore_other;
GRANT ALL ON SCHEMA push_fold TO regress_mediastore_owner, regress_mediastore_other;
CREATE SERVER fold_photos TYPE 's3' FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'examplebucket', region 'us-east-1');
CREATE SERVER fold_others TYPE 's3' FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'examplebucket', region 'us-east-1');

-- what only the worker does
CREATE FUNCTION fold(int DEFAULT 1000) RETURNS int LANGUAGE c STRICT AS 'mediastore', 'media_fold_changes';
DELETE FROM mediastore.change;
DELETE FROM mediastore.attachment;
DELETE FROM mediastore.object;
DELETE FROM mediastore.store;

CREATE FUNCTION attach(relation regclass, col name, key text DEFAULT '{table}/{sha256}.{ext}', url_column name DEFAULT NULL,
	offload text DEFAULT 'none', server name DEFAULT 'fold_photos') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM media_attach(relation, col, server => server, key => key, url_column => url_column, offload => offload);
	EXECUTE format('DROP TRIGGER %I ON %s', 'media_compress_' || col, relation);
END $$;
CREATE VIEW object AS SELECT server, regexp_replace(key, '[0-9a-f]{56}', '') AS key, left(encode(sha256, 'hex'), 8) AS sha256,
	bytes, immutable, owner, state, attempts, stored_at IS NOT NULL AS has_been, lease_token AS lease, last_error,
	(next_attempt_at - now()) > '23 h' AS grace, (SELECT count(*) FROM mediastore.attachment a WHERE a.object = o.id) AS places
	FROM mediastore.object o ORDER BY server, o.key COLLATE "C";
CREATE VIEW place AS SELECT a.relation::regclass, a.row_key, a.column_name, a.index, regexp_replace(o.key, '[0-9a-f]{56}', '') AS object, a.written, a.offloaded
	FROM mediastore.attachment a JOIN mediastore.object o ON o.id = a.object ORDER BY a.relation::regclass::text COLLATE "C", a.row_key, a.column_name, a.index;
-- what the pusher records
CREATE FUNCTION stored() RETURNS void LANGUAGE sql AS $$
	UPDATE mediastore.object SET state = 'stored', stored_at = now(), tried = true, attempts = 0, lease_until = NULL, lease_token = NULL WHERE state = 'pending'
$$;

-- one object for the same content, whoever refers to it
CREATE TABLE parts (id int PRIMARY KEY, image bytea, url text);
SELECT attach('parts', 'image');
INSERT INTO parts VALUES (1, 'a'), (2, 'a'), (3, 'b'), (4, NULL);
SELECT server, state, bytes, key LIKE 'parts/%' AS ours FROM mediastore.queue;
SELECT fold();
SELECT fold();
SELECT * FROM object;
SELECT * FROM place;
SELECT server, state, attempts, bytes FROM mediastore.queue ORDER BY key;
SELECT server, database = (SELECT oid FROM pg_database WHERE datname = current_database()) AS ours,
	system_identifier = (SELECT system_identifier FROM pg_control_system()) AS here, timeline, paused FROM mediastore.store;

-- what was never tried goes without a trace
UPDATE parts SET image = 'c' WHERE id = 3;
UPDATE parts SET image = 'b' WHERE id = 2;
SELECT fold();
SELECT * FROM object;
SELECT * FROM place;
DELETE FROM parts WHERE id = 1;
SELECT fold();
SELECT * FROM object;

-- what is stored stays until nobody refers to it, and then for the grace
SELECT stored();
INSERT INTO parts VALUES (5, 'b');
DELETE FROM parts WHERE id = 2;
SELECT fold();
SELECT * FROM object;
UPDATE parts SET image = NULL WHERE id = 5;
SELECT fold();
SELECT * FROM object;
-- ... and is as it was if somebody does again
INSERT INTO parts VALUES (6, 'b');
SELECT fold();
SELECT * FROM object;
-- but not if it is being deleted at that moment
DELETE FROM parts WHERE id = 6;
SELECT fold();
UPDATE mediastore.object SET lease_until = now() + '1 min', lease_token = 7, attempts = 1 WHERE state = 'deleting';
INSERT INTO parts VALUES (6, 'b');
SELECT fold();
SELECT * FROM object;
SELECT stored();
-- one that was tried in vain may be there, however many attempts it was given back
DELETE FROM parts;
INSERT INTO parts VALUES (7, 'd'), (8, 'e');
SELECT fold();
UPDATE mediastore.object SET tried = true WHERE key LIKE '%/18ac3e73%';
UPDATE mediastore.object SET lease_until = now() + '1 min', lease_token = 8, attempts = 0 WHERE key LIKE '%/3f79bb7b%';
DELETE FROM parts;
SELECT fold();
SELECT * FROM object;
INSERT INTO parts VALUES (7, 'd');
SELECT fold();
SELECT * FROM object WHERE key LIKE '%/18ac3e73%' OR state = 'pending';
-- one that was given up gets another try
UPDATE mediastore.object SET state = 'dead', attempts = 10, last_error = 'no' WHERE state = 'pending';
SELECT state, attempts, last_error FROM mediastore.queue WHERE state = 'dead';
INSERT INTO parts VALUES (9, 'd');
SELECT fold();
SELECT * FROM object WHERE state = 'pending';
DELETE FROM mediastore.object;
DELETE FROM mediastore.attachment;
TRUNCATE parts;
SELECT fold();

-- many changes at once: the last one counts
INSERT INTO parts VALUES (1, 'a'), (2, 'a');
UPDATE parts SET image = 'b';
UPDATE parts SET image = NULL WHERE id = 2;
DELETE FROM parts WHERE id = 1;
INSERT INTO parts VALUES (1, 'c');
UPDATE parts SET id = 3 WHERE id = 1;
INSERT INTO parts VALUES (1, 'd');
UPDATE parts SET image = 'e' WHERE id = 3;
SELECT fold();
SELECT * FROM object;
SELECT * FROM place;
-- a few at a time it is the same
DELETE FROM parts;
INSERT INTO parts VALUES (1, 'a'), (2, 'a');
UPDATE parts SET image = 'b';
UPDATE parts SET image = NULL WHERE id = 2;
DELETE FROM parts WHERE id = 1;
INSERT INTO parts VALUES (1, 'c');
UPDATE parts SET id = 3 WHERE id = 1;
INSERT INTO parts VALUES (1, 'd');
UPDATE parts SET image = 'e' WHERE id = 3;
SELECT fold(1), fold(2), fold(3), fold(1), fold(5), fold(5);
SELECT * FROM object;
SELECT * FROM place;
UPDATE parts SET id = id + 10;
UPDATE parts SET id = id - 10 WHERE id = 13;
SELECT fold();
SELECT * FROM place;
-- the end of all rows, and what comes after it
TRUNCATE parts;
INSERT INTO parts VALUES (1, 'a');
SELECT fold();
SELECT * FROM object;
SELECT * FROM place;
-- of very many rows, a part at a time
INSERT INTO parts SELECT i, 'a' FROM generate_series(2, 10500) AS i;
TRUNCATE parts;
INSERT INTO parts VALUES (1, 'b');
SELECT fold(100000) > 10000 AS folded;
SELECT (SELECT count(*) FROM mediastore.attachment) AS places, kind FROM mediastore.change ORDER BY id;
SELECT fold();
SELECT * FROM object;
SELECT * FROM place;

-- a key that is another content's later
CREATE TABLE keyed (id int PRIMARY KEY, image bytea, url text);
SELECT attach('keyed', 'image', key => '{table}/{pk}', url_column => 'url');
INSERT INTO keyed VALUES (1, 'a'), (2, 'b');
SELECT fold(), stored();
UPDATE mediastore.attachment SET written = true;
SELECT * FROM object WHERE key LIKE 'keyed%';
UPDATE keyed SET image = 'c' WHERE id = 1;
SELECT fold();
SELECT * FROM object WHERE key LIKE 'keyed%';
SELECT * FROM place WHERE relation = 'keyed'::regclass;
UPDATE keyed SET id = id + 10;
INSERT INTO keyed VALUES (1, 'd');
SELECT fold();
SELECT * FROM object WHERE key LIKE 'keyed%';
SELECT * FROM place WHERE relation = 'keyed'::regclass;
TRUNCATE keyed;
SELECT fold();

-- what was offloaded, and is put there again
CREATE TABLE offloaded (id int PRIMARY KEY, image bytea, url text);
SELECT attach('offloaded', 'image', url_column => 'url', offload => 'null');
INSERT INTO offloaded VALUES (1, 'a'), (2, 'b');
SELECT fold(), stored();
UPDATE mediastore.attachment SET written = true, offloaded = true WHERE relation = 'offloaded'::regclass;
SET session_replication_role = replica;
UPDATE offloaded SET image = NULL, url = 'https://example.com/';
RESET session_replication_role;
UPDATE offloaded SET image = 'a' WHERE id = 1;
UPDATE offloaded SET url = NULL WHERE id = 2;
SELECT fold();
SELECT * FROM place WHERE relation = 'offloaded'::regclass;
SELECT * FROM object WHERE key LIKE 'offloaded%';

-- arrays
CREATE TABLE many (id int PRIMARY KEY, images bytea[]);
SELECT attach('many', 'images');
INSERT INTO many VALUES (1, '{a,b,NULL,a}');
SELECT fold();
SELECT * FROM place WHERE relation = 'many'::regclass;
UPDATE many SET images = '{a,NULL,c}';
SELECT fold();
SELECT * FROM place WHERE relation = 'many'::regclass;
UPDATE many SET images = NULL;
SELECT fold();
SELECT * FROM object WHERE key LIKE 'many%';

-- two columns, one renamed
CREATE TABLE two (id int PRIMARY KEY, one bytea, other bytea);
SELECT attach('two', 'one'), attach('two', 'other', key => '{column}/{pk}', server => 'fold_others');
INSERT INTO two VALUES (1, 'a', 'b'), (2, NULL, 'c');
UPDATE two SET id = id + 10;
SELECT fold();
SELECT * FROM place WHERE relation = 'two'::regclass;
ALTER TABLE two RENAME one TO first;
SELECT attach('two', 'first');
SELECT fold();
SELECT * FROM place WHERE relation = 'two'::regclass;
-- to another server
SELECT attach('two', 'first', server => 'fold_others');
UPDATE two SET first = 'x';
SELECT fold();
SELECT * FROM place WHERE relation = 'two'::regclass;
ALTER TABLE two DROP first CASCADE;
SELECT fold();
SELECT * FROM place WHERE relation = 'two'::regclass;
DROP TABLE two;
SELECT fold();
SELECT * FROM place;
SELECT server FROM mediastore.store ORDER BY 1;

-- a table that is gone with no word of it
BEGIN;
SET LOCAL session_replication_role = replica;
CREATE TABLE gone (id int PRIMARY KEY, image bytea);
RESET session_replication_role;
SELECT attach('gone', 'image');
INSERT INTO gone VALUES (1, 'a');
ALTER EVENT TRIGGER mediastore_drop DISABLE;
DROP TABLE gone;
ALTER EVENT TRIGGER mediastore_drop ENABLE;
COMMIT;
SELECT fold();
SELECT * FROM object WHERE key LIKE 'gone%';

-- another's objects: nobody lays hands on them without USAGE
GRANT USAGE ON FOREIGN SERVER fold_photos TO regress_mediastore_owner;
SET ROLE regress_mediastore_owner;
CREATE TABLE owned (id int PRIMARY KEY, image bytea);
SELECT FROM media_attach('owned', 'image', server => 'fold_photos', key => 'shared/{pk}');
DROP TRIGGER media_compress_image ON owned;
INSERT INTO owned VALUES (1, 'mine');
SET ROLE regress_mediastore_other;
CREATE TABLE others (id int PRIMARY KEY, image bytea);
CREATE TRIGGER mine AFTER INSERT OR DELETE OR UPDATE ON others FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=fold_photos', 'key=shared/{pk}');
INSERT INTO others VALUES (1, 'theirs'), (2, 'new');
RESET ROLE;
SELECT fold();
SELECT * FROM object WHERE key LIKE 'shared%';
SELECT * FROM place WHERE object LIKE 'shared%';
SELECT stored();
UPDATE others SET image = 'again' WHERE id = 1;
DELETE FROM others WHERE id = 1;
SELECT fold();
SELECT * FROM object WHERE key LIKE 'shared%';
-- who has it takes over
INSERT INTO owned VALUES (2, 'mine');
SELECT fold();
SELECT * FROM object WHERE key LIKE 'shared%';
GRANT USAGE ON FOREIGN SERVER fold_photos TO regress_mediastore_other;
UPDATE others SET image = 'theirs';
SELECT fold();
SELECT * FROM object WHERE key LIKE 'shared%';
-- a server that is not there is for the worker to find out
DROP SERVER fold_others;
SET ROLE regress_mediastore_other;
DROP TRIGGER mine ON others;
CREATE TRIGGER another AFTER INSERT ON others FOR EACH ROW
	EXECUTE FUNCTION media_push_trigger('image', 'server=fold_others', 'key={pk}');
INSERT INTO others VALUES (3, 'x');
RESET ROLE;
SELECT fold();
SELECT server, key, state, owner FROM object WHERE server = 'fold_others';

-- retried and discarded
UPDATE mediastore.object SET state = 'dead', attempts = 10, last_error = 'no', next_attempt_at = now() + '1 h'
	WHERE key IN ('shared/1', 'shared/2');
SELECT key, media_retry(id) FROM mediastore.object WHERE key IN ('shared/1', 'shared/3') ORDER BY key;
SELECT key, state, attempts, next_attempt_at <= now() AS due FROM mediastore.object WHERE key LIKE 'shared%' ORDER BY key;
SELECT key, media_discard(id) FROM mediastore.object WHERE key LIKE 'shared%' ORDER BY key;
SELECT * FROM place WHERE object LIKE 'shared%';
UPDATE mediastore.object SET state = 'dead' WHERE key = 'shared/1';
DELETE FROM mediastore.attachment a USING mediastore.object o WHERE o.id = a.object AND o.key = 'shared/1';
SELECT media_retry(id) FROM mediastore.object WHERE key = 'shared/1';
SELECT state FROM mediastore.object WHERE key = 'shared/1';

-- triggers of others on the tables are refused
CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''%'', current_user; RETURN NULL; END';
CREATE TRIGGER spy AFTER INSERT OR UPDATE OR DELETE ON mediastore.object EXECUTE FUNCTION spy();
INSERT INTO parts VALUES (100, 'z');
SELECT fold();
DROP TRIGGER spy ON mediastore.object;
SELECT fold();

-- what a column held before it was attached
CREATE TABLE before (id int, at timestamptz DEFAULT '2024-01-01 00:00:00+00', image bytea, images bytea[], PRIMARY KEY (at, id));
INSERT INTO before (id, image) SELECT i, CASE WHEN i < 5 THEN i::text::bytea END FROM generate_series(1, 5) AS i;
CALL media_push_existing('before', 'image');
SELECT attach('before', 'image');
CALL media_push_existing('before', 'image', 3);
SELECT fold();
SELECT a.relation::regclass, row_key, state FROM mediastore.attachment a JOIN mediastore.object o ON o.id = a.object
	WHERE relation = 'before'::regclass ORDER BY row_key;
INSERT INTO before (id, image) VALUES (6, 'new');
SET session_replication_role = replica;
INSERT INTO before (id, image) VALUES (7, 'old');
RESET session_replication_role;
SELECT fold();
SET TimeZone = 'Asia/Tokyo';
CALL media_push_existing('before', 'image');
RESET TimeZone;
SELECT kind, row_key FROM mediastore.change;
SELECT fold();
CALL media_push_existing('before', 'image');
SELECT count(*) FROM mediastore.change;
ALTER TABLE before DISABLE TRIGGER media_push_image;
CALL media_push_existing('before', 'image');
CALL media_push_existing('before', 'nothing');
SELECT relation::regclass, operation, rows_total, rows_changed FROM mediastore.progress WHERE relation = 'before'::regclass ORDER BY run;

-- an empty queue shows nothing, and pg_monitor sees that
SET ROLE pg_monitor;
SELECT count(*) > 0 AS some FROM mediastore.queue;
RESET ROLE;

DROP SCHEMA push_fold CASCADE;
SELECT kind, column_name FROM mediastore.change;
DELETE FROM mediastore.change;
DELETE FROM mediastore.attachment;
DELETE FROM mediastore.object;
DELETE FROM mediastore.store;
DROP SERVER fold_photos CASCADE;
DROP OWNED BY regress_mediastore_owner, regress_mediastore_other;
DROP ROLE regress_mediastore_owner, regress_mediastore_other;
