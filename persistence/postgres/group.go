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

// How long a call waits before it tries again to append to an id that somebody else is appending to.
const (
	firstRetry = time.Millisecond
	lastRetry  = 50 * time.Millisecond
)

// Appends share transactions: while one is being committed, those that come wait, and the next transaction takes them all.
// It is carried out by a goroutine that is there only while somebody waits, and not by one of the callers, so that each of
// them can leave when its context ends. One that comes alone waits for nobody.

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

// commitAppends carries out transactions while it is its turn.
func (j *Journal) commitAppends() {
	defer j.gate.Leave()
	for again := true; again; {
		// Those who were answered often have their next event at hand. Let them come before the next group is taken:
		// otherwise it would hold only the fastest of them, and the others would wait for it.
		runtime.Gosched()
		again = j.commitGroup()
	}
}

// commitGroup carries out one transaction, and answers those who took part. It reports whether the next one is the same
// worker's.
func (j *Journal) commitGroup() (again bool) {
	ctx, cancel, last, more := j.appends.prepare()
	if !more {
		return false
	}
	defer cancel()
	var group []*appendCall
	taken := false
	outcome, err := j.tryGroup(ctx, func() []*appendCall {
		taken = true
		group = j.appends.take(ctx)
		return group
	})
	switch {
	case !taken:
		// Those who came later have not waited their time yet. If all have left, there is nobody.
		failed := j.appends.takeThrough(last)
		fail(failed, err)
		again = j.appends.done(nil)
		j.answer(failed)
		return again
	case err == nil:
	case outcome == unknown || len(group) == 1:
		fail(group, aboutOne(group, err))
	default:
		// What has failed may be one call's own doing: so each has its own transaction now.
		j.commitEach(group)
	}
	again = j.appends.done(group)
	j.answer(group)
	return again
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
		// In a goroutine of their own: a subscriber that ends it, as a test does that fails in one, must not leave all who
		// wait without an answer.
		var told sync.WaitGroup
		told.Go(j.subscribers.Notify)
		told.Wait()
		j.announce()
	}
	for _, call := range group {
		close(call.answered)
	}
}
