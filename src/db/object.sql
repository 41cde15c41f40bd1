-- Objects at stores, and the places in users' tables that refer to them.
--
-- One process at a time writes store, object and attachment: the worker, or
-- media_drain where there is none (it holds an advisory lock).  Everybody
-- else only adds rows to change, in the transaction that changes a column; so
-- nobody waits for anybody, and what is rolled back was never there.  The
-- worker folds changes into the others in the order of their numbers, which is
-- that of the locks on the rows they are about.

CREATE TABLE mediastore.store (
	server pg_catalog.name PRIMARY KEY,
	-- whose objects are there: a copy of this database is not to touch them
	system_identifier pg_catalog.int8 NOT NULL,
	database pg_catalog.oid NOT NULL,
	timeline pg_catalog.int4 NOT NULL,
	paused pg_catalog.bool NOT NULL DEFAULT false,
	-- after a failure that is the store's and not an object's
	rest_until pg_catalog.timestamptz,
	failures pg_catalog.int4 NOT NULL DEFAULT 0,
	last_error pg_catalog.text
);
COMMENT ON TABLE mediastore.store IS 'what is known of each store that objects are kept at';

CREATE TABLE mediastore.object (
	id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	server pg_catalog.name NOT NULL,
	key pg_catalog.text COLLATE "C" NOT NULL,
	sha256 pg_catalog.bytea NOT NULL,
	bytes pg_catalog.int8 NOT NULL,
	content_type pg_catalog.text,
	-- the key names its content, so what is there never changes
	immutable pg_catalog.bool NOT NULL,
	-- as whom it is asked for: the owner of the table it was first found in
	owner pg_catalog.regrole NOT NULL,
	state pg_catalog.text COLLATE "C" NOT NULL,
	attempts pg_catalog.int4 NOT NULL DEFAULT 0,
	next_attempt_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	lease_until pg_catalog.timestamptz,
	lease_token pg_catalog.int8,
	etag pg_catalog.text,
	last_error pg_catalog.text,
	created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
	-- when this content was last put there; null: it may not be there
	stored_at pg_catalog.timestamptz,
	-- it may have been put there, whether that is known or not, and not deleted since
	tried pg_catalog.bool NOT NULL DEFAULT false,
	CONSTRAINT object_state CHECK (state OPERATOR(pg_catalog.=) ANY ('{pending,stored,deleting,dead}'::pg_catalog.text[])),
	CONSTRAINT object_key UNIQUE (server, key)
)
-- half of each page is for what a claim makes of its rows: then no index hears of it
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
COMMENT ON SEQUENCE mediastore.object_id_seq IS 'numbers of objects';
COMMENT ON TABLE mediastore.object IS 'every object at a store: what it holds, and how far it is';
COMMENT ON COLUMN mediastore.object.state IS
	'pending: to be put; stored; deleting: to be deleted, once no row refers to it and the grace has passed; dead: given up, see last_error';
CREATE INDEX object_due ON mediastore.object (server, state, next_attempt_at)
	WHERE state OPERATOR(pg_catalog.=) ANY ('{pending,deleting}'::pg_catalog.text[]);

CREATE TABLE mediastore.attachment (
	relation pg_catalog.regclass NOT NULL,
	row_key pg_catalog.text[] COLLATE "C" NOT NULL,
	column_name pg_catalog.name NOT NULL,
	-- 0: the column is no array; else the element, from 1
	index pg_catalog.int4 NOT NULL,
	object pg_catalog.int8 NOT NULL,
	-- nothing is to be written back to the row, now or any more
	written pg_catalog.bool NOT NULL,
	-- the row does not hold the bytes any more
	offloaded pg_catalog.bool NOT NULL DEFAULT false,
	CONSTRAINT attachment_place PRIMARY KEY (relation, row_key, column_name, index)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
COMMENT ON TABLE mediastore.attachment IS 'every place in a table that refers to an object';
COMMENT ON COLUMN mediastore.attachment.row_key IS 'the columns of the primary key, as text, in the order of its index';
CREATE INDEX attachment_object ON mediastore.attachment (object);
CREATE INDEX attachment_unwritten ON mediastore.attachment (object) WHERE NOT written;

CREATE TABLE mediastore.change (
	-- names are text here: rows that are written with each value, and soon
	-- deleted, are to be small
	id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	-- a: the place refers to an object now; d: it does not any more;
	-- m: the row's key is new_key now, as far as the column goes; t: of all
	-- rows of the table, none does, by the column or (null) by any; c: the
	-- column's name is key now
	kind pg_catalog."char" NOT NULL,
	relation pg_catalog.regclass NOT NULL,
	row_key pg_catalog.text[] COLLATE "C",
	column_name pg_catalog.text COLLATE "C",
	index pg_catalog.int4,			-- of d, null: all there are
	new_key pg_catalog.text[] COLLATE "C",
	server pg_catalog.text COLLATE "C",
	key pg_catalog.text COLLATE "C",
	sha256 pg_catalog.bytea,
	bytes pg_catalog.int8,
	content_type pg_catalog.text,
	immutable pg_catalog.bool,
	write_back pg_catalog.bool
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
COMMENT ON SEQUENCE mediastore.change_id_seq IS 'numbers of changes';
COMMENT ON TABLE mediastore.change IS 'what transactions have changed and the worker has not yet folded into attachment and object';

REVOKE ALL ON mediastore.store, mediastore.object, mediastore.attachment, mediastore.change FROM PUBLIC;

-- A dump holds what a restored database must know to go on.
SELECT pg_catalog.pg_extension_config_dump('mediastore.store', '');
SELECT pg_catalog.pg_extension_config_dump('mediastore.object', '');
SELECT pg_catalog.pg_extension_config_dump('mediastore.object_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mediastore.attachment', '');
SELECT pg_catalog.pg_extension_config_dump('mediastore.change', '');
SELECT pg_catalog.pg_extension_config_dump('mediastore.change_id_seq', '');
