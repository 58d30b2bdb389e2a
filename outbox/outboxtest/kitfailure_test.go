package outboxtest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/outboxtest"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestWhatTheKitCannotDoFailsTheTestAndSaysWhy(t *testing.T) {
	t.Parallel()
	impatient := outboxtest.WithTimeout(50 * time.Millisecond)
	for name, c := range map[string]struct {
		test func(tb testing.TB)
		says []string
	}{
		"a flush of what never gets out": {
			func(tb testing.TB) {
				k := outboxtest.New(tb)
				a, b := k.Spawn("a", newList), k.Spawn("b", newList)
				add(k, a, "one")
				add(k, b, "one", "two")
				k.Fail("a", errDown)
				k.Flush()
			},
			[]string{"5m0s have passed", "held: a/1 after ", ": the broker is down (next attempt at 00:0", "the journal ends at 3", "published: 2",
				`1. b/1  google.protobuf.StringValue  {value:"one"}`, `2. b/2`, `to fail: every publish of "a": the broker is down (has failed `},
		},
		"a publisher that does not return": {
			func(tb testing.TB) {
				k := outboxtest.New(tb, impatient, outboxtest.WithPublisher(publisher.Func(func(ctx context.Context, _ publisher.Event) error {
					<-ctx.Done()
					return ctx.Err()
				})))
				require.NoError(tb, k.Journal().AppendEvent(context.Background(), event("a", 1)))
				k.Tick()
			},
			[]string{"after 50ms something is still going on", "1 in flight", "being published: a/1"},
		},
		"a failure that never comes": {
			func(tb testing.TB) {
				k := outboxtest.New(tb)
				add(k, k.Spawn("a", newList), "one")
				k.FailNext("a", errDown)
			},
			[]string{`FailNext("a", "the broker is down"): nothing of this id was published after that`},
		},
		"a failure without an error":       {func(tb testing.TB) { outboxtest.New(tb).FailNext("a", nil) }, []string{"errors that are not nil"}},
		"a fault without an error":         {func(tb testing.TB) { outboxtest.New(tb).Fail("a", nil) }, []string{"Fail needs an error"}},
		"an option that is no good":        {func(tb testing.TB) { outboxtest.New(tb, outboxtest.WithName("")) }, []string{"name: it must be 1 to 200 bytes"}},
		"an outbox option that is no good": {func(tb testing.TB) { outboxtest.New(tb, outboxtest.WithOutboxOptions(outbox.WithLanes(0))) }, []string{"WithLanes"}},
		"a second outbox of the name":      {func(tb testing.TB) { outboxtest.New(tb).AddOutbox("test", nil) }, []string{`the name "test" already`}},
		"an actor twice": {
			func(tb testing.TB) {
				k := outboxtest.New(tb)
				k.Spawn("a", newList)
				k.Spawn("a", newList)
			},
			[]string{`cannot spawn "a"`, "use Respawn"},
		},
		"a respawn of a stranger": {
			func(tb testing.TB) { outboxtest.New(tb).Respawn(actor.NewPID("nonhost", "stranger")) },
			[]string{"stranger", "was not spawned by Spawn"},
		},
		"a request that is not answered": {
			func(tb testing.TB) {
				k := outboxtest.New(tb, impatient)
				k.Request(k.Spawn("a", newList), emptyRequest{})
			},
			[]string{"request outboxtest_test.emptyRequest of", "no message arrived within 50ms"},
		},
		"a request at which the actor panics": {
			func(tb testing.TB) {
				k := outboxtest.New(tb)
				k.Request(k.Spawn("a", newList), "panic")
			},
			[]string{"it has panicked: it was told to"},
		},
		"a request at which the actor stops": {
			func(tb testing.TB) {
				k := outboxtest.New(tb, outboxtest.WithTimeout(time.Hour))
				k.Request(k.Spawn("a", newList), "stop")
			},
			[]string{"there is no such actor, or it has stopped"},
		},
		"an outbox that does not answer": {
			func(tb testing.TB) {
				release := make(chan struct{})
				block := actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
					return func(c actor.ReceiverContext, e *actor.MessageEnvelope) {
						if _, ok := e.Message.(emptyRequest); ok {
							<-release
						}
						next(c, e)
					}
				})
				k := outboxtest.New(tb, impatient, outboxtest.WithOutboxOptions(outbox.WithPropsOptions(block)))
				tb.Cleanup(func() { close(release) }) // before the kit ends
				k.System().Root.Send(k.PID(), emptyRequest{})
				k.Tick()
			},
			[]string{`outbox "test": it does not answer`, "it does not answer: no message arrived within 50ms"},
		},
		"a request of nobody": {
			func(tb testing.TB) {
				k := outboxtest.New(tb)
				k.Request(actor.NewPID(k.System().Address(), "nobody"), "hello")
			},
			[]string{"there is no such actor"},
		},
		"a message of another type": {
			func(tb testing.TB) {
				k := outboxtest.New(tb)
				add(k, k.Spawn("a", newList), "one")
				k.Tick()
				outboxtest.Decode[*emptypb.Empty](tb, k.Published()[0])
			},
			[]string{`event a/1 is a *wrapperspb.StringValue, not a *emptypb.Empty: {value:"one"}`},
		},
		"a message that cannot be decoded": {
			func(tb testing.TB) {
				outboxtest.Decode[*emptypb.Empty](tb, publisher.Event{Event: query.Event{PersistenceID: "a", Type: "none"}})
			},
			[]string{`"none"`},
		},
		"a flush of an outbox that has stopped": {
			func(tb testing.TB) {
				k := outboxtest.New(tb)
				saved, err := k.Journal().Load(context.Background(), "outbox/test")
				require.NoError(tb, err)
				_, err = k.Journal().Acquire(context.Background(), "outbox/test", 0, saved.Epoch)
				require.NoError(tb, err)
				add(k, k.Spawn("a", newList), "one")
				k.Flush()
			},
			[]string{"has stopped", outbox.ErrFenced.Error()},
		},
		"the status of an outbox that has stopped": {
			func(tb testing.TB) {
				k := outboxtest.New(tb)
				require.NoError(tb, k.Client().Drain(context.Background(), time.Second))
				k.Status()
			},
			[]string{`the status of outbox "test": it has stopped`},
		},
		"the crash of an outbox that has stopped": {
			func(tb testing.TB) {
				k := outboxtest.New(tb)
				require.NoError(tb, k.Client().Drain(context.Background(), time.Second))
				k.Crash()
			},
			[]string{`crash: outbox "test" has stopped`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tb := try(t, c.test)
			require.Len(t, tb.failures, 1, "one failure, which is not buried under others")
			for _, says := range c.says {
				require.Contains(t, tb.text(), says)
			}
			require.True(t, tb.helped)
			if strings.Contains(tb.text(), "\npublished: ") {
				require.Empty(t, tb.logs, "it was told already")
			}
		})
	}
}

// emptyRequest is what a list does not answer.
type emptyRequest struct{}

func TestATestThatFailsByItselfIsShownWhatWasPublished(t *testing.T) {
	tb := try(t, func(tb testing.TB) {
		k := outboxtest.New(tb)
		add(k, k.Spawn("a", newList), "one")
		k.Flush()
		tb.Errorf("the test expects more")
	})
	require.Equal(t, []string{"the test expects more"}, tb.failures)
	require.Len(t, tb.logs, 1)
	require.Contains(t, tb.logs[0], `1. a/1  google.protobuf.StringValue  {value:"one"}`)
}
