// Package crash kills real processes with SIGKILL, at all the moments that could hurt, and checks what the outbox
// promises: nothing lost, nothing out of order, and at most MaxUnsaved events repeated by one crash.
//
// Its tests are the outside world, which no kill reaches: they start a worker process ([Work]), receive over HTTP what
// the worker's outbox publishes, and read on the worker's stdout which writes were acknowledged to its application and
// to which [Place] it has come. They kill the worker, start it again on the same SQLite file or PostgreSQL database, and so
// on; the last worker publishes what is left. Then they read the journal, with the database's driver alone, and compare.
//
// A kill hits a moment that is dealt from a shuffled deck: while the journal is made; at the start; just after the
// recovery or the first receipt; in an append, or between its commit and its answer; before, in and after a save of
// offsets; in a drain, whose save waits, or after it; or at any time. Where a moment is too short to be hit by luck, the
// worker waits there; a moment that was missed is dealt again. The tests print the lives, and how many events were
// repeated after crashes at each moment.
//
// # The server
//
// The PostgreSQL server is the test's own, and is stopped as by a crash (immediately, without a checkpoint) and started again:
// under a worker that lives on, which then has to write, to publish more than it can have read before, and to save; before
// the worker is killed, so that the next one starts without a server; with the worker, at a moment from the deck; and while a
// journal is made. As often, all connections of a worker are ended. Some applications go on trying to append until the
// server is back, others give up, so that their actors fail and recover, and their writers go on with another write.
//
// What is promised stays the same. An acknowledged write is in the journal, since the server has synced its commit. A save or an
// append that nobody has heard of may have been committed; it counts as not saved, or is settled by its uid. So a stop uses up no
// repetitions of its own: a life repeats nothing that it has delivered itself, whatever happens to its server, and what later
// lives repeat of it is within MaxUnsaved, as without a stop. What a killed worker has sent to the server is carried on
// while the next worker starts.
//
// # Variables
//
// OUTBOX_CRASH_KILLS sets the number of kills (24 over SQLite, 15 over PostgreSQL), OUTBOX_CRASH_STOPS that of the server's stops
// (2), OUTBOX_CRASH_SEED what is drawn (by default the clock, and printed): it repeats the plan, but for what is dealt again, and not
// the operating system's timing. With 24 kills or more, a moment that none has hit fails the test; with 60 or more, none
// that left a journal unmade, too: a file with an unfinished schema, or a database without a schema.
//
// It promises nothing about power cuts: what a killed process has written, the operating system still has; nor about
// synchronous_commit = off, with which a stop loses what was acknowledged.
package crash
