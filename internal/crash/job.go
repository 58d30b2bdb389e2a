package crash

import "time"

// Job is what a worker has to do.
type Job struct {
	// Journal is the path of a SQLite file, or the URL of a PostgreSQL database, postgres://….
	Journal string
	// URL is where the outbox publishes to.
	URL string
	// Life makes what this worker writes different from what others write.
	Life int
	// MaxUnsaved is the outbox's.
	MaxUnsaved int
	// Window is the outbox's, in events; 0: as by default.
	Window int

	// GiveUpAfter is how long the application tries to append one event before its actor fails. Its writer waits somewhat
	// longer for the answer, and goes on with another write. 0 is for where no write may fail: as long as by default, and a
	// write without an answer ends the worker.
	GiveUpAfter time.Duration

	// WaitAt is the place at which the worker waits for its end, when it comes there for the Nth time; 0: never. What
	// else goes on in the worker, goes on.
	WaitAt Place
	Nth    int

	// DrainAfter is the number of acknowledged writes after which the worker drains its outbox; 0: never.
	DrainAfter int
	// Rest says that the writers have stopped by then; otherwise they go on writing, during the drain and after it.
	Rest bool
	// Last has the worker write one more event before the drain, so that the drain has something to save, for certain.
	// Visits of WaitAt count from there.
	Last bool

	// Finish says to write nothing, publish what is left, and end; otherwise the worker writes until it is killed.
	Finish bool
}
