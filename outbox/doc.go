// Package outbox gets every event of a journal published: at least once, in order per persistence id, across
// crashes, restarts and outages. It is an actor, to be spawned under an actor system or under an actor of the
// application, which supervises it:
//
//	props, err := outbox.Props("shop", journal, publisher.Props(sink))
//	pid := system.Root.Spawn(props)
//	client := outbox.NewClient(system.Root, pid)
//
// The actor tails the journal, driven by scheduler ticks and by the journal's own notifications. It sends batches
// to child publisher actors, one per lane, always the same for a persistence id, and stores how far it has come
// as snapshots of its own, under the key "outbox/<name>". Stopping it ends the loop and everything that belongs to it.
//
// The name is the outbox's identity. In one actor system only one outbox of a name runs at a time; anywhere else, a
// new one of the same name takes over, and the older one finds out at its next save, at the latest a few seconds
// later, and stops with [ErrFenced].
//
// What time can heal (a journal or a sink that is down, a publisher that crashes) is retried inside and never uses
// up a supervisor's restarts. When it must not go on, the outbox logs why, publishes [*Stopped] on the system's
// event stream and stops itself; [Client.Wait] tells too.
//
// The rules of order, duplicates and offsets live in the internal package ledger; this package carries them out.
// It never writes to the journal's events, and never closes the journal or the publisher: they are the
// application's.
package outbox
