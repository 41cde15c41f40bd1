-- Columns that look after themselves: triggers, and what puts them there.

-- BEFORE INSERT OR UPDATE, FOR EACH ROW.  The first argument is the name of the
-- column, the others are options of media_compress, "name=value" each.
CREATE FUNCTION @extschema@.media_compress_trigger() RETURNS trigger
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_compress_trigger';
COMMENT ON FUNCTION @extschema@.media_compress_trigger() IS
	'for triggers: compresses what comes into a column';

-- AFTER INSERT OR UPDATE OR DELETE, FOR EACH ROW, and AFTER TRUNCATE.  The first
-- argument is the name of the column; the others, "name=value" each, are server,
-- key, url_column and offload, as of media_attach.  Whose table it is needs USAGE
-- on the server for anything to come of it.
CREATE FUNCTION @extschema@.media_push_trigger() RETURNS trigger
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_push_trigger';
COMMENT ON FUNCTION @extschema@.media_push_trigger() IS
	'for triggers: has what a column holds pushed to a store when the transaction commits';

-- Not STRICT: nothing would have been done, and nothing said.
CREATE FUNCTION @extschema@.media_attach(
	relation pg_catalog.regclass,
	column_name pg_catalog.name,
	max_dimension pg_catalog.int4 DEFAULT 1024,
	max_bytes pg_catalog.int4 DEFAULT 500000,
	quality pg_catalog.int4 DEFAULT 85,
	min_quality pg_catalog.int4 DEFAULT 40,
	effort pg_catalog.int4 DEFAULT 4,
	alpha pg_catalog.text DEFAULT 'keep',
	lossless pg_catalog.text DEFAULT 'auto',
	animation pg_catalog.text DEFAULT 'keep',
	server pg_catalog.name DEFAULT NULL,
	key pg_catalog.text DEFAULT '{table}/{sha256}.{ext}',
	url_column pg_catalog.name DEFAULT NULL,
	offload pg_catalog.text DEFAULT 'none')
	RETURNS pg_catalog.void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_attach';
COMMENT ON FUNCTION @extschema@.media_attach(pg_catalog.regclass, pg_catalog.name, pg_catalog.int4, pg_catalog.int4,
	pg_catalog.int4, pg_catalog.int4, pg_catalog.int4, pg_catalog.text, pg_catalog.text, pg_catalog.text,
	pg_catalog.name, pg_catalog.text, pg_catalog.name, pg_catalog.text) IS
	'has a column compress what comes into it, and, if a server is named, push it to that store';

CREATE FUNCTION @extschema@.media_detach(relation pg_catalog.regclass, column_name pg_catalog.name)
	RETURNS pg_catalog.void
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_detach';
COMMENT ON FUNCTION @extschema@.media_detach(pg_catalog.regclass, pg_catalog.name) IS
	'has a column take what comes again, as it comes';

CREATE FUNCTION mediastore.trigger_arguments(tgargs pg_catalog.bytea) RETURNS pg_catalog.text[]
	LANGUAGE c STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'media_trigger_arguments';
COMMENT ON FUNCTION mediastore.trigger_arguments(pg_catalog.bytea) IS
	'the arguments of a trigger, as pg_trigger.tgargs has them';

-- The column is the one that the trigger fires on, which follows a rename; of
-- a trigger that fires on all updates, the one it names.  A domain has the
-- category of what it is over.  Options of a trigger that pushes are "name=value".
CREATE VIEW mediastore.attached AS
	SELECT t.tgrelid::pg_catalog.regclass AS relation,
		COALESCE(a.attname, t.named) AS column_name,
		y.typcategory OPERATOR(pg_catalog.=) 'A' AS is_array,
		t.arguments[2:] AS options,
		t.tgname AS trigger_name,
		t.tgenabled OPERATOR(pg_catalog.=) ANY ('{O,A}'::pg_catalog."char"[]) AS enabled,
		p.server::pg_catalog.name AS server,
		CASE WHEN p.server IS NOT NULL THEN COALESCE(p.key, '{table}/{sha256}.{ext}') END AS key,
		p.url_column::pg_catalog.name AS url_column,
		CASE WHEN p.server IS NOT NULL THEN COALESCE(p.offload, 'none') END AS offload
	FROM (SELECT g.tgrelid, g.tgname, g.tgenabled, g.tgattr, d.arguments, d.arguments[1]::pg_catalog.name AS named
		FROM pg_catalog.pg_trigger g, LATERAL (SELECT mediastore.trigger_arguments(g.tgargs) AS arguments) d
		WHERE g.tgfoid OPERATOR(pg_catalog.=) '@extschema@.media_compress_trigger()'::pg_catalog.regprocedure::pg_catalog.oid
			AND g.tgparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid) t
	LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) t.tgrelid AND NOT a.attisdropped
		AND CASE WHEN pg_catalog.array_length(t.tgattr, 1) OPERATOR(pg_catalog.=) 1
			THEN a.attnum OPERATOR(pg_catalog.=) t.tgattr[0]
			ELSE a.attname OPERATOR(pg_catalog.=) t.named END
	LEFT JOIN pg_catalog.pg_type y ON y.oid OPERATOR(pg_catalog.=) a.atttypid
	LEFT JOIN LATERAL (
		SELECT pg_catalog.max(o.value) FILTER (WHERE o.name OPERATOR(pg_catalog.=) 'server') AS server,
			pg_catalog.max(o.value) FILTER (WHERE o.name OPERATOR(pg_catalog.=) 'key') AS key,
			pg_catalog.max(o.value) FILTER (WHERE o.name OPERATOR(pg_catalog.=) 'url_column') AS url_column,
			pg_catalog.max(o.value) FILTER (WHERE o.name OPERATOR(pg_catalog.=) 'offload') AS offload
		FROM pg_catalog.pg_trigger g
			JOIN LATERAL (SELECT mediastore.trigger_arguments(g.tgargs) AS arguments) d
				ON d.arguments[1] OPERATOR(pg_catalog.=) t.arguments[1]
			CROSS JOIN LATERAL (
				SELECT pg_catalog.lower(pg_catalog.split_part(u.argument, '=', 1)) AS name,
					pg_catalog.substr(u.argument, pg_catalog.strpos(u.argument, '=') OPERATOR(pg_catalog.+) 1) AS value
				FROM pg_catalog.unnest(d.arguments[2:]) AS u (argument)) o
		WHERE g.tgrelid OPERATOR(pg_catalog.=) t.tgrelid
			AND g.tgfoid OPERATOR(pg_catalog.=) '@extschema@.media_push_trigger()'::pg_catalog.regprocedure::pg_catalog.oid
			-- those for rows; the others are for TRUNCATE
			AND g.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 1 OPERATOR(pg_catalog.=) 1) p ON true;
COMMENT ON VIEW mediastore.attached IS
	'columns that compress what comes into them: their options, the trigger that does it, and the store they are pushed to';
COMMENT ON COLUMN mediastore.attached.options IS 'options of media_compress that are not at their default, as they were given';
COMMENT ON COLUMN mediastore.attached.enabled IS 'whether the trigger fires in ordinary sessions; a partition may have its own disabled';
COMMENT ON COLUMN mediastore.attached.server IS 'the store that the column is pushed to; null: none';
GRANT SELECT ON mediastore.attached TO PUBLIC;
