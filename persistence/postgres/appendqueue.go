package postgres

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// What one transaction takes at most. A single call may be larger.
	maxGroupRows  = 512
	maxGroupBytes = 1 << 20

	// maxGroups is how many transactions are under way at once: while the server works on one, the next one is collected
	// and sent. More would only be smaller, and each takes a connection.
	maxGroups = 2

	// groupTimeout is how long a transaction may take, a connection for it included. It ends one whose server has gone
	// without a word.
	groupTimeout = 10 * time.Second
)

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

// appendQueue has the calls that wait for a transaction, and knows which are part of one. Its zero value is empty.
//
// Each transaction is a worker's: a goroutine that is there only while there is something to do for it. At most one of them
// waits for a connection, and it takes what waits once it has one. A transaction has no id in common with another one, and
// records have theirs alone: the rows of a call get offsets that follow each other.
type appendQueue struct {
	mu      sync.Mutex
	waiting []*appendCall
	arrived int64 // calls so far

	connecting bool               // a worker waits for a connection
	giveUp     context.CancelFunc // ends that wait, for when nobody is left who needs it

	groups  int             // transactions under way
	calls   int             // that are part of them
	ids     map[string]bool // of their events
	records bool            // one of them has records
}

// add reports whether a worker has to be started.
func (q *appendQueue) add(call *appendCall) (start bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.arrived++
	call.arrival = q.arrived
	q.waiting = append(q.waiting, call)
	return q.claim()
}

// claim reports whether it is time for another transaction. If so, a worker has to prepare for it. While one is under way,
// the next one waits until as many calls have come that can be part of it. Otherwise those who are answered first would each
// have a transaction of their own.
func (q *appendQueue) claim() bool {
	if q.connecting || q.groups == maxGroups || q.groups > 0 && !q.worthAnother() {
		return false
	}
	q.connecting = true
	return true
}

func (q *appendQueue) worthAnother() bool {
	if q.records || len(q.waiting) < q.calls || q.waiting[0].records {
		return false
	}
	n := 0
	for _, call := range q.waiting {
		if !call.records && !q.ids[call.rows[0].id] {
			n++
		}
	}
	return n >= q.calls
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

// prepare is for a worker whose turn it is. It gets its connection with ctx; last is the last of the calls that wait already.
// If nobody waits, the worker ends.
func (q *appendQueue) prepare() (ctx context.Context, cancel context.CancelFunc, last int64, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.connecting = false
		return nil, nil, 0, false
	}
	ctx, cancel = context.WithTimeout(context.Background(), groupTimeout)
	q.giveUp = cancel
	return ctx, cancel, q.waiting[len(q.waiting)-1].arrival, true
}

// take returns what the worker that has got a connection, with ctx, appends: either events, one of each id, or records. Calls
// that do not go together with the first one, or with those under way, wait for a later transaction. There may be nothing left.
func (q *appendQueue) take(ctx context.Context) []*appendCall {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.connecting, q.giveUp = false, nil
	if ctx.Err() != nil {
		return nil // whoever waits now has come after those who gave up, and is to have a context of his own
	}
	if len(q.waiting) == 0 || q.groups > 0 && q.waiting[0].records {
		return nil
	}
	if q.ids == nil {
		q.ids = map[string]bool{}
	}
	var (
		group, left []*appendCall
		records     = q.waiting[0].records
		rows, bytes int
		full        bool
	)
	for _, call := range q.waiting {
		fits := len(group) == 0 || rows+len(call.rows) <= maxGroupRows && bytes+call.bytes <= maxGroupBytes
		full = full || !fits // nobody overtakes because he is small
		if full || call.records != records || !records && q.ids[call.rows[0].id] {
			left = append(left, call)
			continue
		}
		group = append(group, call)
		rows += len(call.rows)
		bytes += call.bytes
		if !records {
			q.ids[call.rows[0].id] = true
		}
	}
	q.waiting = left
	if len(group) > 0 {
		q.groups++
		q.calls += len(group)
		q.records = records
	}
	return group
}

// takeThrough returns the calls that came no later than the last one, to the worker that has got no connection.
func (q *appendQueue) takeThrough(last int64) []*appendCall {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.connecting, q.giveUp = false, nil
	var taken, left []*appendCall
	for _, call := range q.waiting {
		if call.arrival <= last {
			taken = append(taken, call)
		} else {
			left = append(left, call)
		}
	}
	q.waiting = left
	return taken
}

// done ends the transaction of what take has returned, and reports whether the worker has to prepare for another one.
// Otherwise it ends. It is asked before the calls are answered: their callers are to come before the next group is taken.
func (q *appendQueue) done(group []*appendCall) (again bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(group) > 0 {
		q.groups--
		q.calls -= len(group)
		q.records = false
	}
	for _, call := range group {
		if !call.records {
			delete(q.ids, call.rows[0].id)
		}
	}
	return q.claim()
}
