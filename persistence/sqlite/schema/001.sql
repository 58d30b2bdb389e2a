-- What a journal is, once and for all. The row 'identity' is drawn at random when the file is created.
CREATE TABLE meta (
	key   TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT, so that an offset is never given out twice, not even after the newest events were removed.
-- The narrow columns come first: a filtered read need not touch the pages that hold only data.
CREATE TABLE events (
	offset          INTEGER PRIMARY KEY AUTOINCREMENT,
	persistence_id  TEXT    NOT NULL,
	sequence_number INTEGER NOT NULL,
	slice           INTEGER NOT NULL,
	hidden          INTEGER NOT NULL DEFAULT 0, -- 1: deleted by its actor, kept for outboxes
	time            INTEGER NOT NULL,           -- microseconds since 1970, UTC
	uid             BLOB    NOT NULL,
	type            TEXT    NOT NULL,
	content_type    TEXT    NOT NULL,
	tags            TEXT,                       -- JSON array of strings; NULL: none
	metadata        TEXT,                       -- JSON object of strings; NULL: none
	data            BLOB,
	UNIQUE (persistence_id, sequence_number)
) STRICT;

-- Snapshots of persistent actors.
CREATE TABLE actor_snapshots (
	persistence_id TEXT    NOT NULL,
	idx            INTEGER NOT NULL,
	type           TEXT    NOT NULL,
	data           BLOB,
	PRIMARY KEY (persistence_id, idx)
) STRICT;

-- Snapshots of outboxes, one per key. The row outlives the registration, because its epoch must never go back.
CREATE TABLE outbox_snapshots (
	key        TEXT    NOT NULL PRIMARY KEY,
	registered INTEGER NOT NULL,
	epoch      INTEGER NOT NULL,
	idx        INTEGER NOT NULL DEFAULT 0,
	watermark  INTEGER NOT NULL DEFAULT 0,
	keep       TEXT    NOT NULL DEFAULT '{}', -- JSON: anchor, held, parked
	saved_at   INTEGER,                       -- microseconds since 1970, UTC; NULL: never saved
	data       BLOB
) STRICT;
