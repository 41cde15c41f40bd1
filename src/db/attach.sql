-- Columns that look after themselves: triggers, and what puts them there.

-- BEFORE INSERT OR UPDATE, FOR EACH ROW.  The first argument is the name of the
-- column, the others are options of media_compress, "name=value" each.
CREATE FUNCTION @extschema@.media_compress_trigger() RETURNS trigger
	LANGUAGE c VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'media_compress_trigger';
COMMENT ON FUNCTION @extschema@.media_compress_trigger() IS
	'for triggers: compresses what comes into a column';
