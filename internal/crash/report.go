package crash

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Report is a line of a worker's stdout: one of these, in JSON.
type Report struct {
	Ack  *Ack  `json:",omitempty"`
	Step *Step `json:",omitempty"`
}

// Ack is a write that was acknowledged to the application: from then on, it must not be lost.
type Ack struct {
	PersistenceID  string
	SequenceNumber int64
	Payload        string
}

// reporter writes reports. Each is one write, which a kill does not cut in two.
type reporter struct {
	out io.Writer
	job Job

	mu     sync.Mutex
	visits int // of the place to wait at
}

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

// at reports a step and, if that is where the job says so, waits for the end.
func (r *reporter) at(ctx context.Context, place Place, number int64) error {
	if err := r.report(Report{Step: &Step{place, number}}); err != nil || !r.waits(place) {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (r *reporter) waits(place Place) bool {
	if place != r.job.WaitAt {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.visits++
	return r.visits == r.job.Nth
}

// around reports a step before and a step after what a function does.
func (r *reporter) around(ctx context.Context, begins, ended Place, number int64, do func() error) error {
	if err := r.at(ctx, begins, number); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return r.at(ctx, ended, number)
}
