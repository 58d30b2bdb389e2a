package journal_test

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/ctxext"
	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// decorated is a context as context decorators make them.
type decorated struct {
	actor.Context
	name string
}

func decorator(name string) actor.ContextDecorator {
	return func(next actor.ContextDecoratorFunc) actor.ContextDecoratorFunc {
		return func(c actor.Context) actor.Context { return &decorated{Context: next(c), name: name} }
	}
}

func TestUsingWorksAmongOthers(t *testing.T) {
	j := newJournal(t)
	for name, withOthers := range map[string]bool{"alone": false, "with decorators and middleware": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, j)
			using := journal.Using(j, journal.WithSnapshotInterval(2), journal.WithID(func(actor.Context) string { return name }))
			var before, after []string
			opts := []actor.PropsOption{actor.WithReceiverMiddleware(using)}
			if withOthers {
				opts = []actor.PropsOption{
					actor.WithContextDecorator(decorator("outer"), decorator("inner")),
					actor.WithReceiverMiddleware(recording(&before), using, recording(&after)),
				}
			}
			entities := func() *entity {
				return &entity{onRequest: func(e *entity, c actor.Context) {
					assert.IsType(t, &persistence.RequestSnapshot{}, c.Message())
					assert.Equal(t, name, journal.PersistenceID(c))
					e.PersistSnapshot(e.snapshot())
				}}
			}

			pid := w.spawnWith(entities, opts...)
			w.in(pid, func(e *entity, c actor.Context) {
				e.happens("one", "two", "three")
				assert.IsType(t, do(nil), c.Message())
				assert.Equal(t, int64(3), journal.LastSequence(c))
				if withOthers {
					assert.Equal(t, "outer", c.(*decorated).name)
				}
			})
			w.system.Root.Send(pid, do(func(*entity, actor.Context) { panic("a test") }))
			require.Equal(t, "a test", <-w.failures)
			w.in(pid, func(e *entity, _ actor.Context) { e.happens("four") })
			require.Equal(t, []string{"one", "two", "three", "four"}, w.state(pid))
			w.stop(pid)

			require.Len(t, stored(t, j, name), 4)
			_, index, ok := j.GetState().GetSnapshot(name)
			require.True(t, ok)
			require.Equal(t, 2, index)
			if withOthers {
				seen := []string{
					"*actor.Started", "journal_test.do", "journal_test.do",
					"*actor.Restarting", "*actor.Started", "journal_test.do", "journal_test.do",
					"*actor.Stopping", "*actor.Stopped",
				}
				require.Equal(t, seen, before)
				require.Equal(t, seen, after)
			}
		})
	}
}

// recording is a middleware that keeps the types of the messages which it sees.
func recording(seen *[]string) actor.ReceiverMiddleware {
	return func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(c actor.ReceiverContext, env *actor.MessageEnvelope) {
			*seen = append(*seen, fmt.Sprintf("%T", env.Message))
			next(c, env)
		}
	}
}

// bare is the context of an actor that has no extension as yet, as the framework answers for it.
type bare struct{ actor.Context }

func (bare) Get(id ctxext.ContextExtensionID) ctxext.ContextExtension {
	return make([]ctxext.ContextExtension, 0)[id]
}

func TestContextWithoutExtensionsHasNoStream(t *testing.T) {
	require.Equal(t, "", journal.PersistenceID(bare{}))
	require.Zero(t, journal.LastSequence(bare{}))
}
