-- whether a store has what it should have
SET client_min_messages = warning;
CREATE ROLE regress_mediastore_user;
SELECT current_setting('data_directory') || '/regress_mediastore_audit' AS root \gset
\set make 'cat >/dev/null; rm -rf ' :root '; mkdir ' :root
COPY (SELECT) TO PROGRAM :'make';
CREATE SERVER audit_files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root :'root', prefix 'media/');
CREATE SERVER audit_beside TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root :'root', prefix 'beside/');
-- no worker is to look at what is made up here
INSERT INTO mediastore.store (server, system_identifier, database, timeline, paused) VALUES ('audit_files', 0, 0, 0, true);
CREATE TABLE audit_user (id int PRIMARY KEY, photo bytea, other bytea);
INSERT INTO audit_user SELECT id, convert_to('photo ' || id, 'UTF8') FROM generate_series(1, 1200) AS id;

-- tells which columns the key had; what it would write down is made up, too
CREATE TRIGGER media_push AFTER INSERT OR DELETE OR UPDATE OF photo, id ON audit_user FOR EACH ROW EXECUTE FUNCTION media_push_trigger('photo', 'server=audit_files');
ALTER TABLE audit_user DISABLE TRIGGER media_push;

CREATE FUNCTION keep(id int, key text, put text, state text DEFAULT 'stored', offloaded bool DEFAULT false, relation oid DEFAULT 'audit_user'::regclass,
	row_key text DEFAULT NULL, column_name name DEFAULT 'photo', stored_at timestamptz DEFAULT now() - interval '1 day')
	RETURNS bool LANGUAGE sql AS $$
	SELECT media_put('audit_files', key, convert_to(put, 'UTF8')) WHERE put IS NOT NULL;
	INSERT INTO mediastore.object (server, key, sha256, bytes, immutable, owner, state, stored_at)
		VALUES ('audit_files', key, sha256(convert_to('photo ' || keep.id, 'UTF8')), length('photo ' || keep.id), true, (SELECT current_user::regrole), state, stored_at);
	INSERT INTO mediastore.attachment (relation, row_key, column_name, index, object, written, offloaded)
		SELECT relation, ARRAY[coalesce(row_key, keep.id::text)], column_name, 0, o.id, true, offloaded FROM mediastore.object AS o
			WHERE o.server = 'audit_files' AND o.key = keep.key AND relation <> 0;
	SELECT true;
$$;
CREATE TEMPORARY VIEW found AS
	SELECT finding, key, bytes, relation::oid::regclass, row_key, column_name, index, detail, repaired, object IS NOT NULL AS object
	FROM mediastore.audit('audit_files') ORDER BY finding, key COLLATE "C", row_key;
-- more than a page, and in an order that is not everybody's
SELECT count(keep(id, CASE id % 3 WHEN 0 THEN 'a/' WHEN 1 THEN 'a.' ELSE 'Z' END || id, 'photo ' || id)) FROM generate_series(1, 1100) AS id;
SELECT * FROM found;
SELECT count(*) FROM mediastore.audit('audit_beside');
SELECT count(*) FROM mediastore.audit(NULL) UNION ALL SELECT count(*) FROM mediastore.audit('audit_files', NULL);

-- what the store lacks
SELECT keep(1101, 'missing', NULL), keep(1102, 'missing, lost', NULL, offloaded => true), keep(1103, 'differs', 'else'), keep(1104, 'differs, lost', 'else', offloaded => true);
INSERT INTO mediastore.attachment SELECT 'audit_user', '{1}', 'other', 0, id, true, true FROM mediastore.object WHERE server = 'audit_files' AND key = 'missing';
-- what does not matter: what is under way, what is newer than the list
SELECT keep(1105, 'pending', NULL, 'pending', stored_at => NULL), keep(1106, 'pending, put', 'photo 1106', 'pending'), keep(1107, 'dead', NULL, 'dead', stored_at => NULL),
	keep(1108, 'deleting', 'photo 1108', 'deleting', relation => 0), keep(1109, 'newer', NULL, stored_at => 'infinity');
-- what the rows lack
CREATE TABLE audit_dropped (id int);
SELECT 'audit_dropped'::regclass::oid AS dropped \gset
SELECT keep(1110, 'unreferenced', 'photo 1110', relation => 0), keep(9001, 'row gone', 'photo 9001'), keep(9002, 'table gone', 'photo 9002', relation => :dropped),
	keep(9003, 'row gone, to be folded', 'photo 9003'), keep(9005, 'row gone, lost', 'photo 9005', offloaded => true), keep(9004, 'no key', 'photo 9004', row_key => 'x'), keep(1111, 'no column', 'photo 1111', column_name => 'picture');
DROP TABLE audit_dropped;
DELETE FROM mediastore.change WHERE relation = :dropped;
DELETE FROM mediastore.attachment WHERE row_key = '{9001}' AND column_name = 'other';
INSERT INTO mediastore.change (kind, relation, row_key, column_name) VALUES ('d', 'audit_user', '{9003}', 'photo');
-- what the store has too much
SELECT encode(sha256('orphan'), 'hex') AS sha \gset
SELECT media_put('audit_files', 'orphan/' || :'sha' || '.x', 'orphan'), media_put('audit_files', 'wanted', 'wanted'), media_put('audit_beside', 'beside', 'beside'),
	-- not told by their names to be anybody's: no SHA-256, in the folder's name only, of one digit more, of other content
	media_put('audit_files', 'foreign', 'foreign'), media_put('audit_files', :'sha' || '/foreign', 'orphan'), media_put('audit_files', 'strange/' || :'sha' || '0', 'orphan'),
	media_put('audit_files', 'false/' || :'sha', 'false');
INSERT INTO mediastore.change (kind, relation, row_key, column_name, index, server, key) VALUES ('a', 'audit_user', '{1}', 'photo', 0, 'audit_files', 'wanted');
SELECT finding, key, bytes, CASE WHEN relation::oid = :dropped THEN 'dropped' ELSE relation::text END AS relation, row_key, column_name, index, object, repaired, detail FROM found;
\set age 'cat >/dev/null; find ' :root '/media/orphan ' :root '/media/false -type f -exec touch -d "2 days ago" {} +'
COPY (SELECT) TO PROGRAM :'age';
SET work_mem = '64kB';
SELECT finding, key, repaired, detail FROM found WHERE finding = 'orphan';
RESET work_mem;
-- nothing was written
SELECT state, count(*) FROM mediastore.object WHERE server LIKE 'audit_%' GROUP BY state ORDER BY state;

-- repaired
BEGIN;
SELECT finding, key, row_key, repaired FROM mediastore.audit('audit_files', true) ORDER BY finding, key COLLATE "C", row_key;
SELECT key, state, stored_at IS NOT NULL AS stored, attempts, bytes, owner = current_user::regrole AS mine FROM mediastore.object
	WHERE server = 'audit_files' AND key IN ('missing', 'missing, lost', 'differs', 'differs, lost', 'unreferenced', 'row gone', 'orphan/' || :'sha' || '.x') ORDER BY key COLLATE "C";
SELECT kind, CASE WHEN relation::oid = :dropped THEN 'dropped' ELSE relation::text END AS relation, row_key, column_name, index FROM mediastore.change
	WHERE relation::oid IN ('audit_user'::regclass, :dropped) ORDER BY id;
-- and not once more
SELECT finding, key, row_key, repaired FROM mediastore.audit('audit_files', true) ORDER BY finding, key COLLATE "C", row_key;
-- nothing is deleted from here
SELECT key FROM media_list('audit_files', 'orphan');
ROLLBACK;
-- and deleted by the worker, who must know the store
BEGIN;
DELETE FROM mediastore.store WHERE server = 'audit_files';
SELECT finding, key, repaired FROM mediastore.audit('audit_files', true) WHERE finding = 'orphan' ORDER BY key COLLATE "C";
SELECT o.sha256 = sha256('orphan') AS sha256, o.tried, s.database = d.oid AS ours FROM mediastore.object o JOIN mediastore.store s USING (server) JOIN pg_database d ON datname = current_database()
	WHERE o.key = 'orphan/' || :'sha' || '.x';
ROLLBACK;

-- no row of that key: it may be that the key is another one now
CREATE FUNCTION unchecked() RETURNS TABLE (finding text, keys int8, detail text) LANGUAGE sql AS
	$$ SELECT finding, count(*), detail FROM mediastore.audit('audit_files') WHERE row_key IN ('{9001}', '{1}') AND column_name = 'photo' GROUP BY finding, detail ORDER BY finding, detail COLLATE "C" $$;
BEGIN;
ALTER TABLE audit_user DROP CONSTRAINT audit_user_pkey;
SELECT * FROM unchecked();
ALTER TABLE audit_user ADD PRIMARY KEY (id) DEFERRABLE;
SELECT * FROM unchecked();
ALTER TABLE audit_user DROP CONSTRAINT audit_user_pkey, ADD CONSTRAINT audit_user_pkey PRIMARY KEY (id);
SELECT * FROM unchecked();
ROLLBACK;
BEGIN;
ALTER TABLE audit_user ADD COLUMN number int GENERATED ALWAYS AS (id + 10000) STORED, DROP CONSTRAINT audit_user_pkey, ADD PRIMARY KEY (number);
SELECT * FROM unchecked();
ALTER TABLE audit_user DROP CONSTRAINT audit_user_pkey, ADD PRIMARY KEY (id, number);
SELECT * FROM unchecked();
DROP TRIGGER media_push ON audit_user;
ALTER TABLE audit_user DROP CONSTRAINT audit_user_pkey, ADD PRIMARY KEY (id);
SELECT * FROM unchecked();
CREATE TRIGGER media_push AFTER INSERT OR DELETE OR UPDATE ON audit_user FOR EACH ROW EXECUTE FUNCTION media_push_trigger('photo', 'server=audit_files');
SELECT * FROM unchecked();
ROLLBACK;

-- a table whose rows all are gone
BEGIN;
DELETE FROM audit_user;
SELECT finding, count(*), count(DISTINCT key) FROM mediastore.audit('audit_files') GROUP BY finding ORDER BY finding;
INSERT INTO mediastore.change (kind, relation) VALUES ('t', 'audit_user');
SELECT finding, key, detail FROM mediastore.audit('audit_files') WHERE finding IN ('row gone', 'unchecked') ORDER BY finding, key COLLATE "C";
ROLLBACK;

-- whose
GRANT EXECUTE ON FUNCTION mediastore.audit TO regress_mediastore_user;
SET ROLE regress_mediastore_user;
SELECT * FROM mediastore.audit('audit_files');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER audit_files TO regress_mediastore_user;
SET ROLE regress_mediastore_user;
SELECT count(*) FROM mediastore.audit('audit_files');
SELECT * FROM mediastore.audit('audit_files', true);
RESET ROLE;
SELECT * FROM mediastore.audit('no_such_store');

-- functions that a table has are its owner's, and restricted
CREATE FUNCTION spy(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'spied by %', current_user; RETURN true; END $$;
CREATE TABLE audit_spy (id int PRIMARY KEY, photo bytea);
ALTER TABLE audit_spy OWNER TO regress_mediastore_user;
ALTER TABLE audit_spy ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY spy ON audit_spy USING (spy(id));
INSERT INTO audit_spy VALUES (1, 'photo');
SELECT keep(1, 'spied', 'photo 1', relation => 'audit_spy'::regclass);
SELECT finding, key FROM mediastore.audit('audit_files') WHERE key = 'spied';

DELETE FROM mediastore.attachment WHERE relation::oid IN ('audit_user'::regclass, 'audit_spy'::regclass, :dropped);
DELETE FROM mediastore.object WHERE server LIKE 'audit_%';
DELETE FROM mediastore.store WHERE server LIKE 'audit_%';
DELETE FROM mediastore.change WHERE relation = 'audit_user'::regclass;
DROP VIEW found;
DROP TABLE audit_user, audit_spy CASCADE;
DROP FUNCTION spy(int), unchecked();
DROP SERVER audit_files, audit_beside;
DROP OWNED BY regress_mediastore_user;
DROP ROLE regress_mediastore_user;
\set remove 'cat >/dev/null; rm -r ' :root
COPY (SELECT) TO PROGRAM :'remove';
