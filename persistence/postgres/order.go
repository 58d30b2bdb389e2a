package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// numbersAtOnce is how many numbers are looked at to find out how far a journal is complete.
const numbersAtOnce = 4096

// Gap is where readers of the feed wait, because a number is missing there that may still become an event.
type Gap struct {
	// After is the offset before the missing one.
	After query.Offset
	// Missing is how many numbers were missing up to the end of the last page that was read.
	Missing int64
	// AtWork is how many transactions hold readers up: those that are writing to the table journal, whatever they write.
	AtWork int
	// Since is when the gap was first seen. One that is long open has a transaction that is: see pg_stat_activity.
	Since time.Time
}

// Gap returns the gap at which readers wait, and whether there is one. A read that goes past it ends it.
func (j *Journal) Gap() (g Gap, open bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.gap, j.gap != Gap{}
}

func (j *Journal) view() view {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.horizon.view()
}

func (j *Journal) learn(r run) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.horizon.learn(r)
}

func (j *Journal) setBack(v view) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.horizon.view() == v {
		j.horizon.reset()
	}
}

// at calls fn, with the lock held, if what is known is about the server that the connection leads to. It may no longer be: others
// have come to the next one meanwhile, and the old one goes on answering. Nothing that is known of one is applied to the other.
func (j *Journal) at(conn *pgx.Conn, fn func()) error {
	known, _ := conn.PgConn().CustomData()[j.connectionKey()].(serverKey)
	j.mu.Lock()
	defer j.mu.Unlock()
	if known.server != j.server {
		return errServerLeft
	}
	fn()
	return nil
}

// viewFor is the view for a read of everything after a number. It first looks who is at work if nothing is known yet, or if
// what is not known to be complete begins with a gap: blocked says that it still does. A read would fetch all that is beyond.
func (j *Journal) viewFor(ctx context.Context, conn *pgx.Conn, after int64) (v view, blocked bool, err error) {
	var (
		through        int64
		unknown, atGap bool
	)
	if err := j.at(conn, func() {
		v = j.horizon.view()
		through = v.run(after).through
		unknown, atGap = !j.horizon.probed, j.gap != Gap{} && int64(j.gap.After) == through
	}); err != nil {
		return v, false, err
	}
	if !unknown && !atGap {
		return v, false, nil
	}
	next, err := j.look(ctx, conn, through)
	if err != nil {
		return v, false, err
	}
	if err := j.at(conn, func() { v = j.horizon.view() }); err != nil {
		return v, false, err
	}
	blocked = atGap && next != through+1 && v.safe <= through
	if blocked {
		j.gaps.open(j.subscribers.Notify)
	}
	return v, blocked, nil
}

// look looks who is at work, and learns from it. It returns the first number after another one that is there, 0 if none.
func (j *Journal) look(ctx context.Context, conn *pgx.Conn, after int64) (next int64, err error) {
	var p probe
	if err := j.at(conn, func() { p = j.horizon.probe() }); err != nil {
		return 0, err
	}
	var (
		upTo   int64
		atWork []string
	)
	if err := conn.QueryRow(ctx, j.statements.atWork, j.mode, after).Scan(&upTo, &next, &atWork); err != nil {
		return 0, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.horizon.conclude(p, upTo, atWork)
	if j.gap != (Gap{}) {
		j.gap.AtWork = len(atWork)
	}
	return next, nil
}

// passGap looks whether what is missing at the end of the run is known by now to be gone for good. If not, it sees to it
// that subscribers look again soon.
func (j *Journal) passGap(ctx context.Context, conn *pgx.Conn, r run) (passed bool, err error) {
	j.mu.Lock()
	if int64(j.gap.After) != r.through || j.gap == (Gap{}) {
		j.gap = Gap{After: query.Offset(r.through), Since: time.Now()}
	}
	j.gap.Missing = r.missing
	j.mu.Unlock()
	if _, err := j.look(ctx, conn, r.through); err != nil {
		return false, err
	}
	if j.view().safe > r.through {
		return true, nil
	}
	j.gaps.open(j.subscribers.Notify)
	return false, nil
}

// noGap notes that a run has come to the end of the journal. One that starts beyond what is known to be complete has not
// seen the gaps before it.
func (j *Journal) noGap(r run) {
	if r.after > r.safe {
		return
	}
	j.mu.Lock()
	j.gap = Gap{}
	j.mu.Unlock()
	j.gaps.closed()
}

// complete returns a number after the given one through which the journal is complete for each statement that starts now,
// the given one if there is none yet, and whether there may be more.
func (j *Journal) complete(ctx context.Context, conn *pgx.Conn, after int64) (through int64, more bool, err error) {
	for {
		v, blocked, err := j.viewFor(ctx, conn, after)
		r := v.run(after)
		if err != nil || blocked {
			return r.through, false, err
		}
		if r.through-after >= scanWindow {
			return r.through, true, nil // enough to read
		}
		n := 0
		rows, err := conn.Query(ctx, j.statements.numbers, j.mode, binaryFormat, r.through, numbersAtOnce)
		if err != nil {
			return 0, false, err
		}
		for rows.Next() {
			r.see(int64At(rows.RawValues()[0]))
			n++
		}
		if err := rows.Err(); err != nil {
			return 0, false, err
		}
		j.learn(r)
		if r.missing == 0 {
			if n < numbersAtOnce {
				j.noGap(r)
			}
			return r.through, n == numbersAtOnce, nil
		}
		if passed, err := j.passGap(ctx, conn, r); err != nil || !passed {
			return r.through, false, err
		}
	}
}
