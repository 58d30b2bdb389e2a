package journaltest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// follower reads a feed from where it was, as an outbox does.
type follower struct {
	*subject
	filter query.Filter
	limits query.Limits
	after  query.Offset
	events []query.Event
}

// read goes on until there is no more for the moment.
func (f *follower) read(t *testing.T) {
	t.Helper()
	limits := f.limits
	if limits.Events == 0 {
		limits.Events = 100
	}
	for {
		page, err := f.Events(f.ctx, f.after, f.filter, limits)
		require.NoError(t, err)
		requirePage(t, page, f.after, f.filter, limits)
		f.events = append(f.events, page.Events...)
		if !page.More {
			f.after = page.Next
			return
		}
		require.Greater(t, page.Next, f.after, "there is more, so Next must move on")
		f.after = page.Next
	}
}

// catchUp reads until the head is reached, and compares what was read since the beginning with what is there now.
func (f *follower) catchUp(t *testing.T, name string) {
	t.Helper()
	head, err := f.Head(f.ctx)
	require.NoError(t, err)
	eventually(t, name+" reaches the head", func() bool {
		f.read(t)
		return f.after >= head.Offset
	})
	require.Equal(t, ids(selected(f.all(t), f.filter)), ids(f.events), "what %s has read, compared with what there is", name)
}

// append appends events of any kind.
func (s *subject) append(t *testing.T, events ...query.Event) {
	t.Helper()
	for i := range events {
		require.NoError(t, s.AppendEvent(s.ctx, events[i]))
	}
}

// begin appends an event in a transaction that is left open. The end of the case rolls it back.
func (s *subject) begin(t *testing.T, e query.Event) Transaction {
	t.Helper()
	tx := s.h.Begin(t, s.Journal, e)
	t.Cleanup(func() { _ = tx.Rollback() }) // an error says that it has ended already
	return tx
}

// appendMeanwhile appends in the background, while a transaction is open that has to end before it can be known what
// becomes of the append. It returns what waits for it.
func (s *subject) appendMeanwhile(t *testing.T, e query.Event) (wait func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.AppendEvent(s.ctx, e) }()
	select {
	case err := <-done:
		require.FailNow(t, "an append was answered that depends on an open transaction", "the answer is: %v", err)
	case <-time.After(20 * time.Millisecond): // an answer that comes later fails the case, too, if it is wrong
	}
	return func() error { return <-done }
}
