-- The worker of this database, and doing its work without it.

CREATE FUNCTION mediastore.worker_state(
	OUT pid pg_catalog.int4,
	OUT state pg_catalog.text,
	OUT waiting pg_catalog.text,
	OUT next_due pg_catalog.timestamptz,
	OUT last_error pg_catalog.text,
	OUT system_identifier pg_catalog.int8,
	OUT database pg_catalog.oid,
	OUT timeline pg_catalog.int4)
	RETURNS record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'media_worker_state';
COMMENT ON FUNCTION mediastore.worker_state() IS
	'the worker of this database, and what tells this database from its copies, for the view mediastore.worker';
REVOKE ALL ON FUNCTION mediastore.worker_state() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mediastore.worker_state() TO pg_monitor;

CREATE VIEW mediastore.worker AS
	SELECT s.server,
		w.pid,
		w.state,
		COALESCE(w.waiting,
			CASE WHEN s.paused THEN 'paused: it goes on after media_resume'
				WHEN s.system_identifier OPERATOR(pg_catalog.<>) w.system_identifier
					OR s.database OPERATOR(pg_catalog.<>) w.database
					THEN 'the objects are those of another cluster or database, which this may be a copy of: it begins after media_adopt'
				WHEN s.rest_until OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()
					THEN pg_catalog.concat('rests until ', s.rest_until, ' after an error')
				WHEN s.timeline OPERATOR(pg_catalog.<>) w.timeline
					THEN 'the server was promoted or recovered, and another one may use the objects: deletions, and keys that do not name their content, wait for media_adopt'
				END) AS waiting,
		COALESCE(
			(SELECT pg_catalog.min(GREATEST(o.next_attempt_at, s.rest_until)) FROM mediastore.object AS o
				WHERE o.server OPERATOR(pg_catalog.=) s.server
					AND o.state OPERATOR(pg_catalog.=) ANY ('{pending,deleting}'::pg_catalog.text[])),
			w.next_due) AS next_due,
		c.changes,
		q.pending,
		q.deleting,
		q.dead,
		COALESCE(s.last_error, w.last_error) AS last_error
	FROM mediastore.worker_state() AS w
	LEFT JOIN mediastore.store AS s ON true
	CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS changes FROM mediastore.change) AS c
	CROSS JOIN LATERAL (
		SELECT pg_catalog.count(*) FILTER (WHERE o.state OPERATOR(pg_catalog.=) 'pending') AS pending,
			pg_catalog.count(*) FILTER (WHERE o.state OPERATOR(pg_catalog.=) 'deleting') AS deleting,
			pg_catalog.count(*) FILTER (WHERE o.state OPERATOR(pg_catalog.=) 'dead') AS dead
		FROM mediastore.object AS o
		WHERE o.server OPERATOR(pg_catalog.=) s.server
			AND o.state OPERATOR(pg_catalog.<>) 'stored') AS q;
COMMENT ON VIEW mediastore.worker IS
	'the worker of this database, and how much it has to do at each store; a row without a server where there is none yet';
COMMENT ON COLUMN mediastore.worker.state IS
	'not preloaded, disabled, standby, idle (there is nothing to do now), starting, running, no worker process left, or failed';
COMMENT ON COLUMN mediastore.worker.waiting IS 'why nothing, or not everything, is done; null if there is no reason';
COMMENT ON COLUMN mediastore.worker.next_due IS 'when there will be something to do';
COMMENT ON COLUMN mediastore.worker.changes IS 'of rows of this database, at whichever store, that the worker has not looked at';
COMMENT ON COLUMN mediastore.worker.pending IS 'objects to be put';
COMMENT ON COLUMN mediastore.worker.deleting IS 'objects to be deleted, once their grace has passed';
COMMENT ON COLUMN mediastore.worker.dead IS 'objects given up';
GRANT SELECT ON mediastore.worker TO pg_monitor;

CREATE PROCEDURE @extschema@.media_drain(timeout pg_catalog.interval DEFAULT '1 min')
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'media_drain';
COMMENT ON PROCEDURE @extschema@.media_drain(pg_catalog.interval) IS
	'waits until all is pushed that is to be, and does the work itself where no worker does; fails if that takes longer than the timeout';
REVOKE ALL ON PROCEDURE @extschema@.media_drain(pg_catalog.interval) FROM PUBLIC;
