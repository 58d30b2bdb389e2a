// Package publisher delivers an outbox's events to the outside world.
//
// It owns the [Publisher] interface that a sink implements, the ready-made publishers [Func], [Concurrent] and
// [Mux], the vocabulary in which a publisher says what became of a batch ([BatchError], [Permanent],
// [RetryAfter], [Unknown]), what may stand in front of a publisher ([Middleware]: [Timeout], [RateLimit], [Log],
// [Map], [Upcasting]), and the child actor ([Props]) through which an outbox calls it.
//
// It promises that a batch is answered at most once, with the outcome of every event; that Publish runs off the
// child's mailbox, under a context that ends with the request's timeout or the child's life; that a panic in
// Publish crashes the child, where its supervisor sees it, and never the process; and that a child which stops
// while a Publish does not return says so ([Abandoned]).
//
// It never decides what to do about a failure: whether and when to retry, hold or park is the outbox's. It
// never stores anything, and it decodes events only where asked to ([Decode], [On], [MapOn], [UpcastFunc]).
package publisher
