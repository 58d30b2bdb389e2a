-- What a journal is, once and for all. 'identity' is drawn at random when the schema is made, 'version' is that of the
-- schema, 'oldest_reader' the oldest version of the package's schema that can work with it.
CREATE TABLE {{meta}} (
	key   text COLLATE "C" PRIMARY KEY,
	value text NOT NULL
);

-- The order of the feed. CACHE 1: a session that kept numbers for later would write them behind readers. ALWAYS: an
-- insert may not bring its own.
CREATE TABLE {{journal}} (
	ordering        bigint      GENERATED ALWAYS AS IDENTITY (CACHE 1) UNIQUE,
	sequence_number bigint      NOT NULL CHECK (sequence_number > 0),
	time            timestamptz NOT NULL DEFAULT clock_timestamp(),
	uid             uuid        NOT NULL,
	slice           smallint    NOT NULL CHECK (slice >= 0 AND slice < 1024),
	hidden          boolean     NOT NULL DEFAULT false, -- deleted by its actor, kept for outboxes
	actorless       boolean     NOT NULL DEFAULT false, -- a record, and so is every event of the id before it
	persistence_id  text        COLLATE "C" NOT NULL CHECK (octet_length(persistence_id) BETWEEN 1 AND 1024),
	type            text        COLLATE "C" NOT NULL,
	content_type    text        COLLATE "C" NOT NULL,
	tags            text[]      COLLATE "C",            -- sorted, without repetition; NULL: none
	metadata        json,                               -- an object of strings; NULL: none
	data            bytea,
	PRIMARY KEY (persistence_id, sequence_number)
);

-- What retention looks through.
CREATE INDEX ON {{journal}} (ordering) WHERE hidden OR actorless;

-- Snapshots of persistent actors.
CREATE TABLE {{actor_snapshots}} (
	persistence_id text   COLLATE "C" NOT NULL,
	idx            bigint NOT NULL,
	type           text   COLLATE "C" NOT NULL,
	data           bytea,
	PRIMARY KEY (persistence_id, idx)
);

-- Snapshots of outboxes, one per key. The row outlives the registration, because its epoch must never go back.
CREATE TABLE {{outbox_snapshots}} (
	key        text        COLLATE "C" PRIMARY KEY,
	registered boolean     NOT NULL,
	epoch      bigint      NOT NULL,
	idx        bigint      NOT NULL DEFAULT 0,
	watermark  bigint      NOT NULL DEFAULT 0,
	keep       json        NOT NULL DEFAULT '{}', -- anchor, held, parked
	saved_at   timestamptz,                       -- NULL: never saved
	data       bytea
);
