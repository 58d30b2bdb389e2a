package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// What did not fit is read again with the next page. Until then it is not kept.
func TestAPageKeepsNothingBeyondItsLimits(t *testing.T) {
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "journal.db"))
	require.NoError(t, err)
	defer j.Close()
	for seq := int64(1); seq <= 5; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), large(seq)))
	}
	limits := query.Limits{Events: 100, Bytes: 3*(64<<10) - 1}
	feed, err := j.Events(t.Context(), 0, query.Filter{}, limits)
	require.NoError(t, err)
	stream, more, err := j.EventsByPersistenceID(t.Context(), "a", 1, limits)
	require.NoError(t, err)
	require.True(t, more)
	for _, events := range [][]query.Event{feed.Events, stream} {
		require.Len(t, events, 2)
		for _, beyond := range events[2:cap(events)] {
			require.Zero(t, beyond)
		}
	}
}

func TestAPageMakesNoRoomForWhatCannotCome(t *testing.T) {
	j, err := Open(t.Context(), filepath.Join(t.TempDir(), "journal.db"))
	require.NoError(t, err)
	defer j.Close()
	require.NoError(t, j.AppendEvent(t.Context(), numbered("a", 1)))
	page, err := j.Events(t.Context(), -1<<62, query.Filter{}, query.Limits{Events: 1_000_000})
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
	require.Less(t, cap(page.Events), 10)
}
