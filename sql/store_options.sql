-- the options of a store that say what objects are put with, and where it may be
CREATE ROLE regress_mediastore_owner;
GRANT USAGE ON FOREIGN DATA WRAPPER mediastore TO regress_mediastore_owner;
CREATE SERVER photos TYPE 's3' FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'examplebucket', region 'us-east-1');
CREATE SERVER files TYPE 'file' FOREIGN DATA WRAPPER mediastore OPTIONS (root '/srv/media');

-- what is right
ALTER SERVER photos OPTIONS (ADD storage_class 'STANDARD_IA', ADD server_side_encryption 'aws:kms',
	ADD kms_key_id 'arn:aws:kms:us-east-1:123456789012:key/1234', ADD checksum 'on', ADD content_md5 'no', ADD if_none_match 'true',
	ADD cache_control 'public, max-age=60', ADD metadata 'Origin=database, note = a = b ,x-y_z=1', ADD private_network 'false');
SELECT unnest(srvoptions) AS option FROM pg_foreign_server WHERE srvname = 'photos';
SELECT media_url('photos', 'a');
ALTER SERVER files OPTIONS (ADD cache_control 'no-store');

-- what is not
CREATE FUNCTION try_option(name text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE format('CREATE SERVER tried TYPE ''s3'' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket ''examplebucket'', region ''us-east-1'', %I %L)', name, value);
	RAISE EXCEPTION USING ERRCODE = 'UU000';
EXCEPTION
	WHEN SQLSTATE 'UU000' THEN
		RETURN 'taken';
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
		RETURN format('%s %s (%s)', SQLSTATE, SQLERRM, hint);
END $$;
SELECT name, left(replace(value, 'ä', 'umlaut'), 30) AS value, try_option(name, value) AS result FROM (VALUES
	(1, 'storage_class', ''), (2, 'storage_class', 'standard'), (3, 'storage_class', 'GLACIER IR'), (4, 'storage_class', 'GLACIER_IR'),
	(5, 'server_side_encryption', 'aes256'), (6, 'server_side_encryption', 'AES256'), (7, 'server_side_encryption', 'aws:kms'),
	(8, 'server_side_encryption', ''),
	(10, 'kms_key_id', '1234'),
	(11, 'checksum', 'perhaps'), (12, 'checksum', 'on'), (13, 'content_md5', ''), (14, 'if_none_match', '2'), (15, 'private_network', 'x'),
	(16, 'private_network', 'on'),
	(20, 'cache_control', ''), (21, 'cache_control', ' no-store'), (22, 'cache_control', E'a\nx-evil: b'), (23, 'cache_control', 'ä'),
	(24, 'cache_control', 'no-store'),
	(30, 'metadata', ''), (31, 'metadata', 'a'), (32, 'metadata', 'a=b,'), (33, 'metadata', '=b'), (34, 'metadata', 'a='), (35, 'metadata', 'a b=c'),
	(36, 'metadata', E'a=b\r\nx-evil: b'), (37, 'metadata', 'a=b, A=c'), (38, 'metadata', 'a=' || repeat('x', 2047)), (39, 'metadata', 'a=' || repeat('x', 2048)),
	(40, 'metadata', 'ä=b'), (41, 'metadata', ' a = b , c = d ')) AS option (nr, name, value) ORDER BY nr;
ALTER SERVER photos OPTIONS (SET server_side_encryption 'AES256');
ALTER SERVER photos OPTIONS (DROP server_side_encryption);
ALTER SERVER photos OPTIONS (SET metadata 'dontshow');
ALTER SERVER files OPTIONS (ADD storage_class 'STANDARD');
ALTER SERVER files OPTIONS (ADD private_network 'true');

-- what is a superuser's
SET ROLE regress_mediastore_owner;
CREATE SERVER mine TYPE 's3' FOREIGN DATA WRAPPER mediastore
	OPTIONS (bucket 'examplebucket', region 'us-east-1', storage_class 'STANDARD', metadata 'a=b', if_none_match 'on');
ALTER SERVER mine OPTIONS (ADD private_network 'true');
CREATE SERVER other TYPE 's3' FOREIGN DATA WRAPPER mediastore OPTIONS (bucket 'examplebucket', region 'us-east-1', private_network 'false');
RESET ROLE;
ALTER SERVER mine OPTIONS (ADD private_network 'true');
SET ROLE regress_mediastore_owner;
-- nor is what else it has, as long as it is there
ALTER SERVER mine OPTIONS (ADD endpoint 'http://169.254.169.254');
ALTER SERVER mine OPTIONS (DROP private_network);
ALTER SERVER mine OPTIONS (SET bucket 'otherbucket');
RESET ROLE;
SELECT unnest(srvoptions) AS option FROM pg_foreign_server WHERE srvname = 'mine';

DROP FUNCTION try_option(text, text);
SET client_min_messages = warning;
DROP SERVER photos, files, mine CASCADE;
DROP OWNED BY regress_mediastore_owner;
DROP ROLE regress_mediastore_owner;
