package outbox_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// stage is a moment in the life of an outbox at which it is stopped.
type stage struct {
	name      string
	opts      []outbox.Option
	publisher func(*scene) *actor.Props // of this outbox; by default one that delivers to the sink
	before    func(*scene)              // prepares the stage, before the outbox is spawned
	after     func(*scene)              // brings it about, once clients wait for the outbox
	// done: everything is published and saved by then, and the clients have their answers.
	done bool
	// drains: it was draining before. busy: a short drain comes to its deadline.
	drains, busy bool
	// unavailable: clients are told so before the stop.
	unavailable bool
	// takes is how long the stop may take, because of what does not return.
	takes time.Duration
	// unreturned calls into the journal and abandoned publishers are what the outbox says that it leaves behind.
	unreturned, abandoned int
}

// answer is what clients get that wait for what will not come.
func (s *stage) answer() error {
	if s.unavailable {
		return outbox.ErrUnavailable
	}
	return outbox.ErrStopped
}

// scene is the world in which one outbox is stopped.
type scene struct {
	t       *testing.T
	j       *spy
	s       *sink
	system  *actor.ActorSystem
	client  *outbox.Client
	release chan struct{} // ends what does not keep to its context
	heal    []func()      // before the next outbox is spawned
	// redriving: parked events are sent once more.
	redriving atomic.Bool
}

func (s *scene) is(state outboxv1.State) {
	status, err := s.client.Status(within(s.t))
	require.NoError(s.t, err)
	require.Equal(s.t, state, status.GetState())
}

// bomb is an event that panics when it is decoded.
type bomb struct{ *wrapperspb.StringValue }

func (b *bomb) ProtoReflect() protoreflect.Message {
	if b == nil {
		return (*wrapperspb.StringValue)(nil).ProtoReflect()
	}
	panic("the decoder has a bug")
}

// What a stop waits for: calls into the journal, a last save, and a Publish. Whoever keeps to its context takes no time
// at all, but for a last save, which is given some.
const (
	forCalls     = 2 * time.Second
	forLastSave  = 2 * time.Second
	forStuckSave = 2500 * time.Millisecond
	forPublish   = publisher.DefaultStopGrace
)

// conduct is how a call behaves while something is wrong with it.
type conduct struct {
	name string
	call func(*scene, context.Context) error
}

var (
	failing   = conduct{"fails", func(*scene, context.Context) error { return errDown }}
	panicking = conduct{"panics", func(*scene, context.Context) error { panic(errDown) }}
	hanging   = conduct{"hangs", func(_ *scene, ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	stuck     = conduct{"never returns", func(s *scene, _ context.Context) error { <-s.release; return errDown }}
)

// have has a method of the journal behave like that from now on. Somebody must call it.
func (s *scene) have(method string, c conduct) {
	s.j.set(func(j *spy) { j.hooks[method] = func(ctx context.Context) error { return c.call(s, ctx) } })
	before := s.j.count(method)
	s.heal = append(s.heal, func() {
		s.j.fail(nil, method)
		require.Greater(s.t, s.j.count(method), before, method)
	})
}

// refuse has the sink refuse what is said, from now on.
func (s *scene) refuse(fail func(publisher.Event) error) {
	set := func(fail func(publisher.Event, int) error) {
		s.s.mu.Lock()
		defer s.s.mu.Unlock()
		s.s.fail = fail
	}
	set(func(e publisher.Event, _ int) error { return fail(e) })
	s.heal = append(s.heal, func() { set(nil) })
}

// only refuses the events of one id.
func only(id string, err error) func(publisher.Event) error {
	return func(e publisher.Event) error {
		if e.PersistenceID == id {
			return err
		}
		return nil
	}
}

// that returns a publisher whose every Publish behaves like that.
func that(c conduct) func(*scene) *actor.Props {
	return func(s *scene) *actor.Props {
		return publisher.Props(publisher.Func(func(ctx context.Context, _ publisher.Event) error { return c.call(s, ctx) }))
	}
}

func allStages() []stage {
	all := append(lifeStages(), publishStages()...)
	for _, c := range []conduct{failing, panicking, hanging, stuck} {
		all = append(all, journalStages(c)...)
	}
	return all
}

// journalStages are those of each call into the journal, in which it behaves like that.
func journalStages(c conduct) []stage {
	from := func(method string) func(*scene) { return func(s *scene) { s.have(method, c) } }
	looking := func(method string) func(*scene) {
		return func(s *scene) {
			pass(2 * time.Second) // all is saved
			s.have(method, c)
			pass(5 * time.Second) // it has looked
		}
	}
	stages := []stage{
		{name: "it takes over the name", before: from("Acquire")},
		{name: "it reads where the journal ends", before: from("Head")},
		{name: "it checks the journal's history", before: from("EventsByPersistenceID")},
		{name: "it reads the feed", before: from("Events")},
		{name: "it looks who the owner is", done: true, after: looking("Load")},
		{name: "it looks at the journal", done: true, after: looking("Head")},
		{name: "it catches up", before: func(s *scene) { s.refuse(only("a", errors.New("not now"))) }, after: func(s *scene) {
			pass(time.Second) // a is held
			s.have("EventsByPersistenceID", c)
			pass(time.Second)
		}},
		{name: "it saves", before: from("Save"), after: func(*scene) { pass(2 * time.Second) }},
	}
	if c.name == panicking.name || c.name == stuck.name {
		stages = append(stages, stage{name: "it ends its subscription", done: true, after: from("Unsubscribe")})
	}
	if c.name == panicking.name {
		stages = append(stages, stage{name: "it subscribes", done: true, before: from("Subscribe"), after: func(*scene) { pass(2 * time.Second) }})
	}
	for i := range stages {
		s := &stages[i]
		if c.name == stuck.name {
			s.takes, s.unreturned = forCalls, 1
		}
		switch {
		case s.name == "it saves" && c.name == hanging.name:
			s.takes = forLastSave
		case s.name == "it saves" && c.name == stuck.name:
			s.takes, s.unreturned = forCalls+forStuckSave, 2
		}
		s.name += ", and that call " + c.name
	}
	return stages
}

// publishStages are those of a publisher that has events to publish.
func publishStages() []stage {
	return []stage{
		{name: "Publish hangs", publisher: that(hanging)},
		{name: "Publish never returns", publisher: that(stuck), takes: forPublish, abandoned: 1},
		{name: "Publish is slow", takes: 100 * time.Millisecond, publisher: func(s *scene) *actor.Props {
			return publisher.Props(publisher.Func(func(ctx context.Context, e publisher.Event) error {
				pass(100 * time.Millisecond)
				return s.s.publish(ctx, e)
			}))
		}},
		{name: "a handler panics", after: func(*scene) { pass(3 * time.Second) }, publisher: func(*scene) *actor.Props {
			mux := publisher.NewMux(publisher.Park)
			publisher.On(mux, func(context.Context, publisher.Meta, *wrapperspb.StringValue) error {
				panic("the application has a bug")
			})
			return publisher.Props(mux)
		}},
		{name: "a decoder panics", after: func(*scene) { pass(3 * time.Second) }, publisher: func(*scene) *actor.Props {
			mux := publisher.NewMux(publisher.Park)
			publisher.On(mux, func(context.Context, publisher.Meta, *bomb) error { return nil })
			return publisher.Props(mux)
		}},
		{name: "a parked event is sent once more, and that hangs", done: true, busy: true, publisher: func(s *scene) *actor.Props {
			return publisher.Props(publisher.Func(func(ctx context.Context, e publisher.Event) error {
				switch {
				case e.PersistenceID != "b":
					return s.s.publish(ctx, e)
				case s.redriving.Load():
					return hanging.call(s, ctx)
				default:
					return publisher.Permanent(errors.New("no such customer"))
				}
			}))
		}, after: func(s *scene) {
			pass(2 * time.Second)
			s.redriving.Store(true)
			redriven := async(func() error { _, err := s.client.Redrive(context.Background(), "", 0); return err })
			pass(time.Second)
			s.heal = append(s.heal, func() {
				require.ErrorIs(s.t, next(s.t, "the answer to the redrive", redriven), outbox.ErrStopped)
				redriver := spawnIn(s.t, s.system, s.j, publisher.Props(publisher.Func(s.s.publish)))
				_, err := redriver.Redrive(within(s.t), "", 0)
				require.NoError(s.t, err)
				redriver.stop(s.t)
			})
		}},
		{name: "the sink is down", publisher: that(failing), after: func(*scene) { pass(3 * time.Second) }},
		{name: "Publish panics, again and again", publisher: that(panicking), after: func(*scene) { pass(3 * time.Second) }},
		{
			name: "the publisher has crashed and will be replaced in a minute", publisher: that(panicking),
			opts: []outbox.Option{outbox.WithBackoff(2*time.Minute, 2*time.Minute)}, after: func(*scene) { pass(time.Second) },
		},
		{
			name:   "an id is held and will be tried again in a minute",
			opts:   []outbox.Option{outbox.WithBackoff(2*time.Minute, 2*time.Minute)},
			before: func(s *scene) { s.refuse(only("a", errors.New("not now"))) }, after: func(*scene) { pass(10 * time.Second) },
		},
		{
			name: "an id waits until its parked event is saved",
			before: func(s *scene) {
				s.refuse(only("a", publisher.Permanent(errors.New("no such customer"))))
				s.have("Save", failing)
			},
			after: func(*scene) { pass(2 * time.Second) },
		},
		{
			name: "every event is one that cannot be decoded, and parked", before: func(s *scene) { s.have("Save", failing) },
			publisher: func(*scene) *actor.Props { return publisher.Props(publisher.NewMux(publisher.Park)) },
			after:     func(*scene) { pass(2 * time.Second) },
		},
	}
}

// lifeStages are those that an outbox goes through when all is well.
func lifeStages() []stage {
	return []stage{
		{name: "it waits for the name", before: func(s *scene) {
			rival := spawnIn(s.t, s.system, s.j, publisher.Props(publisher.Func(s.s.publish)))
			rival.flush(s.t)
			s.heal = append(s.heal, func() { rival.stop(s.t) })
		}},
		{name: "it is idle", done: true, after: func(*scene) { pass(time.Minute) }},
		{name: "it has something to save", done: true, after: func(s *scene) {
			pass(2 * time.Second)
			write(s.t, s.j.Journal, "d", 1, 3)
			require.NoError(s.t, s.client.WaitPublished(within(s.t), "d", 3))
		}},
		{
			name: "it is blocked, because its journal has changed", unavailable: true,
			before: func(s *scene) {
				s.j.set(func(j *spy) { j.head = func(h *query.Head) { h.Identity = "another" } })
				s.heal = append(s.heal, func() { s.j.set(func(j *spy) { j.head = nil }) })
			},
			after: func(s *scene) {
				pass(10 * time.Second)
				s.is(outboxv1.State_STATE_BLOCKED)
			},
		},
		{
			name: "it begins anew, because its journal has changed", done: true,
			after: func(s *scene) {
				pass(2 * time.Second) // all is saved
				s.j.set(func(j *spy) { j.head = func(h *query.Head) { h.Identity = "another" } })
				s.heal = append(s.heal, func() { s.j.set(func(j *spy) { j.head = nil }) })
				pass(5 * time.Second) // it has looked
			},
		},
		{
			name: "it is paused",
			before: func(s *scene) {
				pauser := spawnIn(s.t, s.system, s.j, that(hanging)(s))
				require.NoError(s.t, pauser.Pause(within(s.t)))
				pauser.stop(s.t)
				s.heal = append(s.heal, func() {
					resumer := spawnIn(s.t, s.system, s.j, that(hanging)(s))
					require.NoError(s.t, resumer.Resume(within(s.t)))
					resumer.stop(s.t)
				})
			},
			after: func(s *scene) {
				pass(10 * time.Second)
				s.is(outboxv1.State_STATE_PAUSED)
			},
		},
		{name: "it is being rewound, and that cannot be saved", done: true, busy: true, after: func(s *scene) {
			pass(2 * time.Second) // all is saved
			s.have("Save", failing)
			rewound := async(func() error { return s.client.Rewind(context.Background(), 2) })
			pass(time.Second)
			s.is(outboxv1.State_STATE_REWINDING)
			s.heal = append(s.heal, func() { require.ErrorIs(s.t, next(s.t, "the answer to the rewind", rewound), outbox.ErrStopped) })
		}},
		{name: "it drains", drains: true, publisher: that(hanging), after: func(s *scene) {
			drained := async(func() error { return s.client.Drain(context.Background(), time.Hour) })
			pass(time.Second)
			require.Empty(s.t, drained)
			s.heal = append(s.heal, func() {
				if err := next(s.t, "the first drain's answer", drained); !errors.Is(err, outbox.ErrDrainDeadline) {
					require.ErrorIs(s.t, err, outbox.ErrStopped)
				}
			})
		}},
	}
}
