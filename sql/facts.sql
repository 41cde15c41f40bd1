-- what a header says
\getenv abs_srcdir PG_ABS_SRCDIR
\set pictures :abs_srcdir '/sql/include/pictures.sql'
\set ECHO none
\i :pictures
\set ECHO all


SELECT name, (media_info(data)).* FROM picture
	WHERE media_is_image(data) AND name NOT LIKE 'claim%' ORDER BY name;

-- a claim is believed: nothing is decoded
SELECT (media_info(data)).width, (media_info(data)).height FROM picture WHERE name = 'claim: png 100000x100000';

-- nor need it be something that is decoded
SELECT name, (media_info(data)).* FROM picture WHERE name ~ '^claim: (heif|avif) 320' ORDER BY name;

-- by the first bytes alone; null when unknown
SELECT name, media_format(data), media_mime_type(data) FROM picture ORDER BY name;

-- as displayed
SELECT name, media_width(data), media_height(data) FROM picture
	WHERE name LIKE 'jpeg%' OR name ~ '(orientation 6|turned|mirrored)$' ORDER BY name;

SELECT name, media_is_image(data) FROM picture ORDER BY name;

-- for what it is made for
CREATE TEMPORARY TABLE profile (photo bytea CHECK (media_is_image(photo)));
INSERT INTO profile SELECT data FROM picture WHERE name = 'png 3x2';
INSERT INTO profile VALUES (NULL);
\set VERBOSITY terse
INSERT INTO profile SELECT data FROM picture WHERE name = 'text';
\set VERBOSITY default
SELECT count(*) FROM profile;

-- a name that is a type's too
SELECT (media_info('\x47494638376104000400810000000000ffffff0000000000002c00000000040004000008090001081c48b0208080003b')).format;

-- all of it in an expression index, as is right for what is immutable
CREATE INDEX ON profile (media_format(photo));
