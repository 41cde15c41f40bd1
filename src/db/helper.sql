-- The helper processes of one's own session.

CREATE FUNCTION mediastore.helpers(
	OUT program pg_catalog.text,
	OUT pid pg_catalog.int4,
	OUT sandboxed pg_catalog.bool,
	OUT requests pg_catalog.int8,
	OUT memory pg_catalog.int8,
	OUT started_at pg_catalog.timestamptz)
	RETURNS SETOF record
	LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED ROWS 3
	AS 'MODULE_PATHNAME', 'mediastore_helpers';
COMMENT ON FUNCTION mediastore.helpers() IS
	'the helper processes of this session, for the view mediastore.helper';

CREATE VIEW mediastore.helper AS
	SELECT program, pid, sandboxed, requests, memory, started_at FROM mediastore.helpers();
COMMENT ON VIEW mediastore.helper IS
	'the helper processes of this session: program, process id, whether its system-call filter is on, requests served, resident memory in bytes, start';
COMMENT ON COLUMN mediastore.helper.sandboxed IS 'null of the courier, which has no such filter';
COMMENT ON COLUMN mediastore.helper.memory IS 'resident memory in bytes; null if the system does not tell';
GRANT SELECT ON mediastore.helper TO PUBLIC;
