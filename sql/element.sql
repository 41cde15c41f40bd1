-- arrays of pictures: the same as plain subscripts give, however they are stored
-- incompressible bytes, made without chance
CREATE FUNCTION pg_temp.noise(seed int, length int) RETURNS bytea LANGUAGE sql AS $$
	SELECT substr(string_agg(sha256(int4send(seed) || int4send(n)), '' ORDER BY n), 1, length)
	FROM generate_series(0, length / 32) n
$$;

CREATE TEMPORARY TABLE source (kind text, data bytea[]);
INSERT INTO source VALUES
	('empty', '{}'),
	('one', ARRAY['\x01'::bytea]),
	('one of no bytes', ARRAY[''::bytea]),
	('short', ARRAY['\x01', '\x0203', '\x040506', '', '\x0708090a']::bytea[]),
	('nulls', ARRAY[NULL, '\x01', NULL, '\x0203', NULL]::bytea[]),
	('nulls alone', ARRAY[NULL, NULL]::bytea[]),
	('from 0', '[0:2]={"\\x00","\\x01","\\x02"}'),
	('from -3', '[-3:-1]={"\\x00",NULL,"\\x02"}'),
	('to the end', '[2147483645:2147483646]={"\\x00","\\x01"}'),
	('many', (SELECT array_agg(CASE WHEN n % 7 > 0 THEN pg_temp.noise(n, n % 300) END ORDER BY n) FROM generate_series(1, 400) n)),
	('large', (SELECT array_agg(pg_temp.noise(n, 100000 + n) ORDER BY n) FROM generate_series(1, 10) n)),
	('large and small', (SELECT array_agg(CASE WHEN n % 4 > 0 THEN pg_temp.noise(n, n % 2 * 30000 + n) END ORDER BY n) FROM generate_series(1, 40) n)),
	('around chunks', (SELECT array_agg(pg_temp.noise(n, 1980 + n) ORDER BY n) FROM generate_series(1, 30) n)),
	('of much the same', (SELECT array_agg(CASE WHEN n % 5 > 0 THEN convert_to(repeat(n || ' ', 20000), 'UTF8') END ORDER BY n) FROM generate_series(1, 10) n)),
	('few when compressed', (SELECT array_agg(convert_to(repeat('x', 10000 * n), 'UTF8') ORDER BY n) FROM generate_series(1, 5) n)),
	('half and half', (SELECT array_agg(pg_temp.noise(n, 3000) || convert_to(repeat('x', 30000 + n), 'UTF8') ORDER BY n) FROM generate_series(1, 10) n));

CREATE TEMPORARY TABLE stored (kind text, how text, data bytea[]);
INSERT INTO stored SELECT kind, 'extended', data || '{}' FROM source;
ALTER TABLE stored ALTER data SET STORAGE external;
INSERT INTO stored SELECT kind, 'external', data || '{}' FROM source;
ALTER TABLE stored ALTER data SET STORAGE main;
INSERT INTO stored SELECT kind, 'main', data || '{}' FROM source;

-- they lie as they should
SELECT how, count(*) FILTER (WHERE pg_column_compression(data) IS NOT NULL) AS compressed,
	count(*) FILTER (WHERE pg_column_size(data) > 8000) AS large FROM stored GROUP BY how ORDER BY how;

-- all subscripts there are, and two on either side
SELECT kind, min(media_count(data)) AS count, count(*) AS subscripts, count(media_element(data, i::int)) AS found,
	bool_and(media_element(data, i::int) IS NOT DISTINCT FROM data[i]) AS same,
	bool_and(media_count(data) = cardinality(data)) AS same_count
	FROM stored, generate_series(greatest(coalesce(array_lower(data, 1), 1)::int8 - 2, -2147483648), 
		least(coalesce(array_upper(data, 1), 0)::int8 + 2, 2147483647)) i
	GROUP BY kind ORDER BY kind COLLATE "C";

-- arrays that are not stored: computed, and a variable's
SELECT media_element(ARRAY['\x01', '\x0203']::bytea[], 2), media_count(ARRAY['\x01', NULL]::bytea[]);
DO $$
DECLARE
	pictures bytea[] := ARRAY['\x01', '\x0203']::bytea[];
BEGIN
	pictures[4] := pg_temp.noise(1, 50000);
	ASSERT media_count(pictures) = 4;
	FOR i IN 0 .. 5 LOOP
		ASSERT media_element(pictures, i) IS NOT DISTINCT FROM pictures[i], i;
	END LOOP;
END $$;

-- domains
CREATE DOMAIN pg_temp.album AS bytea[] CHECK (cardinality(VALUE) < 10);
CREATE DOMAIN pg_temp.photo AS bytea;
SELECT media_element('{"\\x01","\\x02"}'::pg_temp.album, 2), media_count('{"\\x01","\\x02"}'::pg_temp.photo[]),
	media_element(ARRAY['\x01', '\x02']::pg_temp.photo[], 2);

-- what a value of the array is good for
SELECT kind, how, media_element(data, 3) = data[3] AS same, length(media_element(data, 3)) FROM stored
	WHERE kind = 'large' ORDER BY how;

-- nowhere
SELECT media_element(data, 2147483647), media_element(data, -2147483648), media_element('{}', 0) FROM source WHERE kind IN ('short', 'from -3');
SELECT media_element(NULL, 1), media_element('{}', NULL), media_count(NULL);

-- pictures are in a row, not in a table
SELECT media_element(ARRAY[['\x01'], ['\x02']]::bytea[], 1);
SELECT media_count(ARRAY[['\x01'], ['\x02']]::bytea[]);
\set VERBOSITY sqlstate
SELECT media_count(ARRAY[[['\x01']]]::bytea[]);
\set VERBOSITY default

-- stored by another table's rules, it is the same value still
CREATE TEMPORARY TABLE one (data bytea);
INSERT INTO one SELECT media_element(data, 5) FROM stored WHERE kind = 'large' AND how = 'external';
SELECT length(data), sha256(data) = sha256(pg_temp.noise(5, 100005)) AS same FROM one;

-- An array that is none: bytes that are called an array afterwards.  From the
-- length word on: dimensions, offset of the elements if there is a bitmap,
-- element type, count, lower bound.
CREATE FUNCTION pg_temp.word(n int8) RETURNS bytea LANGUAGE sql AS $$
	SELECT string_agg(substr(int8send(n), i, 1), '' ORDER BY i DESC) FROM generate_series(5, 8) i
$$;
CREATE FUNCTION pg_temp.header(dimensions int8, "offset" int8, type int8, count int8) RETURNS bytea LANGUAGE sql AS $$
	SELECT pg_temp.word(dimensions) || pg_temp.word("offset") || pg_temp.word(type) || pg_temp.word(count) || pg_temp.word(1)
$$;
CREATE TEMPORARY TABLE forged (name text, data bytea);
ALTER TABLE forged ALTER data SET STORAGE external;
INSERT INTO forged VALUES
	('sound', pg_temp.header(1, 0, 17, 2) || pg_temp.word(6 * 4) || '\x0102' || '\x0000' || pg_temp.word(7 * 4) || '\x010203'),
	('sound, one-byte lengths', pg_temp.header(1, 0, 17, 2) || '\x070102' || '\x00' || '\x09010203'),
	('nothing', ''),
	('half a header', pg_temp.word(1) || '\x0000'),
	('no count', pg_temp.word(1) || pg_temp.word(0) || pg_temp.word(17)),
	('of another type', pg_temp.header(1, 0, 25, 1) || pg_temp.word(4 * 4)),
	('negative dimensions', pg_temp.header(-1, 0, 17, 1) || pg_temp.word(4 * 4)),
	('negative count', pg_temp.header(1, 0, 17, -1) || pg_temp.word(4 * 4)),
	('no elements', pg_temp.header(1, 0, 17, 2147483647)),
	('elements beyond the end', pg_temp.header(1, 0, 17, 2147483647) || pg_temp.word(4 * 4)),
	('no bitmap', pg_temp.header(1, 32, 17, 2)),
	('bitmap beyond the end', pg_temp.header(1, 32, 17, 2147483647) || '\xffff'),
	('negative offset', pg_temp.header(1, -1, 17, 2) || '\xff'),
	('offset beyond the end', pg_temp.header(1, 1000000000, 17, 2) || '\xff'),
	('length of nothing', pg_temp.header(1, 0, 17, 2) || pg_temp.word(0)),
	('length beyond the end', pg_temp.header(1, 0, 17, 2) || pg_temp.word(1073741823::int8 * 4) || '\x0102'),
	('one-byte length beyond the end', pg_temp.header(1, 0, 17, 2) || '\xff01'),
	('half a length', pg_temp.header(1, 0, 17, 2) || '\x0400'),
	('compressed', pg_temp.header(1, 0, 17, 2) || pg_temp.word(6 * 4 + 2) || '\x0102'),
	('somewhere else', pg_temp.header(1, 0, 17, 2) || '\x0112' || pg_temp.noise(1, 16)),
	('large, length beyond the end', pg_temp.header(1, 0, 17, 2) || pg_temp.word(100004 * 4) || pg_temp.noise(1, 100000) || pg_temp.word(5000 * 4) || pg_temp.noise(2, 4000)),
	('large, no second element', pg_temp.header(1, 0, 17, 2) || pg_temp.word(100004 * 4) || pg_temp.noise(1, 100000));
UPDATE pg_attribute SET atttypid = 'bytea[]'::regtype, attndims = 1 WHERE attrelid = 'forged'::regclass AND attname = 'data';
DO $$
DECLARE
	array_of record;
	told text;
BEGIN
	FOR array_of IN SELECT * FROM forged LOOP
		BEGIN
			told := media_count(array_of.data);
			told := told || ', ' || coalesce(md5(media_element(array_of.data, 1)), 'null');
			told := told || ', ' || coalesce(md5(media_element(array_of.data, 2)), 'null');
		EXCEPTION WHEN data_corrupted OR array_subscript_error THEN
			told := concat_ws(', ', told, sqlstate, sqlerrm);
		END;
		RAISE NOTICE '%: %', array_of.name, told;
		told := NULL;
	END LOOP;
END $$;
