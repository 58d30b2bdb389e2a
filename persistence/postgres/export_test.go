package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// BeginAppend appends an event as AppendEvent does, in a transaction that it leaves open.
func (j *Journal) BeginAppend(ctx context.Context, e query.Event) (pgx.Tx, error) {
	r, err := j.newRow(e)
	if err != nil {
		return nil, err
	}
	tx, err := j.pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	call := &appendCall{rows: []row{r}}
	if err := j.appendEvents(ctx, tx.Conn(), []*appendCall{call}); err != nil {
		return nil, err
	}
	return tx, call.err
}

// Waiting is how many appends wait for a transaction.
func (j *Journal) Waiting() int {
	j.appends.mu.Lock()
	defer j.appends.mu.Unlock()
	return len(j.appends.waiting)
}

// Registration is the key of the lock that those who register an outbox share, and a batch of Trim has alone.
func (j *Journal) Registration() int64 { return j.registrationKey() }

// TrimNeedsSQL is what a batch of Trim reads of the outboxes, and locks.
func (j *Journal) TrimNeedsSQL() string { return j.statements.trimNeedsLocked }
