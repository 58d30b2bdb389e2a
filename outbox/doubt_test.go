package outbox_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

func answersAs(instance string) func(*spy) {
	return func(j *spy) { j.page = func(p *query.Page) { p.Instance = instance } }
}

// away are ways in which a journal goes away and comes back.
var away = map[string]func(*testing.T, timed, *spy){
	"it failed, and answers again": func(t *testing.T, o timed, j *spy) {
		j.fail(errDown, "Events")
		before := j.count("Events")
		o.until(t, "it was asked", func() bool { return j.count("Events") > before })
		j.fail(nil, "Events")
	},
	"another server answers": func(_ *testing.T, _ timed, j *spy) { j.set(answersAs("second")) },
}

// A journal that lost its tail, and was written beyond it, is found out before anything of what was written is taken for what
// comes next.
func TestNothingIsReadFromAnotherHistory(t *testing.T) {
	for name, goesAway := range away {
		t.Run(name, func(t *testing.T) {
			j, s := newSpy(), &sink{}
			j.set(answersAs("first"))
			write(t, j.Journal, "a", 1, 3)
			o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
			o.flush(t)
			blocked := blockedIn(t, o.system)
			j.set(func(j *spy) {
				j.event = func(e *query.Event) {
					if e.SequenceNumber == 3 {
						e.UID[0] ^= 1
					}
				}
			})
			goesAway(t, o, j)
			write(t, j.Journal, "a", 4, 6)
			o.until(t, "it is blocked", func() bool { return len(blocked) > 0 })
			require.ErrorIs(t, (<-blocked).Err, outbox.ErrJournalChanged)
			require.Equal(t, ids("a", 1, 3), s.received("a"))
		})
	}
}

// What was read and not yet published counts, too: where that is lost, the rest is still what the offsets belong to.
func TestWhatIsLostOfTheWindowIsReadAgain(t *testing.T) {
	for name, goesAway := range away {
		t.Run(name, func(t *testing.T) {
			j := newSpy()
			s := &sink{fail: func(e publisher.Event, _ int) error {
				if e.PersistenceID == "b" && e.SequenceNumber == 1 {
					return errors.New("not yet")
				}
				return nil
			}}
			j.set(answersAs("first"))
			write(t, j.Journal, "a", 1, 1)
			o := spawnTimed(t, j, publisher.Props(publisher.Func(s.publish)))
			o.flush(t)
			write(t, j.Journal, "b", 1, 1)
			o.until(t, "it is tried", func() bool { return s.attempts("b/1") > 0 })
			acquired := j.count("Acquire")
			j.set(func(j *spy) {
				j.event = func(e *query.Event) {
					if e.PersistenceID == "b" {
						e.UID[0] ^= 1
					}
				}
			})
			goesAway(t, o, j)
			o.until(t, "it begins anew", func() bool { return j.count("Acquire") > acquired && o.state(t) == outboxv1.State_STATE_RUNNING })
			require.Equal(t, ids("a", 1, 1), s.received("a"), "from the stored offsets")
		})
	}
}

func TestTheSameHistoryIsComparedOncePerServer(t *testing.T) {
	j, s := newSpy(), &sink{}
	j.set(answersAs("first"))
	o := spawn(t, j, publisher.Props(publisher.Func(s.publish)), frozen())
	o.flush(t)
	for seq := int64(1); seq <= 5; seq++ {
		write(t, j.Journal, "a", seq, seq)
		await(t, "it is published", func() bool { return len(s.received("a")) == int(seq) })
	}
	before := j.count("Head")
	j.set(answersAs("second"))
	for seq := int64(6); seq <= 10; seq++ {
		write(t, j.Journal, "a", seq, seq)
		await(t, "it is published", func() bool { return len(s.received("a")) == int(seq) })
	}
	require.Equal(t, before+1, j.count("Head"), "no time passes, so nothing else looks")
	require.Equal(t, ids("a", 1, 10), s.received("a"))
}
