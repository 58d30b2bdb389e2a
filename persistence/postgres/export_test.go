package postgres

import (
	"context"
	"time"

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

// Channel is the one of NOTIFY.
func (j *Journal) Channel() string { return channelOf(j.tables) }

// Hasten has the journal listen with less patience. It is called before Subscribe.
func (j *Journal) Hasten() {
	j.listenTimes = listenTimes{
		connect: 10 * time.Second, quiet: 500 * time.Millisecond, check: 200 * time.Millisecond,
		firstRetry: 10 * time.Millisecond, lastRetry: 50 * time.Millisecond, linger: 100 * time.Millisecond,
	}
}

// ErrDeaf says that what was sent did not come back.
var ErrDeaf = errDeaf

// Registration is the key of the lock that those who register an outbox share, and a batch of Trim has alone.
func (j *Journal) Registration() int64 { return j.registrationKey() }

// LookSQL is what Trim sends before it looks at what may be removed, and how it asks for what outboxes need.
func (j *Journal) LookSQL() (settings, needs string) { return indexPlanSQL, j.statements.trimNeeds }

// TrimNeedsSQL is what a batch of Trim reads of the outboxes, and locks.
func (j *Journal) TrimNeedsSQL() string { return j.statements.trimNeedsLocked }
