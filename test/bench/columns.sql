-- What test/bench/columns measures with.

CREATE TABLE picture (name text PRIMARY KEY, data bytea NOT NULL);
ALTER TABLE picture ALTER data SET STORAGE EXTERNAL;

-- Microseconds that PERFORM takes with some expressions and the rest of a query.
CREATE FUNCTION time_query(query text, runs int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
BEGIN
	EXECUTE format('DO %L', format('BEGIN FOR i IN 1 .. %s LOOP PERFORM %s; END LOOP; END', runs, query));
	RETURN 1000000 * extract(epoch FROM clock_timestamp() - began) / runs;
END $$;

-- What one would write without media_backfill.
CREATE PROCEDURE compress_rows() LANGUAGE plpgsql AS $$
DECLARE
	number int;
BEGIN
	FOR number IN SELECT id FROM album ORDER BY id LOOP
		UPDATE album SET data = media_compress(data) WHERE id = number;
	END LOOP;
END $$;
