package journal_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func at(id string, seq int64) query.Pointer {
	return query.Pointer{PersistenceID: id, SequenceNumber: seq}
}

func TestWhatOutboxesNeed(t *testing.T) {
	var n journal.Needs
	require.True(t, n.Has(at("a", 1), 1), "without an outbox nobody says that it is not needed")

	n.Add("outbox/b", query.Keep{
		Watermark: 10, Anchor: at("a", 9),
		Held: map[string]int64{"h": 5}, Parked: []query.Pointer{at("p", 2), at("p", 4)},
	})
	for name, c := range map[string]struct {
		p      query.Pointer
		offset query.Offset
		needed bool
	}{
		"at the watermark":           {at("a", 8), 10, false},
		"above the watermark":        {at("a", 10), 11, true},
		"the anchor":                 {at("a", 9), 10, true},
		"the anchor's number":        {at("b", 9), 9, false},
		"before a held id's next":    {at("h", 4), 4, false},
		"a held id's next":           {at("h", 5), 5, true},
		"after a held id's next":     {at("h", 7), 7, true},
		"parked":                     {at("p", 4), 4, true},
		"between two that are":       {at("p", 3), 3, false},
		"a parked number of another": {at("q", 4), 4, false},
	} {
		require.Equal(t, c.needed, n.Has(c.p, c.offset), name)
	}

	// Each of them counts, whichever comes first.
	n.Add("outbox/a", query.Keep{Watermark: 20, Held: map[string]int64{"h": 7, "i": 1}, Anchor: at("c", 1)})
	require.Equal(t, "outbox/b", n.Slowest)
	require.EqualValues(t, 10, n.Watermark)
	require.True(t, n.Has(at("h", 5), 5))
	require.True(t, n.Has(at("i", 1), 1))
	require.True(t, n.Has(at("c", 1), 1))
	n.Add("outbox/c", query.Keep{Watermark: 10, Held: map[string]int64{"h": 2}})
	require.Equal(t, "outbox/b", n.Slowest)
	require.True(t, n.Has(at("h", 2), 2))
	require.False(t, n.Has(at("h", 1), 1))
	n.Add("outbox/new", query.Keep{})
	require.Equal(t, 4, n.Outboxes)
	require.Equal(t, "outbox/new", n.Slowest)
	require.True(t, n.Has(at("a", 1), 1), "one that has saved nothing needs everything")
}

func TestWhatIsYoungIsSpared(t *testing.T) {
	now := time.Now()
	require.False(t, journal.Retention{}.Spares(now.Add(time.Hour)))
	r := journal.Retention{Before: now}
	require.True(t, r.Spares(now))
	require.True(t, r.Spares(now.Add(time.Microsecond)))
	require.False(t, r.Spares(now.Add(-time.Microsecond)))
}
