package journaltest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Transactions that have begun in one order and commit in another: the hardest promise of a journal whose offsets are
// given out before the commit. A reader that has seen an offset must not have passed a lower one that commits later.
var transactionCases = []testCase{
	{"is invisible until it commits", transactions, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 1)
		tx := s.begin(t, newEvent("a", 2))
		r := &follower{subject: s}
		r.read(t)
		for _, read := range [][]query.Event{r.events, s.stream(t, "a"), s.replayed(t, "a", 1, 0)} {
			require.Equal(t, []string{"a/1"}, ids(read))
		}
		last, err := s.LastSequenceNumber(s.ctx, "a")
		require.NoError(t, err)
		require.Equal(t, int64(1), last)

		require.NoError(t, tx.Commit())
		for where, e := range s.everywhere(t, "a", 2) {
			requireStored(t, newEvent("a", 2), e)
			require.Equal(t, "a/2", e.ID(), where)
		}
		s.write(t, "a", 3, 3)
	}},
	{"is not passed by a reader", transactions, func(t *testing.T, s *subject) {
		for name, filter := range transactionFilters {
			s := &subject{Journal: s.h.New(t), h: s.h, ctx: s.ctx}
			r := &follower{subject: s, filter: filter}
			s.write(t, "before", 1, 1)
			tx := s.begin(t, tagged(newEvent("late", 1)))
			s.append(t, tagged(newEvent("early", 1)), newEvent("early", 2))
			for range 3 { // looking again does not help
				r.read(t)
			}
			require.NoError(t, tx.Commit())
			s.write(t, "after", 1, 1)
			r.catchUp(t, name)
		}
	}},
	{"is not passed when the others commit in any order", transactions, func(t *testing.T, s *subject) {
		r := &follower{subject: s}
		var open []Transaction
		for i := range 4 {
			open = append(open, s.begin(t, newEvent(fmt.Sprintf("tx-%d", i), 1)))
			s.write(t, fmt.Sprintf("between-%d", i), 1, 1)
			r.read(t)
		}
		for _, i := range []int{3, 1, 0, 2} {
			require.NoError(t, open[i].Commit())
			r.read(t)
		}
		r.catchUp(t, "the reader")
		require.Len(t, r.events, 8)
	}},
	{"that is rolled back is passed after a while", transactions, func(t *testing.T, s *subject) {
		for name, filter := range transactionFilters {
			s := &subject{Journal: s.h.New(t), h: s.h, ctx: s.ctx}
			r := &follower{subject: s, filter: filter}
			tx := s.begin(t, tagged(newEvent("gone", 1)))
			s.append(t, tagged(newEvent("early", 1)), newEvent("early", 2))
			r.read(t)
			require.NoError(t, tx.Rollback())
			r.catchUp(t, name)
			require.Empty(t, s.stream(t, "gone"))
			s.append(t, tagged(newEvent("gone", 1))) // its sequence number is free again
			r.catchUp(t, name)
		}
	}},
	{"that is the last one is passed when it is rolled back", transactions, func(t *testing.T, s *subject) {
		r := &follower{subject: s}
		s.write(t, "a", 1, 1)
		require.NoError(t, s.begin(t, newEvent("gone", 1)).Rollback())
		r.catchUp(t, "the reader")
		s.write(t, "a", 2, 2)
		r.catchUp(t, "the reader")
	}},
	{"does not make a reader ask again at once", transactions, func(t *testing.T, s *subject) {
		tx := s.begin(t, newEvent("late", 1))
		s.write(t, "early", 1, 1)
		page, err := s.Events(s.ctx, 0, query.Filter{}, query.Limits{Events: 10})
		require.NoError(t, err)
		require.False(t, page.More, "there is nothing more to be had yet")
		require.NoError(t, s.reaches(s.Journal, page.Next))
		head, err := s.Head(s.ctx)
		require.NoError(t, err)
		require.GreaterOrEqual(t, head.Offset, s.stream(t, "early")[0].Offset, "the head is above every append that has returned")
		require.NoError(t, tx.Commit())
	}},
	{"holds up another writer of its id, until it commits", transactions, func(t *testing.T, s *subject) {
		tx := s.begin(t, newEvent("a", 1))
		e := otherUID(newEvent("a", 1))
		other := s.appendMeanwhile(t, e)
		require.NoError(t, tx.Commit())
		requireConflict(t, e, promptly(t, "an append after the commit of another one", other))
		requireStored(t, newEvent("a", 1), s.stream(t, "a")[0])
	}},
	{"holds up another writer of its id, until it is rolled back", transactions, func(t *testing.T, s *subject) {
		tx := s.begin(t, newEvent("a", 1))
		e := otherUID(newEvent("a", 1))
		other := s.appendMeanwhile(t, e)
		require.NoError(t, tx.Rollback())
		require.NoError(t, promptly(t, "an append after another one was rolled back", other))
		requireStored(t, e, s.stream(t, "a")[0])
	}},
	{"settles an append of the same event", transactions, func(t *testing.T, s *subject) {
		tx := s.begin(t, newEvent("a", 1)) // whose writer has given it up, and tries again
		again := s.appendMeanwhile(t, newEvent("a", 1))
		require.NoError(t, tx.Commit())
		require.NoError(t, promptly(t, "an append of an event that was just committed", again))
		require.Equal(t, []string{"a/1"}, ids(s.all(t)))
	}},
	{"holds nobody up longer than his context", transactions, func(t *testing.T, s *subject) {
		tx := s.begin(t, newEvent("a", 1))
		ctx, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
		defer cancel()
		err := promptly(t, "an append whose context has ended", func() error { return s.AppendEvent(ctx, otherUID(newEvent("a", 1))) })
		require.ErrorIs(t, err, context.DeadlineExceeded, "whether it is a conflict cannot be known yet")
		require.NoError(t, tx.Commit())
		s.write(t, "a", 2, 2)
		require.Len(t, s.all(t), 2)
	}},
	{"is not passed by a search for a time", transactions, func(t *testing.T, s *subject) {
		finder, ok := s.Journal.(query.TimeFinder)
		if !ok {
			t.Skip("the harness states that this journal is no query.TimeFinder")
		}
		tx := s.begin(t, newEvent("late", 1))
		s.write(t, "early", 1, 1)
		at, err := finder.OffsetAt(s.ctx, farPast)
		require.NoError(t, err)
		end, err := finder.OffsetAt(s.ctx, farFuture)
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		late, _, err := s.EventsByPersistenceID(s.ctx, "late", 1, query.Limits{Events: 1})
		require.NoError(t, err)
		require.Greater(t, late[0].Offset, end, "a reader that starts at the end would miss late/1")
		r := &follower{subject: s, after: at}
		r.catchUp(t, "a reader that starts at the time")
	}},
	{"among many that come and go, none is missed", transactions, transactionTurmoil},
}

// transactionTurmoil has transactions begin, commit and roll back in a random order, with appends and reads between.
func transactionTurmoil(t *testing.T, s *subject) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's plan
	readers := map[string]*follower{}
	for name, filter := range transactionFilters {
		readers[name] = &follower{subject: s, filter: filter, limits: query.Limits{Events: 1 + random.IntN(5)}}
	}
	var open []Transaction
	for i := range 150 {
		switch e := newEvent(fmt.Sprintf("id-%d", i), 1); {
		case len(open) < 6 && random.IntN(3) == 0:
			open = append(open, s.begin(t, tagged(e)))
		case len(open) > 0 && random.IntN(3) == 0:
			n := random.IntN(len(open))
			if random.IntN(3) == 0 {
				require.NoError(t, open[n].Rollback())
			} else {
				require.NoError(t, open[n].Commit())
			}
			open = append(open[:n], open[n+1:]...)
		case random.IntN(2) == 0:
			s.append(t, tagged(e))
		default:
			s.append(t, e)
		}
		for _, r := range readers {
			r.read(t)
		}
	}
	for _, tx := range open {
		require.NoError(t, tx.Commit())
	}
	for name, r := range readers {
		r.catchUp(t, name)
	}
}

var transactionFilters = map[string]query.Filter{
	"a reader of everything":       {},
	"a reader of a tag":            {Tags: []string{"tagged"}},
	"a reader of other events":     {Tags: []string{"unknown"}},
	"a reader of half of slices":   {Slices: query.SliceRange{To: query.NumSlices / 2}},
	"a reader of the other slices": {Slices: query.SliceRange{From: query.NumSlices / 2, To: query.NumSlices}},
}

func tagged(e query.Event) query.Event {
	e.Tags = []string{"tagged"}
	return e
}
