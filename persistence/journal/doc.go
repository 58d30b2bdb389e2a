// Package journal is the write side of a journal: what a persistent actor needs to have its events stored, and
// what a journal implements to be written to.
//
// It owns the middleware [Using], which connects an actor that embeds persistence.Mixin to a journal; [Tag]; and
// [NewProvider], which turns any [Store] into a Proto.Actor persistence.Provider. The journals themselves are in
// packages sqlite, memory and others, and are all Stores.
//
//	orders := actor.PropsFromProducer(newOrder, actor.WithReceiverMiddleware(journal.Using(j)))
//
// It promises that an event is stored exactly once, or that the actor finds out: Proto.Actor's provider methods
// return no errors, so a failure that time can heal is retried, for 30 seconds unless [WithRetryFor] says
// otherwise, and every other one, and one that lasts longer, panics with an [*Error] for the actor's supervisor.
// A commit whose outcome is not known is settled by appending the same event, with the same UID, again.
//
// It never logs, never lets two writers of one persistence id interleave, and never ends the process.
//
// # What actors should know
//
// A call that persists blocks its actor, for as long as retries last. A panic restarts the actor, which recovers
// from what is stored; the message that was being handled is lost, as always in Proto.Actor, and its sender gets
// no answer. A supervisor can tell with [IsFinal] whether a restart may help.
//
// An actor whose recovery has failed may still be told that it is Stopping or Restarting. What it tries to persist
// then is refused, so that an empty state never overwrites a good one.
package journal
