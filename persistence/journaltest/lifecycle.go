package journaltest

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var contextCases = []testCase{
	{"that was cancelled stops every call", anything, func(t *testing.T, s *subject) {
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		s.write(t, "a", 1, 1) // so that Replay has something to do
		for _, o := range s.operations("a") {
			require.ErrorIs(t, o.call(ctx), context.Canceled, o.name)
		}
	}},
	{"whose deadline has passed stops every call", anything, func(t *testing.T, s *subject) {
		ctx, cancel := context.WithDeadline(s.ctx, time.Now().Add(-time.Second))
		defer cancel()
		for _, o := range s.operations("a") {
			require.ErrorIs(t, o.call(ctx), context.DeadlineExceeded, o.name)
		}
	}},
	{"that ended leaves nothing half done, and the journal usable", anything, func(t *testing.T, s *subject) {
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		for range 3 {
			for _, o := range s.operations("a") {
				require.Error(t, o.call(ctx), o.name)
			}
		}
		require.Empty(t, s.all(t))
		s.write(t, "a", 1, 3)
		require.Len(t, s.all(t), 3)
		if s.h.Capabilities.SnapshotStore {
			require.Equal(t, query.Saved{}, s.load(t, "outbox/x"))
		}
	}},
	{"that ends during appends tells the truth about them", anything, func(t *testing.T, s *subject) {
		// An append whose context ends may have succeeded or not. Repeating it settles that; nothing is doubled.
		for seq := int64(1); seq <= 30; seq++ {
			ctx, cancel := context.WithTimeout(s.ctx, time.Duration(seq)*20*time.Microsecond)
			err := s.AppendEvent(ctx, newEvent("a", seq))
			cancel()
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NoError(t, s.AppendEvent(s.ctx, newEvent("a", seq)))
			}
		}
		require.Len(t, s.all(t), 30)
		require.Len(t, s.stream(t, "a"), 30)
	}},
}

var closeCases = []testCase{
	{"ends every call with ErrClosed", closer, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 1)
		require.NoError(t, s.close())
		for _, o := range s.operations("a") {
			err := o.call(s.ctx)
			require.ErrorIs(t, err, query.ErrClosed, o.name)
			require.True(t, journal.IsFinal(err), "a closed journal does not open again: %v", err)
		}
	}},
	{"may be called twice", closer, func(t *testing.T, s *subject) {
		require.NoError(t, s.close())
		require.NoError(t, s.close())
	}},
	{"lets calls under way end", closer, func(t *testing.T, s *subject) {
		started, done := make(chan struct{}), make(chan error, 1)
		go func() {
			close(started)
			for seq := int64(1); ; seq++ {
				if err := s.AppendEvent(s.ctx, newEvent("a", seq)); err != nil {
					done <- err
					return
				}
			}
		}()
		<-started
		require.NoError(t, s.close())
		require.ErrorIs(t, <-done, query.ErrClosed)
	}},
}

func (s *subject) close() error { return s.Journal.(io.Closer).Close() }

var reopenCases = []testCase{
	{"keeps the identity and the head", reopening, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		before, err := s.Head(s.ctx)
		require.NoError(t, err)
		s.reopen(t)
		after, err := s.Head(s.ctx)
		require.NoError(t, err)
		require.Equal(t, before, after)
	}},
	{"keeps events, and which of them are hidden", reopening, func(t *testing.T, s *subject) {
		s.writeVaried(t)
		require.NoError(t, s.HideEvents(s.ctx, "entity-1", 2))
		feed, replayed := s.all(t), s.replayed(t, "entity-1", 1, 0)
		s.reopen(t)
		require.Equal(t, feed, s.all(t))
		require.Equal(t, replayed, s.replayed(t, "entity-1", 1, 0))
	}},
	{"goes on with sequence numbers and offsets", reopening, func(t *testing.T, s *subject) {
		for round := int64(1); round <= 4; round++ {
			s.write(t, "a", round, round)
			s.write(t, "b", round, round)
			s.reopen(t)
			s.refuses(t, otherUID(newEvent("a", round)))
			s.write(t, "a", round, round) // the same event again
		}
		require.Equal(t, []string{"a/1", "b/1", "a/2", "b/2", "a/3", "b/3", "a/4", "b/4"}, ids(s.all(t)))
	}},
	{"keeps snapshots of actors", reopening, func(t *testing.T, s *subject) {
		require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", snapshotAt(7)))
		s.reopen(t)
		s.hasSnapshot(t, "a", snapshotAt(7))
	}},
	{"keeps snapshots and epochs of outboxes", reopening, func(t *testing.T, s *subject) {
		if !s.h.Capabilities.SnapshotStore {
			t.Skip("no SnapshotStore")
		}
		epoch := s.acquire(t, outboxKey).Epoch
		require.NoError(t, s.save(epoch, 3, "three"))
		require.Equal(t, int64(1), s.acquire(t, "outbox/gone").Epoch)
		require.NoError(t, s.store().Unregister(s.ctx, "outbox/gone"))
		gone := s.load(t, "outbox/gone").Epoch

		s.reopen(t)
		requireSaved(t, epoch, 3, "three", s.load(t, outboxKey))
		require.NoError(t, s.save(epoch, 4, "four"), "an owner may outlive its journal's connection")
		requireSaved(t, epoch+1, 4, "four", s.acquire(t, outboxKey))
		require.Greater(t, s.acquire(t, "outbox/gone").Epoch, gone)
	}},
}
