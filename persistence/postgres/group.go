package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	// What one transaction takes at most. A single call may be larger.
	maxGroupRows  = 512
	maxGroupBytes = 1 << 20

	// groupTimeout is how long a transaction may take, a connection for it included. It ends one whose server has gone
	// without a word.
	groupTimeout = 10 * time.Second

	// How long a call waits before it tries again to append to an id that somebody else is appending to.
	firstRetry = time.Millisecond
	lastRetry  = 50 * time.Millisecond
)

// Appends share transactions: while one is being committed, those that come wait, and the next transaction takes them all.
// It is carried out by a goroutine that is there only while somebody waits, and not by one of the callers, so that each of
// them can leave when its context ends. One that comes alone waits for nobody.

// appendCall is a call that wants rows to be appended, all of them or none: an actor's event, or records.
type appendCall struct {
	rows    []row
	records bool // which are given the next sequence numbers
	bytes   int

	arrival int64
	// answered is closed when the answer is there: err, and in the rows of records the sequence numbers.
	answered chan struct{}
	err      error
}

// appendQueue has the calls that wait for a transaction. Its zero value is empty.
type appendQueue struct {
	mu      sync.Mutex
	waiting []*appendCall
	arrived int64 // calls so far
	// working says that a goroutine takes from the queue. While it waits for a connection, giveUp ends that, for when nobody
	// is left who needs it.
	working bool
	giveUp  context.CancelFunc
}

// add reports whether a goroutine has to be started that takes from the queue.
func (q *appendQueue) add(call *appendCall) (start bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.arrived++
	call.arrival = q.arrived
	q.waiting = append(q.waiting, call)
	start = !q.working
	q.working = true
	return start
}

// drop takes back a call, unless a transaction has taken it.
func (q *appendQueue) drop(call *appendCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiting, call)
	if at < 0 {
		return
	}
	q.waiting = slices.Delete(q.waiting, at, at+1)
	if len(q.waiting) == 0 && q.giveUp != nil {
		q.giveUp()
	}
}

// next prepares for a transaction, which gets its connection with ctx, and returns the last of the calls that wait already.
// The goroutine ends if there is none.
func (q *appendQueue) next() (ctx context.Context, cancel context.CancelFunc, last int64, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.working, q.waiting, q.giveUp = false, nil, nil
		return nil, nil, 0, false
	}
	ctx, cancel = context.WithTimeout(context.Background(), groupTimeout)
	q.giveUp = cancel
	return ctx, cancel, q.waiting[len(q.waiting)-1].arrival, true
}

// take returns what one transaction appends: either events, one of each id, or records. Calls that do not go together with
// the first one wait for the next transaction. There is nothing if all have left.
func (q *appendQueue) take() []*appendCall {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.giveUp = nil // there is a connection
	if len(q.waiting) == 0 {
		return nil
	}
	var (
		group, left []*appendCall
		records     = q.waiting[0].records
		ids         = map[string]bool{}
		rows, bytes int
		full        bool
	)
	for _, call := range q.waiting {
		fits := len(group) == 0 || rows+len(call.rows) <= maxGroupRows && bytes+call.bytes <= maxGroupBytes
		full = full || !fits // nobody overtakes because he is small
		if full || call.records != records || !records && ids[call.rows[0].id] {
			left = append(left, call)
			continue
		}
		group = append(group, call)
		rows += len(call.rows)
		bytes += call.bytes
		ids[call.rows[0].id] = true
	}
	q.waiting = left
	return group
}

// takeThrough returns the calls that came no later than the last one.
func (q *appendQueue) takeThrough(last int64) []*appendCall {
	q.mu.Lock()
	defer q.mu.Unlock()
	var taken, left []*appendCall
	for _, call := range q.waiting {
		if call.arrival <= last {
			taken = append(taken, call)
		} else {
			left = append(left, call)
		}
	}
	q.waiting, q.giveUp = left, nil
	return taken
}

// append appends the call's rows, in a transaction that others may share. If ctx ends first, a call that no transaction has
// taken yet appends nothing; the outcome of another is unknown.
func (j *Journal) append(ctx context.Context, op string, call *appendCall) error {
	if !j.gate.Enter() {
		return j.wrap(op, query.ErrClosed)
	}
	defer j.gate.Leave()
	if len(call.rows) == 0 {
		return nil
	}
	for i := range call.rows {
		call.bytes += call.rows[i].size()
	}
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := j.appendOnce(ctx, call)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errBusy):
			return j.wrap(op, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return j.wrap(op, fmt.Errorf("%w: %w", ctx.Err(), err))
		}
	}
}

// appendOnce has the call taken by one transaction. The call may be used again only if it was answered.
func (j *Journal) appendOnce(ctx context.Context, call *appendCall) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	call.err, call.answered = nil, make(chan struct{})
	if j.appends.add(call) {
		j.gate.EnterFromWithin()
		go j.commitAppends()
	}
	select {
	case <-call.answered:
		return call.err
	case <-ctx.Done():
		j.appends.drop(call)
		return ctx.Err()
	}
}

// commitAppends carries out transactions until nobody waits for one.
func (j *Journal) commitAppends() {
	defer j.gate.Leave()
	for {
		ctx, cancel, last, more := j.appends.next()
		if !more {
			return
		}
		j.commitGroup(ctx, last)
		cancel()
		// Those who were answered often have their next event at hand. Let them come before the next group is taken:
		// otherwise it would hold only the fastest of them, and the others would wait for it.
		runtime.Gosched()
	}
}

// commitGroup carries out one transaction, and answers those who took part. last is the last of those who wait already.
func (j *Journal) commitGroup(ctx context.Context, last int64) {
	var group []*appendCall
	taken := false
	outcome, err := j.tryGroup(ctx, func() []*appendCall {
		taken = true
		group = j.appends.take()
		return group
	})
	switch {
	case err == nil:
	case !taken && errors.Is(ctx.Err(), context.Canceled):
		return // all who waited have left; others may have come
	case !taken:
		// Those who came later have not waited their time yet.
		group = j.appends.takeThrough(last)
		fail(group, err)
	case outcome == unknown || len(group) == 1:
		fail(group, aboutOne(group, err))
	default:
		// What has failed may be one call's own doing: so each has its own transaction now.
		j.commitEach(group)
	}
	j.answer(group)
}

func (j *Journal) commitEach(group []*appendCall) {
	for i := range group {
		one := group[i : i+1]
		ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
		if _, err := j.tryGroup(ctx, func() []*appendCall { return one }); err != nil {
			fail(one, aboutOne(one, err))
		}
		cancel()
	}
}

// aboutOne says more about an error if it can only have been one call's doing.
func aboutOne(group []*appendCall, err error) error {
	switch {
	case len(group) != 1:
		return err
	case isBusy(err):
		return fmt.Errorf("%w: %w", errBusy, err)
	case isAboutData(err):
		return fmt.Errorf("%w: %w", journal.ErrNotEncodable, err)
	}
	return err
}

// outcome is what is known of a transaction that has failed.
type outcome int

const (
	rolledBack outcome = iota // the server said so, or it never began
	unknown
)

// tryGroup appends the rows of all that take returns, once there is a connection, in one transaction. What became of each
// call is noted in it. With an error the calls have no answer.
func (j *Journal) tryGroup(ctx context.Context, take func() []*appendCall) (outcome, error) {
	var group []*appendCall
	err := j.use(ctx, func(conn *pgx.Conn) error {
		group = take()
		switch {
		case len(group) == 0:
			return nil
		case group[0].records:
			return j.appendRecords(ctx, conn, group)
		default:
			return j.appendEvents(ctx, conn, group)
		}
	})
	if err == nil || len(group) == 0 || sqlState(err) != "" && !isShutdown(err) {
		return rolledBack, err
	}
	return unknown, err
}

func fail(calls []*appendCall, err error) {
	for _, call := range calls {
		call.err = err
	}
}

func (j *Journal) answer(group []*appendCall) {
	// Also for an event that was there already: its first append may have succeeded without being told.
	if slices.ContainsFunc(group, func(call *appendCall) bool { return call.err == nil }) {
		j.subscribers.Notify()
		j.announce()
	}
	for _, call := range group {
		close(call.answered)
	}
}
