-- 1: a record, and so is every event of the id before it. Of what there is, nobody knows any more.
ALTER TABLE events ADD COLUMN actorless INTEGER NOT NULL DEFAULT 0;

-- What retention looks through.
CREATE INDEX events_removable ON events (offset) WHERE hidden = 1 OR actorless = 1;
