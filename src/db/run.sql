-- Long runs over a table: their progress, and the rows they passed over.

-- A row a run, kept as its history.  Procedures write these tables as their
-- owner; everybody else sees what concerns their own tables, by the views.
CREATE TABLE mediastore.run (
	id pg_catalog.int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	operation pg_catalog.text NOT NULL,
	relation pg_catalog.oid NOT NULL,
	column_name pg_catalog.name NOT NULL,
	pid pg_catalog.int4 NOT NULL,
	started_at pg_catalog.timestamptz NOT NULL,
	scanned_at pg_catalog.timestamptz,
	updated_at pg_catalog.timestamptz NOT NULL,
	finished_at pg_catalog.timestamptz,
	rows_total pg_catalog.int8,
	rows_done pg_catalog.int8 NOT NULL DEFAULT 0,
	rows_changed pg_catalog.int8 NOT NULL DEFAULT 0,
	rows_failed pg_catalog.int8 NOT NULL DEFAULT 0,
	rows_locked pg_catalog.int8 NOT NULL DEFAULT 0,
	bytes_before pg_catalog.int8 NOT NULL DEFAULT 0,
	bytes_after pg_catalog.int8 NOT NULL DEFAULT 0
);
COMMENT ON TABLE mediastore.run IS 'every run of media_backfill and media_import; the view mediastore.progress shows it';

CREATE TABLE mediastore.failed_row (
	relation pg_catalog.oid NOT NULL,
	column_name pg_catalog.name NOT NULL,
	key pg_catalog.jsonb NOT NULL,
	element pg_catalog.int4,
	sqlstate pg_catalog.text NOT NULL,
	message pg_catalog.text NOT NULL,
	failed_at pg_catalog.timestamptz NOT NULL,
	run pg_catalog.int4 NOT NULL
);
COMMENT ON TABLE mediastore.failed_row IS 'rows that runs have passed over; the view mediastore.failure shows them';

-- a key may be longer than an index takes
CREATE UNIQUE INDEX failed_row_key ON mediastore.failed_row
	(relation, column_name, pg_catalog.jsonb_hash_extended(key, 0));

-- A run is under way as long as its session holds an advisory lock by its
-- number, which goes with the session, however that ends.
CREATE VIEW mediastore.live_run AS
	SELECT r.id
	FROM mediastore.run AS r
	JOIN pg_catalog.pg_locks AS l ON l.pid OPERATOR(pg_catalog.=) r.pid
		AND l.objid OPERATOR(pg_catalog.=) r.id::pg_catalog.oid
	WHERE r.finished_at IS NULL
		AND l.locktype OPERATOR(pg_catalog.=) 'advisory'
		AND l.database OPERATOR(pg_catalog.=)
			(SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())
		AND l.classid OPERATOR(pg_catalog.=) 'mediastore.run'::pg_catalog.regclass::pg_catalog.oid
		AND l.objsubid OPERATOR(pg_catalog.=) 2
		AND l.granted;
COMMENT ON VIEW mediastore.live_run IS 'the runs that are under way';

CREATE VIEW mediastore.progress WITH (security_barrier) AS
	SELECT p.id AS run,
		p.operation,
		p.relation::pg_catalog.regclass AS relation,
		p.column_name,
		CASE WHEN p.finished_at IS NOT NULL THEN 'finished'
			WHEN EXISTS (SELECT FROM mediastore.live_run AS l WHERE l.id OPERATOR(pg_catalog.=) p.id) THEN 'running'
			ELSE 'interrupted' END AS state,
		p.pid,
		p.started_at,
		p.updated_at,
		p.finished_at,
		p.rows_total,
		p.rows_done,
		p.rows_changed,
		p.rows_failed,
		p.rows_locked,
		p.bytes_before,
		p.bytes_after,
		p.rate AS rows_per_second,
		CASE WHEN p.finished_at IS NULL AND p.rate OPERATOR(pg_catalog.>) 0::pg_catalog.float8
			THEN (p.rows_total OPERATOR(pg_catalog.-) p.rows_done)::pg_catalog.float8 OPERATOR(pg_catalog./) p.rate
			END AS seconds_left
	FROM (
		SELECT r.*,
			r.rows_done::pg_catalog.float8 OPERATOR(pg_catalog./) NULLIF(
				EXTRACT(epoch FROM r.updated_at OPERATOR(pg_catalog.-) r.scanned_at)::pg_catalog.float8,
				0::pg_catalog.float8) AS rate
		FROM mediastore.run AS r
		JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) r.relation
		WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')
	) AS p;
COMMENT ON VIEW mediastore.progress IS
	'runs of media_backfill and media_import over tables that one owns: how far they are, and how those before ended';
COMMENT ON COLUMN mediastore.progress.state IS 'running, finished, or interrupted: by an error, a cancel or a crash; call it again';
COMMENT ON COLUMN mediastore.progress.rows_total IS 'rows found that there was something to do for; null while they are looked for';
COMMENT ON COLUMN mediastore.progress.rows_done IS 'of these, visited; by another session before it, or changed by this one, failed, or locked';
COMMENT ON COLUMN mediastore.progress.rows_locked IS 'left, for others held them';
COMMENT ON COLUMN mediastore.progress.bytes_before IS 'bytes of the rows changed, before';
GRANT SELECT ON mediastore.progress TO PUBLIC;

CREATE VIEW mediastore.failure WITH (security_barrier) AS
	SELECT f.relation::pg_catalog.regclass AS relation,
		f.key AS row_key,
		f.column_name,
		f.element,
		f.sqlstate,
		f.message,
		f.failed_at
	FROM mediastore.failed_row AS f
	JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) f.relation
	WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE');
COMMENT ON VIEW mediastore.failure IS
	'rows that media_backfill and media_import have passed over, in tables that one owns; gone when they have been done';
COMMENT ON COLUMN mediastore.failure.row_key IS 'the primary key, or {"ctid": ...} where there is none';
COMMENT ON COLUMN mediastore.failure.element IS 'subscript of the element of an array';
GRANT SELECT ON mediastore.failure TO PUBLIC;
