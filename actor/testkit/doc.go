// Package testkit helps to test actors: a [TestProbe] that records what it is sent and can answer, a
// [ManualScheduler] whose time passes only when the test says so, [AwaitCondition] for what happens in other
// goroutines, and [NewActorSystem] for a quiet actor system that ends with the test.
//
// It promises that nothing in it sleeps for a fixed time to wait for something: what waits returns as soon as
// there is something to return. Names and signatures follow the testkit of newer Proto.Actor versions where that
// has them, so that a test can move there.
//
// It knows nothing of outboxes, never fails a test by itself, and needs no other library than Proto.Actor.
package testkit
