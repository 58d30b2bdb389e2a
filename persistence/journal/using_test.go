package journal_test

// One subject: actors under the middleware Using, from the first event to what they cannot survive.

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestActorRecovers(t *testing.T) {
	w := newWorld(t, newJournal(t))
	pid := w.spawn(plain)
	w.in(pid, func(e *entity, c actor.Context) {
		assert.True(t, e.recovered)
		assert.Zero(t, journal.LastSequence(c))
		e.happens("one", "two", "three")
		assert.Equal(t, int64(3), journal.LastSequence(c))
	})
	w.stop(pid)

	pid = w.spawn(plain)
	w.in(pid, func(e *entity, c actor.Context) {
		assert.Equal(t, []string{"one", "two", "three"}, e.state)
		assert.False(t, e.Recovering())
		assert.Equal(t, int64(3), journal.LastSequence(c))
		assert.Equal(t, "entity-1", journal.PersistenceID(c))
	})
}

func TestActorRecoversFromItsSnapshot(t *testing.T) {
	j := newJournal(t)
	w := newWorld(t, j)
	pid := w.spawn(plain)
	w.in(pid, func(e *entity, _ actor.Context) {
		e.happens("one", "two")
		e.PersistSnapshot(e.snapshot())
		e.happens("three")
	})
	w.stop(pid)

	require.NotPanics(t, func() { j.GetState().DeleteEvents("entity-1", 1) }, "the snapshot covers them")
	pid = w.spawn(plain)
	require.Equal(t, []string{"one", "two", "three"}, w.state(pid))
	w.in(pid, func(e *entity, c actor.Context) {
		e.happens("four")
		assert.Equal(t, int64(4), journal.LastSequence(c))
		e.PersistSnapshot(e.snapshot())
	})
	require.Len(t, stored(t, j, "entity-1"), 4)
	w.stop(pid)

	pid = w.spawn(plain)
	w.in(pid, func(_ *entity, c actor.Context) {
		assert.Equal(t, int64(4), journal.LastSequence(c), "also with nothing to replay")
	})
}

func TestActorGoesOnAfterARestart(t *testing.T) {
	for name, producer := range map[string]func() func() *entity{
		"of a new actor": func() func() *entity { return plain },
		"of the same actor": func() func() *entity {
			e := plain()
			return func() *entity { e.state = nil; return e }
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal(t)
			w := newWorld(t, j)
			pid := w.spawn(producer())
			for _, name := range []string{"one", "two", "three"} {
				w.in(pid, func(e *entity, _ actor.Context) { e.happens(name) })
				w.system.Root.Send(pid, do(func(*entity, actor.Context) { panic("a test") }))
				require.Equal(t, "a test", <-w.failures)
			}
			require.Equal(t, []string{"one", "two", "three"}, w.state(pid))
			w.in(pid, func(_ *entity, c actor.Context) { assert.Equal(t, int64(3), journal.LastSequence(c)) })
			require.Len(t, stored(t, j, "entity-1"), 3)
		})
	}
}

func TestChildrenAreStoredApart(t *testing.T) {
	j := newJournal(t)
	w := newWorld(t, j)
	using := actor.WithReceiverMiddleware(journal.Using(j))
	parent := w.spawnWith(plain, using)
	var child *actor.PID
	w.in(parent, func(e *entity, c actor.Context) {
		e.happens("parent")
		var err error
		child, err = c.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return plain() }, using), "child")
		assert.NoError(t, err)
	})
	w.in(child, func(e *entity, c actor.Context) {
		e.happens("child")
		assert.Equal(t, "entity-1/child", journal.PersistenceID(c))
	})
	require.Equal(t, []string{"parent"}, w.state(parent))
	require.Len(t, stored(t, j, "entity-1"), 1)
	require.Len(t, stored(t, j, "entity-1/child"), 1)
}

func TestWithIDGivesAStableID(t *testing.T) {
	j := newJournal(t)
	w := newWorld(t, j)
	withID := journal.WithID(func(c actor.Context) string { return "order-17" })
	known := make(chan string, 2)
	order := func() *entity {
		return &entity{onStarted: func(_ *entity, c actor.Context) { known <- journal.PersistenceID(c) }}
	}
	first := w.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return order() },
		actor.WithReceiverMiddleware(journal.Using(j, withID))))
	w.in(first, func(e *entity, c actor.Context) {
		e.happens("one")
		assert.Equal(t, "order-17", e.Name())
		assert.Equal(t, "order-17", journal.PersistenceID(c))
		assert.Equal(t, first, c.Self(), "its PID is its own")
	})
	w.stop(first)

	second := w.spawn(order, withID)
	require.NotEqual(t, first.Id, second.Id)
	require.Equal(t, []string{"one"}, w.state(second))
	require.Len(t, stored(t, j, "order-17"), 1)
	require.Equal(t, "order-17", <-known, "it is known in Started")
}

func TestActorWithAnInvalidIDIsRefused(t *testing.T) {
	for name, id := range map[string]string{
		"empty": "", "10 kB": strings.Repeat("x", 10_000), "NUL": "a\x00b", "invalid UTF-8": "a\xff",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newJournal(t))
			// Saving at the end is what makes an actor that never started hard to stop.
			pid := w.spawn(func() *entity {
				return &entity{onStopping: func(e *entity, _ actor.Context) { e.PersistSnapshot(e.snapshot()) }}
			}, journal.WithID(func(actor.Context) string { return id }))
			err := w.failure()
			require.ErrorIs(t, err, query.ErrInvalidID)
			require.True(t, journal.IsFinal(err))
			require.Equal(t, id, err.PersistenceID)
			w.stop(pid)
		})
	}
}

// stranger is an actor without a Mixin that looks as if it had one.
type stranger struct{}

func (stranger) Receive(actor.Context)         {}
func (stranger) PersistReceive(proto.Message)  {}
func (stranger) PersistSnapshot(proto.Message) {}
func (stranger) Recovering() bool              { return false }
func (stranger) Name() string                  { return "" }

func TestActorWithoutAMixinIsRefused(t *testing.T) {
	for name, producer := range map[string]actor.Producer{
		"a function":     func() actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) },
		"a look-alike":   func() actor.Actor { return stranger{} },
		"a wrapped one":  func() actor.Actor { return struct{ actor.Actor }{plain()} },
		"a hidden Mixin": func() actor.Actor { return &struct{ stranger }{} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newJournal(t))
			pid, err := w.system.Root.SpawnNamed(actor.PropsFromProducer(producer,
				actor.WithReceiverMiddleware(journal.Using(w.store))), "entity-1")
			require.NoError(t, err)
			failed := w.failure() // and not the end of the process
			require.ErrorIs(t, failed, journal.ErrNotPersistent)
			require.True(t, journal.IsFinal(failed))
			require.ErrorContains(t, failed, "embed it")
			w.stop(pid)
		})
	}
}

func TestSnapshotIsRequestedAtItsInterval(t *testing.T) {
	for interval, want := range map[int][]int64{0: nil, 1: {2, 3, 4, 5, 6, 7}, 3: {4, 7}, 100: nil} {
		w := newWorld(t, newJournal(t))
		var asked []int64
		var opts []journal.UsingOption
		if interval > 0 {
			opts = append(opts, journal.WithSnapshotInterval(interval))
		}
		pid := w.spawn(func() *entity {
			return &entity{onRequest: func(e *entity, c actor.Context) {
				asked = append(asked, journal.LastSequence(c))
				e.PersistSnapshot(e.snapshot())
			}}
		}, opts...)
		all := []string{"1", "2", "3", "4", "5", "6", "7"}
		w.in(pid, func(e *entity, _ actor.Context) { e.happens(all...) })
		require.Equal(t, want, asked, "interval %d", interval)
		w.stop(pid)

		pid = w.spawn(plain, opts...)
		require.Equal(t, all, w.state(pid), "what is recovered from such a snapshot")
		w.stop(pid)
	}
}

func TestSnapshotRequestKeepsMessageAndSender(t *testing.T) {
	w := newWorld(t, newJournal(t))
	requests := 0
	pid := w.spawn(func() *entity {
		return &entity{onRequest: func(e *entity, c actor.Context) {
			requests++
			assert.IsType(t, &persistence.RequestSnapshot{}, c.Message())
			assert.Nil(t, c.Sender())
			assert.Empty(t, c.MessageHeader().Keys())
			assert.Same(t, e, c.Actor())
			assert.Equal(t, "entity-1", c.Self().Id)
			c.Respond("nobody is waiting for this")
		}}
	}, journal.WithSnapshotInterval(2))

	command := do(func(e *entity, c actor.Context) {
		e.happens("one", "two", "three") // asks for a snapshot in the third
		assert.Equal(t, 1, requests)
		assert.IsType(t, do(nil), c.Message())
		assert.NotNil(t, c.Sender())
		assert.Equal(t, "value", c.MessageHeader().Get("key"))
		c.Respond("done")
	})
	sender := testkit.NewTestProbe()
	envelope := &actor.MessageEnvelope{Message: command, Sender: sender.Spawn(w.system)}
	envelope.SetHeader("key", "value")
	w.system.Root.Send(pid, envelope)
	answer, err := sender.GetNextMessage(deadline)
	require.NoError(t, err)
	require.Equal(t, "done", answer)
	w.stop(sender.PID())
}

func TestEventsCarryTagsAndMetadata(t *testing.T) {
	j := newJournal(t)
	w := newWorld(t, j)
	var described []proto.Message
	pid := w.spawn(plain, journal.WithMetadata(func(c actor.Context, e proto.Message) map[string]string {
		described = append(described, e)
		if e.(*wrapperspb.StringValue).Value == "bare" {
			return nil
		}
		return map[string]string{"by": c.Self().Id, "tracestate": "mine"}
	}))

	envelope := func(fn do) *actor.MessageEnvelope {
		m := &actor.MessageEnvelope{Message: fn}
		m.SetHeader("traceparent", "00-1-2-01")
		m.SetHeader("tracestate", "theirs")
		m.SetHeader("secret", "not for the journal")
		return m
	}
	w.system.Root.Send(pid, envelope(func(e *entity, _ actor.Context) {
		e.PersistReceive(journal.Tag(journal.Tag(event("tagged"), "eu"), "b2b", "b2b"))
		e.PersistReceive(event("bare"))
	}))
	w.in(pid, func(e *entity, _ actor.Context) {
		e.PersistReceive(event("bare"))
		e.PersistReceive(event("described"))
	})

	events := stored(t, j, "entity-1")
	require.Len(t, events, 4)
	require.Equal(t, []string{"b2b", "eu"}, events[0].Tags)
	require.Equal(t, "google.protobuf.StringValue", events[0].Type)
	require.Equal(t, map[string]string{"traceparent": "00-1-2-01", "tracestate": "mine", "by": "entity-1"}, events[0].Metadata)
	require.Nil(t, events[1].Tags)
	require.Equal(t, map[string]string{"traceparent": "00-1-2-01", "tracestate": "theirs"}, events[1].Metadata)
	require.Nil(t, events[2].Metadata)
	require.Equal(t, map[string]string{"by": "entity-1", "tracestate": "mine"}, events[3].Metadata)
	for _, e := range described {
		require.IsType(t, (*wrapperspb.StringValue)(nil), e, "metadata are asked for with the bare event")
	}

	w.stop(pid)
	require.Equal(t, []string{"tagged", "bare", "bare", "described"}, w.state(w.spawn(plain)), "events are replayed bare")
}

func TestATraceHeaderThatIsNotTextIsPassedOver(t *testing.T) {
	j := newJournal(t)
	w := newWorld(t, j)
	pid := w.spawn(plain)
	m := &actor.MessageEnvelope{Message: do(func(e *entity, _ actor.Context) { e.happens("one") })}
	m.SetHeader("traceparent", "\xff")
	w.system.Root.Send(pid, m)
	require.Equal(t, []string{"one"}, w.state(pid))
	require.Nil(t, stored(t, j, "entity-1")[0].Metadata)
}

func TestMetadataThatIsNotTextIsRefused(t *testing.T) {
	j := newJournal(t)
	w := newWorld(t, j)
	pid := w.spawn(plain, journal.WithMetadata(func(actor.Context, proto.Message) map[string]string {
		return map[string]string{"key": "a\x00b"}
	}))
	err := w.fails(pid, func(e *entity, _ actor.Context) { e.happens("one") })
	require.ErrorIs(t, err, journal.ErrNotEncodable)
	require.ErrorContains(t, err, `"key"`)
	require.Empty(t, stored(t, j, "entity-1"))
}

func TestAConflictReachesTheSupervisor(t *testing.T) {
	j := newJournal(t)
	w := newWorld(t, j)
	pid := w.spawn(plain)
	w.in(pid, func(e *entity, _ actor.Context) { e.happens("one") })
	j.GetState().PersistEvent("entity-1", 1, event("by somebody else"))

	err := w.fails(pid, func(e *entity, _ actor.Context) { e.happens("two") })
	require.ErrorIs(t, err, journal.ErrSequenceConflict)
	require.Equal(t, "entity-1", err.PersistenceID)
	require.Equal(t, int64(2), err.SequenceNumber)

	// Restarted, it knows of the other event, and can go on.
	w.in(pid, func(e *entity, _ actor.Context) {
		assert.Equal(t, []string{"one", "by somebody else"}, e.state)
		e.happens("two")
	})
	require.Len(t, stored(t, j, "entity-1"), 3)
}

func TestAnEventThatCannotBeEncodedReachesTheSupervisor(t *testing.T) {
	j := newJournal(t)
	w := newWorld(t, j)
	pid := w.spawn(plain)
	err := w.fails(pid, func(e *entity, _ actor.Context) { e.happens("\xff") })
	require.ErrorIs(t, err, journal.ErrNotEncodable)
	require.ErrorContains(t, err, "UTF-8")
	require.Empty(t, stored(t, j, "entity-1"))
	w.in(pid, func(e *entity, _ actor.Context) { e.happens("fine") })
	require.Len(t, stored(t, j, "entity-1"), 1)
}

func TestActorSurvivesAnOutageThatIsShort(t *testing.T) {
	j := newJournal(t)
	f := &faulty{Store: j}
	w := newWorld(t, f)
	pid := w.spawn(plain)
	f.fail(func(_ string, attempt int) error {
		if attempt <= 3 {
			return errDown
		}
		return nil
	})
	w.in(pid, func(e *entity, _ actor.Context) { e.happens("one") })
	require.Equal(t, 4, f.attemptsOf("append"))
	require.Len(t, stored(t, j, "entity-1"), 1)
}

func TestAnOutageThatLastsReachesTheSupervisor(t *testing.T) {
	j := newJournal(t)
	f := &faulty{Store: j}
	w := newWorld(t, f)
	pid := w.spawn(plain, journal.WithRetryFor(50*time.Millisecond))
	w.in(pid, func(e *entity, _ actor.Context) { e.happens("one") })

	f.fail(func(op string, _ int) error {
		if op == "append" {
			return errDown
		}
		return nil
	})
	err := w.fails(pid, func(e *entity, _ actor.Context) { e.happens("two") })
	require.ErrorIs(t, err, errDown)
	require.False(t, journal.IsFinal(err))
	require.Equal(t, int64(2), err.SequenceNumber)
	require.ErrorContains(t, err, "given up after")

	f.fail(nil)
	w.in(pid, func(e *entity, _ actor.Context) {
		assert.Equal(t, []string{"one"}, e.state)
		e.happens("two")
	})
	require.Len(t, stored(t, j, "entity-1"), 2)
}

func TestAnActorThatDidNotRecoverOverwritesNothing(t *testing.T) {
	good := journal.ActorSnapshot{Index: 0, Type: "google.protobuf.BytesValue"}
	for name, fails := range map[string]error{
		"for good":    query.ErrClosed,
		"for a while": errDown,
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal(t)
			require.NoError(t, j.SaveActorSnapshot(t.Context(), "entity-1", good))
			f := &faulty{Store: j, before: func(op string, _ int) error {
				if op == "load" {
					return fails
				}
				return nil
			}}
			w := newWorld(t, f)
			saver := func(e *entity, _ actor.Context) { e.PersistSnapshot(wrapperspb.String("empty")) }
			pid := w.spawn(func() *entity { return &entity{onStopping: saver} }, journal.WithRetryFor(20*time.Millisecond))
			require.ErrorIs(t, w.failure(), fails)
			w.stop(pid)

			s, _, err := j.LoadActorSnapshot(t.Context(), "entity-1")
			require.NoError(t, err)
			require.Equal(t, good, s)
		})
	}
	t.Run("after a restart", func(t *testing.T) {
		j := newJournal(t)
		f := &faulty{Store: j}
		w := newWorld(t, f)
		pid := w.spawn(func() *entity {
			return &entity{onStopping: func(e *entity, _ actor.Context) { e.PersistSnapshot(wrapperspb.String("empty")) }}
		})
		w.in(pid, func(e *entity, _ actor.Context) { e.happens("one"); e.PersistSnapshot(e.snapshot()) })
		good, _, err := j.LoadActorSnapshot(t.Context(), "entity-1")
		require.NoError(t, err)

		f.fail(func(op string, _ int) error {
			if op == "replay" { // when it has been given its snapshot already
				return query.ErrClosed
			}
			return nil
		})
		w.system.Root.Send(pid, do(func(*entity, actor.Context) { panic("a test") }))
		require.Equal(t, "a test", <-w.failures)
		require.ErrorIs(t, w.failure(), query.ErrClosed)
		w.stop(pid)
		s, _, err := j.LoadActorSnapshot(t.Context(), "entity-1")
		require.NoError(t, err)
		require.Equal(t, good, s)
	})
	t.Run("but may save when it did", func(t *testing.T) {
		j := newJournal(t)
		w := newWorld(t, j)
		pid := w.spawn(func() *entity {
			return &entity{onStopping: func(e *entity, _ actor.Context) { e.PersistSnapshot(e.snapshot()) }}
		})
		w.stop(pid)
		_, ok, err := j.LoadActorSnapshot(t.Context(), "entity-1")
		require.NoError(t, err)
		require.True(t, ok)
	})
}

func TestPersistingDuringRecoveryIsRefused(t *testing.T) {
	j := newJournal(t)
	j.GetState().PersistEvent("entity-1", 0, event("one"))
	w := newWorld(t, j)
	using := actor.WithReceiverMiddleware(journal.Using(j))
	_, err := w.system.Root.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return new(echo) }, using), "entity-1")
	require.NoError(t, err)
	failed := w.failure()
	require.ErrorIs(t, failed, journal.ErrNotRecovered)
	require.ErrorContains(t, failed, "ReplayComplete")
	require.Len(t, stored(t, j, "entity-1"), 1)
}

// echo persists every event that it receives, replayed ones too.
type echo struct{ persistence.Mixin }

func (e *echo) Receive(c actor.Context) {
	if m, ok := c.Message().(*wrapperspb.StringValue); ok {
		e.PersistReceive(m)
	}
}

func TestOtherFailuresWhileStoppingAreNotHidden(t *testing.T) {
	broken := errors.New("broken in another way")
	f := &faulty{Store: newJournal(t), before: func(string, int) error { return query.ErrClosed }}
	var reported []any
	middleware := func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, env *actor.MessageEnvelope) {
			if _, ok := env.Message.(*actor.Stopping); ok {
				defer func() { reported = append(reported, recover()) }()
			}
			next(c, env)
		}
	}
	w := newWorld(t, f)
	pid := w.spawnWith(func() *entity {
		return &entity{onStopping: func(*entity, actor.Context) { panic(broken) }}
	}, actor.WithReceiverMiddleware(middleware, journal.Using(f)))
	w.stop(pid)
	require.Equal(t, []any{broken}, reported)
}

func TestContextOfAnotherActorHasNoStream(t *testing.T) {
	w := newWorld(t, newJournal(t))
	answers := make(chan any, 2)
	pid := w.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			answers <- journal.PersistenceID(c)
			answers <- journal.LastSequence(c)
		}
	}))
	require.Equal(t, "", <-answers)
	require.Equal(t, int64(0), <-answers)
	w.stop(pid)
}
