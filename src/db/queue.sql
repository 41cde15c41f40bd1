-- The queue: what there is in it, and what can be done about it.

CREATE VIEW mediastore.queue AS
	SELECT o.id AS object,
		o.server,
		o.key,
		o.state,
		o.attempts,
		o.next_attempt_at,
		o.lease_until,
		o.last_error,
		o.bytes,
		o.created_at
	FROM mediastore.object AS o
	WHERE o.state OPERATOR(pg_catalog.<>) 'stored'
	UNION ALL
	SELECT NULL, c.server::pg_catalog.name, c.key, 'new', 0, NULL, NULL, NULL, c.bytes, NULL
	FROM mediastore.change AS c;
COMMENT ON VIEW mediastore.queue IS 'what is not as it should be at the stores yet';
COMMENT ON COLUMN mediastore.queue.object IS 'its number, for media_retry and media_discard; null of what the worker has not seen yet';
COMMENT ON COLUMN mediastore.queue.state IS
	'new: a change the worker has not seen yet; pending: to be put; deleting: to be deleted; dead: given up';
COMMENT ON COLUMN mediastore.queue.lease_until IS 'until when it is left to a transfer that is under way';
GRANT SELECT ON mediastore.queue TO pg_monitor;

CREATE FUNCTION @extschema@.media_retry(object pg_catalog.int8) RETURNS pg_catalog.bool
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_retry';
COMMENT ON FUNCTION @extschema@.media_retry(pg_catalog.int8) IS
	'has an object that is not stored tried again, now; false if there is none of that number';
REVOKE ALL ON FUNCTION @extschema@.media_retry(pg_catalog.int8) FROM PUBLIC;

CREATE FUNCTION @extschema@.media_discard(object pg_catalog.int8) RETURNS pg_catalog.bool
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_discard';
COMMENT ON FUNCTION @extschema@.media_discard(pg_catalog.int8) IS
	'forgets an object that was given up, and that rows refer to it; what may be at the store stays; false if none of that number is dead, or waits for a server that was dropped';
REVOKE ALL ON FUNCTION @extschema@.media_discard(pg_catalog.int8) FROM PUBLIC;

CREATE FUNCTION @extschema@.media_pause(server pg_catalog.name) RETURNS pg_catalog.void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_pause';
COMMENT ON FUNCTION @extschema@.media_pause(pg_catalog.name) IS
	'has nothing put to a store or deleted there, until media_resume';
REVOKE ALL ON FUNCTION @extschema@.media_pause(pg_catalog.name) FROM PUBLIC;

CREATE FUNCTION @extschema@.media_resume(server pg_catalog.name) RETURNS pg_catalog.void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_resume';
COMMENT ON FUNCTION @extschema@.media_resume(pg_catalog.name) IS
	'ends a pause, and the rest that a store is given after failures';
REVOKE ALL ON FUNCTION @extschema@.media_resume(pg_catalog.name) FROM PUBLIC;

CREATE FUNCTION @extschema@.media_adopt(server pg_catalog.name) RETURNS pg_catalog.void
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_adopt';
COMMENT ON FUNCTION @extschema@.media_adopt(pg_catalog.name) IS
	'says that the objects at a store are this database''s and no copy''s: after a restore or a promotion';
REVOKE ALL ON FUNCTION @extschema@.media_adopt(pg_catalog.name) FROM PUBLIC;

-- What a column held before it was attached.

CREATE FUNCTION mediastore.is_attached(
	relation pg_catalog.oid,
	column_name pg_catalog.name,
	server pg_catalog.name,
	VARIADIC key "any")
	RETURNS pg_catalog.bool
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE COST 1000
	AS 'MODULE_PATHNAME', 'media_is_attached';
COMMENT ON FUNCTION mediastore.is_attached(pg_catalog.oid, pg_catalog.name, pg_catalog.name, "any") IS
	'whether a row of one''s own table, by its primary key, refers to an object at a server, or has nothing else';

CREATE PROCEDURE @extschema@.media_push_existing(
	relation pg_catalog.regclass,
	column_name pg_catalog.name,
	batch_size pg_catalog.int4 DEFAULT 50)
	LANGUAGE c
	AS 'MODULE_PATHNAME', 'media_push_existing';
COMMENT ON PROCEDURE @extschema@.media_push_existing(pg_catalog.regclass, pg_catalog.name, pg_catalog.int4) IS
	'has a column''s older pictures pushed to its store, with a commit every batch_size rows';
REVOKE ALL ON PROCEDURE @extschema@.media_push_existing(pg_catalog.regclass, pg_catalog.name, pg_catalog.int4) FROM PUBLIC;

-- No row trigger sees a table go, or a column; and a partition that comes later
-- has none for TRUNCATE.

CREATE FUNCTION mediastore.drop_event() RETURNS event_trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_drop_event';
COMMENT ON FUNCTION mediastore.drop_event() IS 'for sql_drop: rows that are gone with their table refer to no object';
REVOKE ALL ON FUNCTION mediastore.drop_event() FROM PUBLIC;

CREATE FUNCTION mediastore.table_event() RETURNS event_trigger
	LANGUAGE c VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_table_event';
COMMENT ON FUNCTION mediastore.table_event() IS 'for ddl_command_end: gives partitions of pushed tables their trigger for TRUNCATE, and lets none but owners make triggers that push';
REVOKE ALL ON FUNCTION mediastore.table_event() FROM PUBLIC;

CREATE EVENT TRIGGER mediastore_drop ON sql_drop
	EXECUTE FUNCTION mediastore.drop_event();
COMMENT ON EVENT TRIGGER mediastore_drop IS 'has the objects of dropped tables deleted';
CREATE EVENT TRIGGER mediastore_table ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE TRIGGER')
	EXECUTE FUNCTION mediastore.table_event();
COMMENT ON EVENT TRIGGER mediastore_table IS 'gives partitions of pushed tables their trigger for TRUNCATE, and lets none but owners make triggers that push';
