package journaltest

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var contextCases = []testCase{
	{"that was cancelled stops every call", anything, func(t *testing.T, s *subject) {
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		s.write(t, "a", 1, 1) // so that Replay has something to do
		for _, o := range s.operations("a") {
			err := promptly(t, o.name+" with a context that was cancelled", func() error { return o.call(ctx) })
			require.ErrorIs(t, err, context.Canceled, o.name)
		}
	}},
	{"whose deadline has passed stops every call", anything, func(t *testing.T, s *subject) {
		ctx, cancel := context.WithDeadline(s.ctx, time.Now().Add(-time.Second))
		defer cancel()
		for _, o := range s.operations("a") {
			err := promptly(t, o.name+" with a deadline that has passed", func() error { return o.call(ctx) })
			require.ErrorIs(t, err, context.DeadlineExceeded, o.name)
		}
	}},
	{"that ended leaves nothing half done, and the journal usable", anything, func(t *testing.T, s *subject) {
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		for range 3 {
			for _, o := range s.operations("a") {
				err := promptly(t, o.name+" with a context that was cancelled", func() error { return o.call(ctx) })
				require.Error(t, err, o.name)
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
			err := promptly(t, "AppendEvent with a context that ends", func() error { return s.AppendEvent(ctx, newEvent("a", seq)) })
			cancel()
			if err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NoError(t, s.AppendEvent(s.ctx, newEvent("a", seq)))
			}
		}
		require.Len(t, s.all(t), 30, "what was acknowledged")
		require.Len(t, s.stream(t, "a"), 30, "what was acknowledged")
	}},
}

var closeCases = []testCase{
	{"ends every call with ErrClosed", closer, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 1)
		require.NoError(t, s.close())
		for _, o := range s.operations("a") {
			err := promptly(t, o.name+" of a closed journal", func() error { return o.call(s.ctx) })
			require.ErrorIs(t, err, query.ErrClosed, o.name)
			require.True(t, journal.IsFinal(err), "a closed journal does not open again: %v", err)
		}
	}},
	{"may be called twice, and by several at once", closer, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 1)
		var (
			wg   sync.WaitGroup
			errs [4]error
		)
		for i := range errs {
			wg.Go(func() { errs[i] = s.close() })
		}
		require.NoError(t, promptly(t, "Close, called by several at once", func() error { wg.Wait(); return errors.Join(errs[:]...) }))
		require.NoError(t, s.close())
	}},
	{"ends the provider's calls with a typed panic", closer, func(t *testing.T, s *subject) {
		if lacks := s.h.lacks(ownProvider); lacks != "" {
			t.Skip("the harness states that " + lacks)
		}
		state := s.GetState()
		require.NoError(t, s.close())
		for name, call := range map[string]func(){
			"PersistEvent":    func() { state.PersistEvent("a", 0, wrapperspb.Int64(1)) },
			"GetEvents":       func() { state.GetEvents("a", 0, 0, func(any) {}) },
			"GetSnapshot":     func() { state.GetSnapshot("a") },
			"PersistSnapshot": func() { state.PersistSnapshot("a", 1, wrapperspb.Int64(1)) },
		} {
			err := promptly(t, name+" of a closed journal's provider", func() error { return panicOf(call) })
			requireJournalError(t, err, "a", query.ErrClosed)
		}
	}},
	{"leaves subscriptions harmless", closer, func(t *testing.T, s *subject) {
		n, ok := s.Journal.(query.Notifier)
		if !ok {
			t.Skip("the harness states that this journal is no query.Notifier")
		}
		ignore := func() {}
		before := n.Subscribe(ignore)
		s.write(t, "a", 1, 3)
		require.NoError(t, s.close())
		after := n.Subscribe(ignore)
		require.Error(t, s.AppendEvent(s.ctx, newEvent("a", 4)))
		for _, cancel := range []func(){before, after, before} {
			require.NoError(t, promptly(t, "the end of a subscription to a closed journal", func() error { cancel(); return nil }))
		}
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
		require.NoError(t, promptly(t, "Close during appends", s.close))
		require.ErrorIs(t, promptly(t, "an append during Close", func() error { return <-done }), query.ErrClosed)
	}},
}

func (s *subject) close() error { return s.Journal.(io.Closer).Close() }
