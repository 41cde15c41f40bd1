-- columns that are pushed to a store: attaching and detaching them
CREATE SCHEMA push_attach;
SET search_path = push_attach, public;

CREATE ROLE regress_mediastore_owner;
CREATE SERVER attach_photos TYPE 's3' FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'examplebucket', region 'us-east-1');
CREATE SERVER attach_files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '/srv/media');
CREATE SERVER attach_served TYPE 'file' FOREIGN DATA WRAPPER mediastore
	OPTIONS (root '/srv/media', public_url 'https://media.example.com');
CREATE FOREIGN DATA WRAPPER attach_other;
CREATE SERVER attach_others TYPE 's3' FOREIGN DATA WRAPPER attach_other;

-- what is shown of a table
CREATE VIEW triggers AS SELECT tgrelid::regclass AS relation, tgname, tgparentid <> 0 AS clone,
	regexp_replace(regexp_replace(pg_get_triggerdef(oid), '^.* (BEFORE|AFTER)', '\1'), ' EXECUTE FUNCTION', '') AS definition
	FROM pg_trigger WHERE tgname LIKE 'media%' ORDER BY tgrelid::regclass::text COLLATE "C", tgname COLLATE "C";
CREATE VIEW pushed AS SELECT relation, column_name, server, key, url_column, offload FROM mediastore.attached
	ORDER BY relation::text COLLATE "C", column_name;
-- the SQLSTATE of what goes wrong, and what is said
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, NULLIF(detail, ''), NULLIF(hint, ''));
END $$;

CREATE TABLE parts (id int PRIMARY KEY, image bytea, images bytea[], url text, urls text[], other bytea);

-- a column; again; otherwise; not any more
SELECT media_attach('parts', 'image', server => 'attach_photos');
SELECT media_attach('parts', 'image', server => 'attach_photos');
SELECT * FROM triggers;
SELECT * FROM pushed;
SELECT media_attach('parts', 'image', server => 'attach_served', key => 'a/{uuid}', url_column => 'url', offload => 'null');
SELECT * FROM triggers;
SELECT * FROM pushed;
SELECT media_attach('parts', 'image', server => 'attach_photos', key => '{table}/{pk}.{ext}');
SELECT media_attach('parts', 'image');
SELECT * FROM triggers;
SELECT * FROM pushed;
SELECT media_attach('parts', 'image', server => 'attach_photos', offload => 'THUMBNAIL');
SELECT media_attach('parts', 'images', server => 'attach_photos', url_column => 'urls', key => '{pk}/{index}');
SELECT * FROM pushed;
SELECT media_detach('parts', 'images');
SELECT media_detach('parts', 'image');
SELECT media_detach('parts', 'image');
SELECT * FROM triggers;

-- a trigger that is not as it was made is made again
SELECT media_attach('parts', 'image', server => 'attach_photos');
ALTER TABLE parts DISABLE TRIGGER media_push_image;
SELECT media_attach('parts', 'image', server => 'attach_photos');
DROP TRIGGER media_push_truncate_image ON parts;
SELECT media_attach('parts', 'image', server => 'attach_photos');
CREATE TRIGGER another AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION media_push_trigger('image', 'server=attach_photos');
SELECT media_attach('parts', 'image', server => 'attach_photos');
ALTER TABLE parts RENAME image TO picture;
SELECT try($$INSERT INTO parts (id, picture) VALUES (1, NULL)$$);
SELECT media_attach('parts', 'picture', server => 'attach_photos');
SELECT * FROM triggers;
SELECT media_detach('parts', 'picture');
SELECT * FROM triggers;
DROP TRIGGER media_push_truncate_image ON parts;
ALTER TABLE parts RENAME picture TO image;

-- what can't be
SELECT try(format($$SELECT media_attach('parts', %L, %s)$$, c, o)) AS result FROM (VALUES
	('image', $$server => 'nowhere'$$),
	('image', $$server => 'attach_others'$$),
	('image', $$server => 'attach_files', url_column => 'url'$$),
	('image', $$server => ''$$),
	('image', $$server => 'attach_photos', key => NULL$$),
	('image', $$server => 'attach_photos', key => ''$$),
	('image', $$server => 'attach_photos', key => 'constant'$$),
	('image', $$server => 'attach_photos', key => '{table}/{ext}/{date}'$$),
	('image', $$server => 'attach_photos', key => '{nothing}'$$),
	('image', $$server => 'attach_photos', key => '{sha256'$$),
	('image', $$server => 'attach_photos', key => '{pk}/{index}'$$),
	('images', $$server => 'attach_photos', key => '{pk}'$$),
	('image', $$server => 'attach_photos', url_column => 'nothing'$$),
	('image', $$server => 'attach_photos', url_column => 'id'$$),
	('image', $$server => 'attach_photos', url_column => 'urls'$$),
	('images', $$server => 'attach_photos', url_column => 'url'$$),
	('image', $$server => 'attach_photos', offload => NULL$$),
	('image', $$server => 'attach_photos', offload => 'all'$$),
	('image', $$server => 'attach_photos', offload => 'null', key => '{pk}'$$),
	('image', $$server => 'attach_photos', offload => 'thumbnail', key => '{pk}'$$),
	('image', $$url_column => 'url'$$),
	('image', $$offload => 'null'$$),
	('image', $$key => '{pk}'$$),
	('nothing', $$server => 'attach_photos'$$)) AS v (c, o);
SELECT * FROM triggers;

CREATE TABLE keyless (image bytea);
CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE, image bytea);
CREATE TABLE needed (id text PRIMARY KEY, image bytea NOT NULL, g text GENERATED ALWAYS AS ('x') STORED);
CREATE TEMP TABLE passing (id int PRIMARY KEY, image bytea);
SELECT try(format($$SELECT media_attach(%L, 'image', %s)$$, t, o)) AS result FROM (VALUES
	('keyless', $$server => 'attach_photos'$$),
	('deferred', $$server => 'attach_photos'$$),
	('passing', $$server => 'attach_photos'$$),
	('needed', $$server => 'attach_photos', offload => 'null'$$),
	('needed', $$server => 'attach_photos', url_column => 'g'$$),
	('needed', $$server => 'attach_photos', url_column => 'id'$$),
	('needed', $$server => 'attach_photos', offload => 'thumbnail'$$)) AS v (t, o);

-- triggers that people make themselves
CREATE FUNCTION try_trigger(arguments text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format('CREATE TRIGGER mine AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION media_push_trigger(%s)', arguments);
	result := try('INSERT INTO parts (id) VALUES (1)');
	DROP TRIGGER mine ON parts;
	DELETE FROM parts;
	RETURN result;
END $$;
SELECT try_trigger(a) FROM (VALUES (''), ($$'image'$$), ($$'nothing', 'server=attach_photos'$$), ($$'image', 'server'$$),
	($$'image', 'server=attach_photos', 'sever=x'$$), ($$'image', 'server=attach_photos', 'SERVER=x'$$),
	($$'image', 'server=attach_photos', 'key=x'$$), ($$'image', 'server=attach_photos', 'offload=x'$$),
	($$'image', 'server=attach_photos', 'Key={sha256}'$$)) AS v (a);
CREATE TRIGGER mine BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION media_push_trigger('image', 'server=attach_photos');
SELECT try('INSERT INTO parts (id) VALUES (1)');
DROP TRIGGER mine ON parts;
CREATE TRIGGER mine AFTER INSERT ON parts EXECUTE FUNCTION media_push_trigger('image', 'server=attach_photos');
SELECT try('INSERT INTO parts (id) VALUES (1)');
DROP TRIGGER mine ON parts;
SELECT try('SELECT media_push_trigger()');
SELECT try('CREATE FUNCTION event() RETURNS void LANGUAGE c AS ''mediastore'', ''media_drop_event''; SELECT event()');

-- domains, and what has more than one column in its key
CREATE DOMAIN address AS varchar(200);
CREATE DOMAIN picture AS bytea;
CREATE TABLE typed (a int, b text, image picture, url address, images bytea[], urls varchar[], PRIMARY KEY (b, a));
SELECT media_attach('typed', 'image', server => 'attach_photos', url_column => 'url', offload => 'null');
SELECT media_attach('typed', 'images', server => 'attach_photos', url_column => 'urls');
SELECT * FROM triggers WHERE tgname LIKE 'media_push%';

-- odd names
CREATE TABLE "odd ""table" (id int PRIMARY KEY, "odd 'co\lumn" bytea, "the ""url" text);
CREATE SERVER "odd 'ser\ver" TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', region 'us-east-1');
SELECT media_attach('"odd ""table"', 'odd ''co\lumn', server => 'odd ''ser\ver', url_column => 'the "url', key => '{column}=''\"{sha256}');
SELECT * FROM pushed WHERE relation = '"odd ""table"'::regclass;
SELECT media_attach('"odd ""table"', 'odd ''co\lumn', server => 'odd ''ser\ver', url_column => 'the "url', key => '{column}=''\"{sha256}');

-- partitions, those that come later, too; TRUNCATE triggers are not inherited
CREATE TABLE album (id int, kind int, image bytea, PRIMARY KEY (kind, id)) PARTITION BY LIST (kind);
CREATE TABLE album_1 PARTITION OF album FOR VALUES IN (1);
SELECT media_attach('album', 'image', server => 'attach_photos');
CREATE TABLE album_2 PARTITION OF album FOR VALUES IN (2) PARTITION BY LIST (kind);
CREATE TABLE album_2a PARTITION OF album_2 FOR VALUES IN (2);
CREATE TABLE album_3 (LIKE album INCLUDING ALL);
ALTER TABLE album ATTACH PARTITION album_3 FOR VALUES IN (3);
SELECT relation, tgname, clone, definition FROM triggers WHERE relation::text LIKE 'album%' AND tgname LIKE 'media_push%';
SELECT media_attach('album', 'image', server => 'attach_photos');
SELECT try($$SELECT media_attach('album', 'image', server => 'attach_photos', offload => 'null')$$);
SELECT try($$SELECT media_attach('album_1', 'image', server => 'attach_photos')$$);
SELECT try($$SELECT media_detach('album_1', 'image')$$);
ALTER TABLE album_1 DISABLE TRIGGER media_push_image;
SELECT media_attach('album', 'image', server => 'attach_photos');
SELECT media_detach('album', 'image');
SELECT * FROM triggers WHERE relation::text LIKE 'album%';

-- plain children have their own
CREATE TABLE base (id int PRIMARY KEY, image bytea);
CREATE TABLE derived (PRIMARY KEY (id)) INHERITS (base);
SELECT media_attach('base', 'image', server => 'attach_photos');
SELECT media_detach('base', 'image');
ALTER TABLE derived DROP CONSTRAINT derived_pkey;
SELECT try($$SELECT media_attach('base', 'image', server => 'attach_photos')$$);

-- it takes USAGE on the server, and the table
GRANT USAGE, CREATE ON SCHEMA push_attach TO regress_mediastore_owner;
SET ROLE regress_mediastore_owner;
CREATE TABLE owned (id int PRIMARY KEY, image bytea);
SELECT try($$SELECT media_attach('owned', 'image', server => 'attach_photos')$$);
SELECT try($$SELECT media_attach('parts', 'image', server => 'attach_photos')$$);
SELECT try('SELECT FROM mediastore.change'), try('SELECT FROM mediastore.queue');
SELECT try(format('SELECT %s', c)) FROM (VALUES ('media_retry(1)'), ('media_discard(1)'), ('media_pause(''attach_photos'')'),
	('media_resume(''attach_photos'')'), ('media_adopt(''attach_photos'')'),
	('mediastore.is_attached(''push_attach.parts''::regclass, ''image'', ''attach_photos'', 1)')) AS v (c);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER attach_photos TO regress_mediastore_owner;
SET ROLE regress_mediastore_owner;
SELECT media_attach('owned', 'image', server => 'attach_photos');
RESET ROLE;

-- whose the store is is noted before anything is pushed: a copy is told from it
SELECT server, system_identifier = (SELECT system_identifier FROM pg_control_system()) AS ours,
	database = (SELECT oid FROM pg_database WHERE datname = current_database()) AS here, paused
	FROM mediastore.store WHERE server = 'attach_photos';

-- the queue's functions, without a queue
SELECT media_retry(0), media_discard(0);
SELECT media_pause('attach_photos');
SELECT server, paused, database = (SELECT oid FROM pg_database WHERE datname = current_database()) AS ours,
	system_identifier = (SELECT system_identifier FROM pg_control_system()) AS here, timeline
	FROM mediastore.store WHERE server = 'attach_photos';
UPDATE mediastore.store SET system_identifier = 1, failures = 3, rest_until = now(), last_error = 'x' WHERE server = 'attach_photos';
SELECT media_adopt('attach_photos');
SELECT paused, failures, rest_until, last_error, system_identifier = (SELECT system_identifier FROM pg_control_system()) AS here
	FROM mediastore.store WHERE server = 'attach_photos';
SELECT media_resume('attach_photos');
SELECT paused FROM mediastore.store WHERE server = 'attach_photos';
SELECT try('SELECT media_pause(''nowhere'')'), try('SELECT media_resume(''nowhere'')'), try('SELECT media_adopt(''nowhere'')');
DELETE FROM mediastore.store WHERE server = 'attach_photos';

SET client_min_messages = warning;
DROP SCHEMA push_attach CASCADE;
DROP TABLE passing;
DROP SERVER attach_photos, attach_files, attach_served, attach_others, "odd 'ser\ver" CASCADE;
DROP FOREIGN DATA WRAPPER attach_other;
DROP OWNED BY regress_mediastore_owner;
DROP ROLE regress_mediastore_owner;
