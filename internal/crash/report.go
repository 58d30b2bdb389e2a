package crash

import (
	"context"
	"encoding/json"
	"errors"
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

	mu       sync.Mutex
	counting bool          // the visits of the place to wait at
	visits   int           // that were counted
	waiting  chan struct{} // closed when the worker waits there
}

func newReporter(out io.Writer, job Job) *reporter {
	return &reporter{out: out, job: job, counting: !job.Last, waiting: make(chan struct{})}
}

func (r *reporter) report(what Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.write(what)
}

func (r *reporter) write(what Report) error {
	line, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if _, err := r.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// at reports a step and, if that is where the job says so, waits for the end.
func (r *reporter) at(ctx context.Context, place Place, number int64) error {
	if waits, err := r.visit(Step{Place: place, Number: number}); err != nil || !waits {
		return err
	}
	close(r.waiting)
	<-ctx.Done()
	return ctx.Err()
}

// visit reports a step, and whether the worker is to wait there. It counts in the order of the reports, so that who
// reads them counts the same.
func (r *reporter) visit(s Step) (waits bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.write(Report{Step: &s}); err != nil {
		return false, err
	}
	switch s.Place {
	case LastWrite:
		r.counting = true
	case r.job.WaitAt:
		if r.counting {
			r.visits++
		}
		return r.visits == r.job.Nth, nil
	}
	return false, nil
}

// around reports a step before and a step after what a function does.
func (r *reporter) around(ctx context.Context, what action, number int64, do func() error) error {
	if err := r.at(ctx, what.begins, number); err != nil {
		return err
	}
	if err := do(); err != nil {
		return errors.Join(err, r.report(Report{Step: &Step{what.failed, number, err.Error()}}))
	}
	return r.at(ctx, what.ended, number)
}
