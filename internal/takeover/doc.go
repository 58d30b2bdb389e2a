// Package takeover has real processes take an outbox's shards from each other, in all the ways in which that can go wrong, and
// checks what is promised: nothing lost, first receipts in order per id, never two owners that can save, and at most MaxUnsaved
// events repeated by one takeover.
//
// Its test is the outside world: it writes to the journal, receives over HTTP what the members publish, and hears
// from them when they acquire a shard and save its offsets. It kills members, suspends them, has them leave and join, and cuts
// them off from each other and from the database.
//
// OUTBOX_TAKEOVER_KILLS sets the number of kills for each kind of journal (4), and has the longest pause held to its bar, which says
// little on a machine with other work; OUTBOX_TAKEOVER_EVENTS how many are published by
// shards and by lanes, to compare (8,000). A comparison is repeated twice at most if it misses its bar, since other work on the machine may have
// come between; with the race detector it is only printed. OUTBOX_TAKEOVER_SEED sets what is drawn (by default the clock, and printed).
package takeover
