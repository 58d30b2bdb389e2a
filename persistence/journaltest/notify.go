package journaltest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var notifyCases = []testCase{
	{"follows an append", notifier, func(t *testing.T, s *subject) {
		a, b := s.subscribe(t), s.subscribe(t)
		for seq := int64(1); seq <= 3; seq++ {
			s.write(t, "a", seq, seq)
			a.wait(t)
			b.wait(t)
		}
	}},
	{"comes when the event can be read", notifier, func(t *testing.T, s *subject) {
		sub := s.subscribe(t)
		for seq := int64(1); seq <= 20; seq++ {
			sub.drain() // calls may be repeated
			appended := make(chan error, 1)
			go func() { appended <- s.AppendEvent(s.ctx, newEvent("a", seq)) }()
			// A reader that looks whenever it is called, and only then, must not sleep on without the event.
			for read := 0; read < int(seq); read = len(s.all(t)) {
				sub.wait(t)
			}
			require.NoError(t, <-appended)
		}
	}},
	{"ends when it is cancelled", notifier, func(t *testing.T, s *subject) {
		var after atomic.Bool
		var late atomic.Int64
		cancel := s.Journal.(query.Notifier).Subscribe(func() {
			if after.Load() {
				late.Add(1)
			}
		})
		witness := s.subscribe(t)
		s.write(t, "a", 1, 1)
		witness.wait(t)
		cancel()
		after.Store(true)
		for seq := int64(2); seq <= 5; seq++ {
			witness.drain()
			s.write(t, "a", seq, seq)
			witness.wait(t)
		}
		require.Zero(t, late.Load(), "calls after cancel had returned")
		cancel() // once more is no error
	}},
	{"may be subscribed to and cancelled while writers append", notifier, func(t *testing.T, s *subject) {
		var (
			wg        sync.WaitGroup
			cancelled atomic.Int64
			late      atomic.Int64
		)
		stop := make(chan struct{})
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						var over atomic.Bool
						cancel := s.Journal.(query.Notifier).Subscribe(func() {
							if over.Load() {
								late.Add(1)
							}
						})
						cancel()
						over.Store(true)
						cancelled.Add(1)
					}
				}
			})
		}
		seq := int64(1)
		for ; seq <= 50 || cancelled.Load() < 50; seq++ {
			s.write(t, "a", seq, seq)
		}
		close(stop)
		require.NoError(t, promptly(t, "Subscribe or cancel, called by several at once", func() error { wg.Wait(); return nil }))
		s.write(t, "a", seq, seq)
		require.Zero(t, late.Load(), "calls after cancel had returned")
	}},
}

// subscription remembers that it was notified.
type subscription chan struct{}

func (s *subject) subscribe(t *testing.T) subscription {
	t.Helper()
	sub := make(subscription, 1)
	t.Cleanup(s.Journal.(query.Notifier).Subscribe(func() {
		select {
		case sub <- struct{}{}:
		default:
		}
	}))
	return sub
}

func (c subscription) wait(t *testing.T) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		require.FailNow(t, "a subscriber was not notified", "waited %v", patience)
	}
}

func (c subscription) drain() {
	select {
	case <-c:
	default:
	}
}
