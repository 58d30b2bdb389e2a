// Package crash kills real processes with SIGKILL, at random moments, and checks what the outbox promises: nothing
// lost, nothing out of order, and at most MaxUnsaved events repeated by one crash.
//
// Its test is the outside world, which no kill reaches: it starts a worker process ([Work]), receives over HTTP what
// the worker's outbox publishes, and reads on the worker's stdout which writes were acknowledged to its application.
// It kills the worker, starts it again on the same SQLite file, and so on; the last worker publishes what is left. Then
// the test reads the file, with the database driver alone, and compares.
//
// OUTBOX_CRASH_KILLS sets the number of kills (20), OUTBOX_CRASH_SEED the random moments (by default drawn, and
// printed).
//
// It promises nothing about power cuts: what a killed process has written, the operating system still has.
package crash
