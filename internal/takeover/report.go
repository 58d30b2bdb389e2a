package takeover

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// What a member reports.
type What string

const (
	// Started is when it can be told to leave.
	Started What = "started"
	// Acquired a shard: Epoch is the owner's from then on.
	Acquired What = "acquired"
	// Saved a shard's offsets, in an epoch.
	Saved What = "saved"
	// Fenced: a save was refused, or the shard was found to be another's.
	Fenced What = "fenced"
	// Left in good order.
	Left What = "left"
	// Published events, Count so far.
	Published What = "published"
	// Answered an order.
	Answered What = "answered"
)

// Report is what a member says, a line of JSON.
type Report struct {
	What  What
	Key   string `json:",omitempty"` // of the shard's offsets
	Epoch int64  `json:",omitempty"`
	Index int64  `json:",omitempty"`
	// Began and Ended are when the call of the store was made and when it returned, by the machine's clock.
	Began, Ended time.Time
	// Count is how many events were published so far, and Statements how many a PostgreSQL database was sent.
	Count, Statements int64 `json:",omitempty"`
	// Answer to an order.
	Answer *Answer `json:",omitempty"`
}

type reporter struct {
	mu  sync.Mutex
	out io.Writer
}

// report writes a line, which a kill does not cut in two.
func (r *reporter) report(what Report) error {
	line, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}
