package shards

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// served is a journal whose answers come from a server that has a name.
type served struct {
	*faulty
	server string
}

func (s *served) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	page, err := s.faulty.Events(ctx, after, filter, limits)
	page.Instance = s.server
	return page, err
}

func TestACappedJournalEndsWhereItIsCut(t *testing.T) {
	simulated(t, func(t *testing.T, w *world) {
		for range 5 {
			w.write()
		}
		j := &served{faulty: &faulty{Journal: w.j}, server: "a"}
		c := capAt(j, 3)
		for after, events := range []int{3, 2, 1, 0, 0, 0} {
			page, err := c.Events(t.Context(), query.Offset(after), query.Filter{}, query.Limits{Events: 10})
			require.NoError(t, err)
			require.Len(t, page.Events, events, "after %d", after)
			require.Equal(t, max(3, query.Offset(after)), page.Next)
			require.False(t, page.More)
			require.Equal(t, "a", page.Instance, "after %d: who reads it sees a failover", after)
		}
	})
}
