package testkit_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
)

func quietSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
}

func ExampleTestProbe() {
	system := quietSystem()
	probe := testkit.NewTestProbe()
	pid := probe.Spawn(system)

	answer := system.Root.RequestFuture(pid, "ping", time.Second)
	question, err := testkit.GetNextMessageOf[string](probe, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	probe.Respond("pong")
	reply, _ := answer.Result()
	fmt.Println(question, reply)

	_ = system.Root.StopFuture(pid).Wait()
	// Output: ping pong
}

func ExampleManualScheduler() {
	system := quietSystem()
	scheduler := testkit.NewManualScheduler(system.Root)

	// An actor that ticks every 50 ms by scheduling each tick in the one before.
	ticks := 0
	pid := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch c.Message().(type) {
		case *actor.Started:
			scheduler.SendOnce(50*time.Millisecond, c.Self(), "tick")
		case string:
			ticks++
			scheduler.SendOnce(50*time.Millisecond, c.Self(), "tick")
		}
	}))

	// Three ticks, in no time: each time, wait until the next one is scheduled.
	armed := func() bool { return scheduler.Pending() == 1 }
	for range 3 {
		_ = testkit.AwaitCondition(context.Background(), armed, 0)
		scheduler.Advance(50 * time.Millisecond)
	}
	_ = testkit.AwaitCondition(context.Background(), armed, 0)
	_ = system.Root.StopFuture(pid).Wait()
	fmt.Println(ticks, "ticks at", scheduler.Now().Format("15:04:05.000"))
	// Output: 3 ticks at 00:00:00.150
}

func ExampleAwaitCondition() {
	done := make(chan struct{})
	go close(done)

	err := testkit.AwaitCondition(context.Background(), func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}, time.Second)
	fmt.Println(err)
	// Output: <nil>
}

// A probe under an actor that is tested: what comes besides the message that is waited for is passed over.
func ExampleFishForMessage() {
	system := quietSystem()
	probe := testkit.NewTestProbe()
	parent := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if _, ok := c.Message().(*actor.Started); ok {
			child := c.Spawn(testkit.Props(probe))
			for n := range 5 {
				c.Send(child, n)
			}
		}
	}))

	n, err := testkit.FishForMessage(probe, func(n int) bool { return n > 2 }, 0)
	fmt.Println(n, err)

	_ = system.Root.StopFuture(parent).Wait()
	// Output: 3 <nil>
}
