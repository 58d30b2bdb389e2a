package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// What one transaction takes at most. A sync costs as much as some hundred small events, or a megabyte; beyond that,
// longer transactions only keep other writers waiting. A single call may be larger.
const (
	maxGroupRows  = 512
	maxGroupBytes = 1 << 20
)

// Appends share transactions: while one is being synced to disk, those that come wait, and the next transaction takes
// them all. It is carried out by a goroutine that is there only while somebody waits, and not by one of the callers, so
// that each of them can leave when its context ends. One that comes alone waits for nobody.

// appendCall is a call that wants rows to be appended, all of them or none.
type appendCall struct {
	rows  []row
	bytes int

	arrival int64
	// answered is closed when the answer is there: err, and in the rows the sequence numbers.
	answered chan struct{}
	err      error
}

// appendQueue has the calls that wait for a transaction, first come first served. Its zero value is empty.
type appendQueue struct {
	mu      sync.Mutex
	waiting []*appendCall
	arrived int64 // calls so far
	// working says that a goroutine takes from the queue. While it waits for the file's lock, giveUp ends that, for when
	// nobody is left who needs it.
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
func (q *appendQueue) drop(call *appendCall) (dropped bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiting, call)
	if at < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, at, at+1)
	if len(q.waiting) == 0 && q.giveUp != nil {
		q.giveUp()
	}
	return true
}

// next prepares for a transaction, which begins with ctx, and returns the last of the calls that wait already. The
// goroutine ends if there is none.
func (q *appendQueue) next() (ctx context.Context, last int64, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.working, q.waiting, q.giveUp = false, nil, nil
		return nil, 0, false
	}
	ctx, q.giveUp = context.WithCancel(context.Background())
	return ctx, q.waiting[len(q.waiting)-1].arrival, true
}

// take returns what one transaction appends. There is nothing if ctx has ended.
func (q *appendQueue) take(ctx context.Context) []*appendCall {
	q.mu.Lock()
	defer q.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	n, rows, bytes := 0, 0, 0
	for _, call := range q.waiting {
		rows += len(call.rows)
		bytes += call.bytes
		if n > 0 && (rows > maxGroupRows || bytes > maxGroupBytes) {
			break
		}
		n++
	}
	q.giveUp = nil // the transaction has the lock
	return q.remove(n)
}

// takeThrough returns the calls that came no later than the last one.
func (q *appendQueue) takeThrough(last int64) []*appendCall {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := slices.IndexFunc(q.waiting, func(call *appendCall) bool { return call.arrival > last })
	if n < 0 {
		n = len(q.waiting)
	}
	return q.remove(n)
}

// remove returns the first n calls. It runs under the lock.
func (q *appendQueue) remove(n int) []*appendCall {
	taken := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return taken
}

// append appends the rows, in a transaction that others may share. If ctx ends first, a call that no transaction has
// taken yet appends nothing; the outcome of another is unknown.
func (j *Journal) append(ctx context.Context, op string, rows []row) error {
	if !j.gate.Enter() {
		return j.wrap(op, query.ErrClosed)
	}
	defer j.gate.Leave()
	if err := ctx.Err(); err != nil {
		return j.wrap(op, err)
	}
	if len(rows) == 0 {
		return nil
	}

	call := &appendCall{rows: rows, answered: make(chan struct{})}
	for i := range rows {
		call.bytes += rows[i].size()
	}
	if j.appends.add(call) {
		j.gate.EnterFromWithin()
		go j.commitAppends()
	}
	select {
	case <-call.answered:
		if call.err != nil {
			return j.wrap(op, call.err)
		}
		return nil
	case <-ctx.Done():
		j.appends.drop(call)
		return j.wrap(op, ctx.Err())
	}
}

// commitAppends carries out transactions until nobody waits for one.
func (j *Journal) commitAppends() {
	defer j.gate.Leave()
	for {
		ctx, last, more := j.appends.next()
		if !more {
			return
		}
		j.commitGroup(ctx, last)
		// Those who were answered often have their next event at hand. Let them come before the next group is taken:
		// otherwise it would hold only the fastest of them, and the others would wait for it.
		runtime.Gosched()
	}
}

// commitGroup carries out one transaction. last is the last of those who wait already.
func (j *Journal) commitGroup(ctx context.Context, last int64) {
	var group []*appendCall
	came, err := j.tryGroup(ctx, func() []*appendCall {
		group = j.appends.take(ctx)
		return group
	})
	if came == nowhere {
		if ctx.Err() != nil {
			return // all who waited have left; others may have come
		}
		// Those who came later have not waited their time yet.
		group = j.appends.takeThrough(last)
	}
	j.settle(ctx, group, came, err)
}

// settle answers those who took part in a transaction.
func (j *Journal) settle(ctx context.Context, group []*appendCall, came progress, err error) {
	if came == toInsert && len(group) > 1 && !errors.Is(err, ErrFileChanged) {
		// Nothing was appended. What has failed may be one call's own doing: so each half has a transaction of its own now,
		// and so on, until that call is alone.
		for half := range slices.Chunk(group, (len(group)+1)/2) {
			came, err := j.tryGroup(ctx, func() []*appendCall { return half })
			j.settle(ctx, half, came, err)
		}
		return
	}
	if err != nil {
		for _, call := range group {
			call.err = err // also instead of a conflict, which may be with what was not committed
		}
	}
	// Also for an event that was there already: its first append may have succeeded without being told.
	if slices.ContainsFunc(group, func(call *appendCall) bool { return call.err == nil }) {
		// In a goroutine of their own: a subscriber that ends it, as a test does that fails in one, must not leave all who
		// wait without an answer.
		var told sync.WaitGroup
		told.Go(j.subscribers.Notify)
		told.Wait()
	}
	for _, call := range group {
		close(call.answered)
	}
}

// progress is how far a transaction came.
type progress int

const (
	nowhere  progress = iota // it has not begun
	toInsert                 // it failed while rows were inserted
	toCommit                 // it has ended, or its commit was tried
)

// tryGroup appends the rows of all that take returns, once the lock is there, in one transaction. Conflicts are answers,
// and noted in the calls. With an error nothing was appended, unless the transaction came to its commit: then the outcome
// is unknown.
func (j *Journal) tryGroup(ctx context.Context, take func() []*appendCall) (came progress, err error) {
	var reached query.Offset
	err = j.onFile(func() error {
		return inTx(ctx, j.writer, nil, func(tx *sql.Tx) error {
			group := take()
			if len(group) == 0 {
				return context.Canceled // all have left; never nil, which would be an answer
			}
			came = toInsert
			// From here on, nobody's context matters: without one, statements cost less, too.
			in := j.inserter(context.WithoutCancel(ctx), tx)
			for _, call := range group {
				call.err = nil
				for i := range call.rows {
					offset, err := in.insert(&call.rows[i])
					if errors.Is(err, journal.ErrSequenceConflict) {
						call.err = err // of an actor's event, which is the only row of its call
						break
					}
					if err != nil {
						return err
					}
					reached = max(reached, offset)
				}
			}
			came = toCommit
			return nil
		})
	})
	if err == nil {
		j.file.reached(reached)
	}
	return came, err
}
