package journaltest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Several processes, each with its own handle to one journal.
var handleCases = []testCase{
	{"are one journal", severalHandles, func(t *testing.T, s *subject) {
		other := s.open(t)
		for seq := int64(1); seq <= 10; seq++ {
			writer, reader := s, other
			if seq%2 == 0 {
				writer, reader = other, s
			}
			writer.write(t, "a", seq, seq)
			require.Equal(t, writer.all(t), reader.all(t))
			require.Len(t, reader.all(t), int(seq), "what was appended through one is visible through the other at once")
			mine, err := writer.Head(s.ctx)
			require.NoError(t, err)
			theirs, err := reader.Head(s.ctx)
			require.NoError(t, err)
			require.Equal(t, mine, theirs)
		}
		require.NoError(t, other.HideEvents(s.ctx, "a", 4))
		require.Len(t, s.replayed(t, "a", 1, 0), 6)
		require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", snapshotAt(4)))
		other.hasSnapshot(t, "a", snapshotAt(4))
	}},
	{"refuse each other's sequence numbers", severalHandles, func(t *testing.T, s *subject) {
		other := s.open(t)
		s.write(t, "a", 1, 2)
		other.refuses(t, otherUID(newEvent("a", 2)))
		other.write(t, "a", 2, 3) // the first of them again
		s.refuses(t, otherUID(newEvent("a", 3)))
		require.Len(t, s.all(t), 3)
	}},
	{"let exactly one of several writers of an id win", severalHandles, func(t *testing.T, s *subject) {
		s.oneWins(t, s.Journal, s.open(t).Journal, s.open(t).Journal)
	}},
	{"miss and reorder nothing while writers append through each", severalHandles, func(t *testing.T, s *subject) {
		s.follow(t, []Journal{s.Journal, s.open(t).Journal}, []Journal{s.open(t).Journal, s.Journal})
	}},
	{"fence each other", severalHandles, func(t *testing.T, s *subject) {
		if lacks := s.h.lacks(snapshotStore); lacks != "" {
			t.Skip("the harness states that " + lacks)
		}
		other := s.open(t)
		mine := s.acquire(t, outboxKey).Epoch
		require.NoError(t, s.save(mine, 1, "mine"))
		theirs := other.acquire(t, outboxKey)
		requireSaved(t, mine+1, 1, "mine", theirs)
		s.isFenced(t, s.save(mine, 2, "mine"))
		require.NoError(t, other.save(theirs.Epoch, 2, "theirs"))
		requireSaved(t, theirs.Epoch, 2, "theirs", s.load(t, outboxKey))
		require.NoError(t, s.store().Unregister(s.ctx, outboxKey))
		other.isFenced(t, other.save(theirs.Epoch, 3, "theirs"))
	}},
	{"fence each other at the same moment, too", severalHandles, func(t *testing.T, s *subject) {
		if lacks := s.h.lacks(snapshotStore); lacks != "" {
			t.Skip("the harness states that " + lacks)
		}
		other := s.open(t)
		s.takeOver(t, s.Journal, other.Journal)
		s.oneTakesOver(t, s.Journal, other.Journal)
		require.NoError(t, s.store().Unregister(s.ctx, outboxKey))
		s.saveWhileMoving(t, s.Journal, other.Journal)
	}},
	{"are closed one by one", severalHandles, func(t *testing.T, s *subject) {
		if lacks := s.h.lacks(closer); lacks != "" {
			t.Skip("the harness states that " + lacks)
		}
		other := s.open(t)
		s.write(t, "a", 1, 2)
		require.NoError(t, s.close())
		require.Len(t, other.all(t), 2)
		other.write(t, "a", 3, 3)
		require.Len(t, other.all(t), 3)
	}},
	{"keep what many writers append through each at once", severalHandles, func(t *testing.T, s *subject) {
		const writers, each = 8, 10
		journals := []Journal{s.Journal, s.open(t).Journal}
		var (
			wg   sync.WaitGroup
			errs [writers]error
		)
		for w := range writers {
			j := journals[w%len(journals)]
			wg.Go(func() {
				for seq := int64(1); seq <= each && errs[w] == nil; seq++ {
					errs[w] = j.AppendEvent(s.ctx, newEvent(fmt.Sprintf("writer-%d", w), seq))
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		last := map[string]int64{}
		for _, e := range s.all(t) {
			require.Equal(t, last[e.PersistenceID]+1, e.SequenceNumber, "%s comes in order", e.PersistenceID)
			last[e.PersistenceID]++
		}
		require.Len(t, s.all(t), writers*each)
	}},
}

// open is the same journal through another handle.
func (s *subject) open(t *testing.T) *subject {
	t.Helper()
	return &subject{Journal: s.h.Open(t, s.Journal), h: s.h, ctx: s.ctx}
}
