package outbox_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// trim removes what may go: of a/1 to a/n all but the last one.
func trim(t *testing.T, j *spy, n int) {
	t.Helper()
	hide(j.Journal, "a", n-1)
	trimmed, err := j.Trim(within(t), journal.Retention{})
	require.NoError(t, err)
	require.Positive(t, trimmed.Events)
}

// once has the next call of a method wait; begun tells that it does.
func once(j *spy, method string) (begun, release chan struct{}) {
	begun, release = make(chan struct{}), make(chan struct{})
	var met atomic.Bool
	j.set(func(j *spy) {
		j.hooks[method] = func(context.Context) error {
			if met.CompareAndSwap(false, true) {
				close(begun)
				<-release
			}
			return nil
		}
	})
	return begun, release
}

func arrived(c <-chan struct{}) func() bool {
	return func() bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
}

// What the outbox compares the journal with may be saved past, and removed, while it does so.
func TestATrimDuringALookIsNoChangeOfTheJournal(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
	o.flush(t)
	blocked := blockedIn(t, o.system)
	begun, release := once(j, "EventsByPersistenceID")
	o.until(t, "it looks", arrived(begun))
	recovered := j.count("Acquire")
	write(t, j.Journal, "a", 4, 6)
	o.flush(t)
	trim(t, j, 6)
	close(release)
	o.pass(t, 12*time.Second, 50*time.Millisecond)
	require.Empty(t, blocked)
	require.Equal(t, recovered, j.count("Acquire"), "it has not begun anew")
	require.Equal(t, outboxv1.State_STATE_RUNNING, o.state(t))
}

// What was seen before a suspension may be gone after it, where the stored offsets have passed it.
func TestATrimDoesNotKeepTheRightJournalFromBeingKnownAgain(t *testing.T) {
	j, s := newSpy(), &sink{}
	var seen log
	write(t, j.Journal, "a", 1, 3)
	o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)), seen.option())
	o.flush(t)
	o.until(t, "it looks", func() bool { return seen.count("outbox.looked") == 1 })
	write(t, j.Journal, "a", 4, 6)
	o.flush(t)
	trim(t, j, 6)
	blocked := blockedIn(t, o.system)
	j.set(func(j *spy) { j.head = func(h *query.Head) { h.Offset = 2 } })
	o.until(t, "it is blocked", func() bool { return len(blocked) > 0 })
	j.set(func(j *spy) { j.head = nil })
	write(t, j.Journal, "a", 7, 7)
	o.until(t, "it goes on", func() bool { return len(s.received("a")) == 7 })
	require.Len(t, blocked, 1)
}

// Whoever is about to take over reads the offsets, and the owner saves on.
func TestATrimDuringATakeoverIsNoChangeOfTheJournal(t *testing.T) {
	j, s := newSpy(), &sink{}
	write(t, j.Journal, "a", 1, 3)
	owner := spawnTimed(t, j.Journal, publisher.Props(publisher.Func(s.publish)))
	owner.flush(t)
	begun, release := once(j, "EventsByPersistenceID")
	system := testkit.NewActorSystem(t)
	blocked := blockedIn(t, system)
	second := spawnIn(t, system, j, publisher.Props(publisher.Func(s.publish)))
	next(t, "it compares the journal with what is stored", begun)
	write(t, j.Journal, "a", 4, 6)
	owner.flush(t)
	trim(t, j, 6)
	close(release)
	second.flush(t)
	require.Empty(t, blocked)
	require.Equal(t, ids("a", 1, 6), s.received("a"))
}
