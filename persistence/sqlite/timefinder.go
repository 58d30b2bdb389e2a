package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const offsetAtSQL = `SELECT offset - 1 FROM events WHERE time >= ? ORDER BY offset LIMIT 1`

// OffsetAt implements query.TimeFinder. It reads every event before the first of that time: an index that is needed
// once in a reader's life would cost every append.
func (j *Journal) OffsetAt(ctx context.Context, t time.Time) (offset query.Offset, err error) {
	err = j.read(ctx, fmt.Sprintf("find the offset at %v", t), func(tx *sql.Tx) error {
		head, err := j.head(ctx, tx)
		if err != nil || t.After(lastMicro) {
			offset = head
			return err
		}
		err = tx.StmtContext(ctx, j.stmts.offsetAt).QueryRowContext(ctx, firstMicro(t)).Scan(&offset)
		if errors.Is(err, sql.ErrNoRows) {
			offset, err = head, nil
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return offset, nil
}

// lastMicro is the last time that is stored as it is.
var lastMicro = time.UnixMicro(math.MaxInt64)

// firstMicro is the first whole microsecond at or after t, as times are stored.
func firstMicro(t time.Time) int64 {
	switch { // beyond these, UnixMicro wraps around
	case t.After(lastMicro):
		return math.MaxInt64
	case t.Before(time.UnixMicro(math.MinInt64)):
		return math.MinInt64
	}
	micro := t.UnixMicro()
	if time.UnixMicro(micro).Before(t) {
		micro++
	}
	return micro
}
