package outboxtest

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// spawned is an actor of the application's.
type spawned struct {
	pid   *actor.PID
	props *actor.Props
}

// Spawn spawns a persistent actor of the application's, which embeds persistence.Mixin, under this persistence id, which
// is its PID's id, too. It is stored in the kit's journal, and stopped when the test ends.
//
// For other props, a child of another actor for instance, use journal.Using(kit.Journal()), and spawn it in the kit's
// [Kit.System] as ever.
func (k *Kit) Spawn(id string, producer actor.Producer, opts ...journal.UsingOption) *actor.PID {
	k.tb.Helper()
	opts = append([]journal.UsingOption{journal.WithID(func(actor.Context) string { return id })}, opts...)
	return k.spawn(id, actor.PropsFromProducer(producer, actor.WithReceiverMiddleware(journal.Using(k.journal, opts...))))
}

func (k *Kit) spawn(id string, props *actor.Props) *actor.PID {
	k.tb.Helper()
	pid, err := k.system.Root.SpawnNamed(props, id)
	if err != nil {
		k.fatalf("cannot spawn %q: %v (to spawn it once more, use Respawn)", id, err)
	}
	k.actors[pid.Id] = spawned{pid, props}
	return pid
}

// Respawn stops an actor that [Kit.Spawn] has spawned, unless it has stopped, and spawns it again: a new instance, which
// recovers from its snapshot and its events. Its PID is as before.
func (k *Kit) Respawn(pid *actor.PID) *actor.PID {
	k.tb.Helper()
	a, ok := k.actors[pid.Id]
	if !ok {
		k.fatalf("%v was not spawned by Spawn", pid)
	}
	k.stop(a.pid)
	return k.spawn(pid.Id, a.props)
}

// Request asks an actor, and returns what it responds. It fails the test if the actor panics, stops, does not exist, or
// does not respond in time.
//
// An actor that responds after it has persisted its event is done with it: [Kit.Tick] publishes it.
func (k *Kit) Request(pid *actor.PID, message any) any {
	k.tb.Helper()
	probe := testkit.NewTestProbe()
	self := probe.Spawn(k.system)
	defer k.stop(self)
	type panicked struct{ reason any }
	k.watch(pid, func(reason any) { k.system.Root.Send(self, panicked{reason}) })
	defer k.watch(pid, nil)
	probe.Context().Watch(pid)
	defer probe.Context().Unwatch(pid)
	probe.Request(pid, message)
	answer, err := probe.GetNextMessage(k.timeout)
	switch m := answer.(type) {
	case nil:
		k.fatalf("request %T of %v: %v", message, pid, err)
	case panicked:
		k.fatalf("request %T of %v: it has panicked: %v", message, pid, m.reason)
	case *actor.Terminated, *actor.DeadLetterResponse:
		if reason := k.panickedWith(pid); reason != nil {
			k.fatalf("request %T of %v: it has stopped, after it had panicked: %v", message, pid, reason)
		}
		k.fatalf("request %T of %v: there is no such actor, or it has stopped", message, pid)
	}
	return answer
}

// watch has tell called when the actor panics; nil ends that.
func (k *Kit) watch(pid *actor.PID, tell func(reason any)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watching[pid.Id] = tell
}

func (k *Kit) panickedWith(pid *actor.PID) any {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.panics[pid.Id]
}
