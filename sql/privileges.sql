-- who may do what
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


CREATE ROLE regress_mediastore_user;
GRANT SELECT ON picture TO regress_mediastore_user;
SET ROLE regress_mediastore_user;

-- pictures are everybody's
SELECT media_format(media_compress(data)), media_width(data) FROM picture WHERE name = 'png 3x2';
SELECT count(*) FROM mediastore.helper;
SELECT count(*) FROM mediastore.helpers();

-- but not the codec that has seen them: another user has another
CREATE TEMPORARY TABLE seen AS SELECT pid FROM mediastore.helper;
RESET ROLE;
SELECT media_format(media_compress(data)) FROM picture WHERE name = 'png 3x2';
SELECT program, requests, pid IN (SELECT pid FROM seen) AS same FROM mediastore.helper;
SET ROLE regress_mediastore_user;

-- what protects the server is not
SET mediastore.max_pixels = 1000000000;
SET mediastore.max_input_bytes = '1GB';
SET mediastore.max_frames = 100000;
SET mediastore.formats = 'heif';
SET mediastore.codec_memory = '10GB';
SET mediastore.codec_timeout = '1h';
SET mediastore.helper_idle = '1h';
-- nor what protects its network
SET mediastore.private_networks = on;
SET mediastore.credentials_file = '/etc/passwd';
SET mediastore.max_queue_rows = 0;
SET mediastore.connect_timeout = '1h';
SET mediastore.stall_timeout = '1h';
SET mediastore.transfer_timeout = '1h';

-- nor is the schema of views and tables
CREATE TABLE mediastore.mine ();

-- nor what is at stores, and what is to become of it
SELECT * FROM mediastore.store;
SELECT * FROM mediastore.object;
SELECT * FROM mediastore.attachment;
SELECT * FROM mediastore.queue;
SELECT * FROM mediastore.worker;
SELECT nextval('mediastore.change_id_seq');
INSERT INTO mediastore.change (kind, relation) VALUES ('t', 'picture');
CALL media_drain();
CALL media_push_existing('picture', 'data');

RESET ROLE;
DROP OWNED BY regress_mediastore_user;
DROP ROLE regress_mediastore_user;

-- the grants may not be needed: no function is public that should not be
SELECT p.oid::regprocedure AS function, p.provolatile AS volatile, p.proisstrict AS strict, p.proparallel AS parallel,
	p.prosecdef AS definer, has_function_privilege('public', p.oid, 'execute') AS public,
	obj_description(p.oid, 'pg_proc') IS NOT NULL AS comment
	FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
	WHERE e.extname = 'mediastore' ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT n.nspname, c.relname, c.relkind, obj_description(c.oid, 'pg_class') IS NOT NULL AS comment,
	(SELECT string_agg(a.privilege_type, ' ' ORDER BY a.privilege_type) FROM aclexplode(c.relacl) AS a WHERE a.grantee = 0) AS public,
	(SELECT string_agg(DISTINCT a.grantee::regrole || ' ' || a.privilege_type, ', ') FROM aclexplode(c.relacl) AS a WHERE a.grantee NOT IN (0, c.relowner)) AS others
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
	ORDER BY 1, 2;
SELECT fdwname, fdwhandler::regproc AS handler, fdwvalidator::regproc AS validator,
	has_foreign_data_wrapper_privilege('public', oid, 'usage') AS public, obj_description(oid, 'pg_foreign_data_wrapper') IS NOT NULL AS comment
	FROM pg_foreign_data_wrapper ORDER BY fdwname;
