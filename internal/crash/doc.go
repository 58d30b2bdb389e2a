// Package crash kills real processes with SIGKILL, at all the moments that could hurt, and checks what the outbox
// promises: nothing lost, nothing out of order, and at most MaxUnsaved events repeated by one crash.
//
// Its test is the outside world, which no kill reaches: it starts a worker process ([Work]), receives over HTTP what
// the worker's outbox publishes, and reads on the worker's stdout which writes were acknowledged to its application and
// to which [Place] it has come. It kills the worker, starts it again on the same SQLite file, and so on; the last worker
// publishes what is left. Then the test reads the file, with the database driver alone, and compares.
//
// A kill hits a moment that is dealt from a shuffled deck: while the file is made; at the start; just after the
// recovery or the first receipt; in an append, or between its commit and its answer; before, in and after a save of
// offsets; in a drain, whose save waits, or after it; or at any time. Where a moment is too short to be hit by luck, the
// worker waits there; a moment that was missed is dealt again. The test prints the lives, and how many events were
// repeated after crashes at each moment.
//
// OUTBOX_CRASH_KILLS sets the number of kills (24), OUTBOX_CRASH_SEED what is drawn (by default the clock, and
// printed): it repeats the plan, but for what is dealt again, and not the operating system's timing. With 24 kills or more, a moment that none has hit
// fails the test; with 60 or more, none that left a file with an unfinished schema, too.
//
// It promises nothing about power cuts: what a killed process has written, the operating system still has.
package crash
