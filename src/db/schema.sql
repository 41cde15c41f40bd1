-- The schema of views and tables.  Functions and types are in the schema that
-- CREATE EXTENSION names (public by default); a schema mediastore must not
-- exist before, and can't be that schema.

CREATE SCHEMA mediastore;
GRANT USAGE ON SCHEMA mediastore TO PUBLIC;
COMMENT ON SCHEMA mediastore IS 'views and tables of the extension mediastore';
