package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// Each of these changes the second of three events, as no append would.
func TestADamagedEventIsNamedAndNeverSkipped(t *testing.T) {
	for name, c := range map[string]struct {
		set  string
		says string
	}{
		"a short uid":                    {"uid = x'0102'", "uid has 2 bytes"},
		"an empty uid":                   {"uid = x''", "uid has 0 bytes"},
		"tags that are no JSON":          {`tags = '["mine'`, "tags"},
		"tags that are not a list":       {`tags = '{"mine":1}'`, "tags"},
		"a tag that is not text":         {`tags = '["mine",7]'`, "tags"},
		"metadata that are no JSON":      {`metadata = '{"k":'`, "metadata"},
		"metadata that are not text":     {`metadata = '{"k":7}'`, "metadata"},
		"a slice of another id":          {"slice = (slice + 1) % 1024", "slice"},
		"a slice that cannot be one":     {"slice = -1", "slice"},
		"a time that is text":            {"time = 'yesterday'", "wrong type"},
		"a type that is missing":         {"type = NULL", "wrong type"},
		"a content type that is missing": {"content_type = NULL", "wrong type"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal.db")
			j := open(t, path)
			for seq := int64(1); seq <= 3; seq++ {
				e := event("a", seq)
				e.Tags = []string{"mine"}
				require.NoError(t, j.AppendEvent(t.Context(), e))
			}
			before := all(t, j)
			require.NoError(t, j.Close())
			damage(t, path, c.set)

			j = open(t, path)
			for way, read := range readers(t, j) {
				var damaged *sqlite.DamagedEventError
				err := read(1)
				require.ErrorAs(t, err, &damaged, way)
				require.Equal(t, "a", damaged.PersistenceID)
				require.EqualValues(t, 2, damaged.SequenceNumber)
				require.Equal(t, before[1].Offset, damaged.Offset)
				require.ErrorContains(t, err, c.says)
				require.ErrorContains(t, err, `event 2 of "a", at offset 2`)
				require.ErrorContains(t, err, path)
				require.NoError(t, read(3), "what comes before it, or after it, can be read: %s", way)
			}
			last, err := j.LastSequenceNumber(t.Context(), "a")
			require.NoError(t, err)
			require.EqualValues(t, 3, last)
			require.NoError(t, j.AppendEvent(t.Context(), event("a", 4)), "the actor goes on")

			require.NoError(t, j.Close())
			rawSQL(t, path, "DELETE FROM events WHERE sequence_number = 2",
				"INSERT INTO events SELECT * FROM sound")
			require.Equal(t, before, all(t, open(t, path))[:3], "once it is mended, everything is as before")
		})
	}
}

// damage changes the second event, after keeping it in the table "sound". A table that is STRICT would refuse most.
func damage(t *testing.T, path, set string) {
	t.Helper()
	rawSQL(t, path,
		"CREATE TABLE sound AS SELECT * FROM events WHERE sequence_number = 2",
		"PRAGMA writable_schema = ON",
		"UPDATE sqlite_schema SET sql = replace(replace(sql, 'STRICT', ''), 'NOT NULL', '') WHERE name = 'events'",
		"PRAGMA schema_version = 1000")
	rawSQL(t, path, "UPDATE events SET "+set+" WHERE sequence_number = 2")
}

// readers read a stream or feed from a sequence number on, each in another way.
func readers(t *testing.T, j *sqlite.Journal) map[string]func(from int64) error {
	t.Helper()
	limits := query.Limits{Events: 10}
	feed := func(f query.Filter) func(int64) error {
		return func(from int64) error {
			_, err := j.Events(t.Context(), query.Offset(from-1), f, limits)
			return err
		}
	}
	return map[string]func(int64) error{
		"feed":        feed(query.Filter{}),
		"feed by tag": feed(query.Filter{Tags: []string{"mine"}}),
		"id": func(from int64) error {
			_, _, err := j.EventsByPersistenceID(t.Context(), "a", from, limits)
			return err
		},
		"replay": func(from int64) error {
			return j.Replay(t.Context(), "a", from, 0, func(query.Event) error { return nil })
		},
	}
}

func TestAKeepThatCannotBeReadIsNotTakenForNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path)
	saved, err := j.Acquire(t.Context(), "outbox/x", 0, 0)
	require.NoError(t, err)
	saved.Index, saved.Data = 1, []byte("data")
	saved.Keep = query.Keep{Watermark: 7, Held: map[string]int64{"a": 3}}
	require.NoError(t, j.Save(t.Context(), "outbox/x", saved))
	for _, keep := range []string{"", "{", `{"held":{"a":"three"}}`, "[]", `{"parked":7}`} {
		rawSQL(t, path, "UPDATE outbox_snapshots SET keep = '"+keep+"'")
		_, err := j.Load(t.Context(), "outbox/x")
		require.ErrorContains(t, err, "outbox/x", keep)
		require.ErrorContains(t, err, "what is kept")
		_, err = j.Acquire(t.Context(), "outbox/x", 0, saved.Epoch)
		require.ErrorContains(t, err, "what is kept")
	}
	rawSQL(t, path, `UPDATE outbox_snapshots SET keep = '{"held":{"a":3}}'`)
	loaded, err := j.Load(t.Context(), "outbox/x")
	require.NoError(t, err)
	require.Equal(t, saved, loaded, "and no attempt has taken the epoch")
}
