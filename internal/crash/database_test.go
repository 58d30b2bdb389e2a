package crash_test

import "testing"

// database is where a journal is, of one kind or another. It uses nothing but the database's driver: the journal's own
// reading is among what is tested.
type database interface {
	// journal is what a worker opens: crash.Job's.
	journal() string
	// state says how far the making of the journal has come, and whether it is done.
	state(t *testing.T) (state string, made bool)
	// unmake removes a journal that nothing was written to, so that it is made once more.
	unmake(t *testing.T)
	// savedIndex returns the index of the outbox's snapshot, and leaves everything to the next worker as the killed one has
	// left it.
	savedIndex(t *testing.T) int64
	// settle waits until nothing can change any more that killed workers have begun.
	settle(t *testing.T)
	// events returns the payloads of all events.
	events(t *testing.T) map[event]string
}
