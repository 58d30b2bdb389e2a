package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// scanWindow is how many numbers one filtered read goes through at most. However rare the events are that it looks for, it
// makes progress within a reader's deadline.
const scanWindow = 1 << 16

// Head implements query.Journal.
func (j *Journal) Head(ctx context.Context) (h query.Head, err error) {
	err = j.do(ctx, "read the head", func(conn *pgx.Conn) error {
		h, err = j.head(ctx, conn)
		return err
	})
	if err != nil {
		return query.Head{}, err
	}
	return h, nil
}

// head also notices that the table was set back to an earlier state, by a restore into it.
func (j *Journal) head(ctx context.Context, conn *pgx.Conn) (h query.Head, err error) {
	v := j.view()
	var drawn string
	var at server
	err = conn.QueryRow(ctx, j.statements.head, j.mode).Scan(&h.Offset, &drawn, &at.system, &at.database)
	if err != nil {
		return query.Head{}, err
	}
	h.Identity = fmt.Sprintf("%d/%d/%s", at.system, at.database, drawn)
	if int64(h.Offset) < v.safe {
		j.setBack(v)
	}
	return h, nil
}

// Events implements query.Journal.
//
// A page ends before a number that is missing and whose transaction may still commit: Next stays there, and More is false.
// Subscribers are notified until it is passed, after 1 ms and then up to every 50 ms. With a filter, a page may be empty
// although More is true: it has then gone through a part of the journal.
func (j *Journal) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (answer query.Page, err error) {
	const op = "read the feed"
	p, err := newPage(limits)
	if err != nil {
		return query.Page{}, j.wrap(op, err)
	}
	f, err := newSelection(filter)
	if err != nil {
		return query.Page{}, j.wrap(op, err)
	}
	var instance string
	err = j.do(ctx, fmt.Sprintf("%s after %d", op, after), func(conn *pgx.Conn) error {
		instance = j.instance(conn)
		if filter.All() {
			answer, err = j.readAll(ctx, conn, int64(after), p)
		} else {
			answer, err = j.readSelected(ctx, conn, int64(after), f, p)
		}
		if err == nil {
			err = p.fill(ctx, j, conn)
		}
		return err
	})
	if err != nil {
		return query.Page{}, err
	}
	answer.Events, answer.Instance = p.events, instance
	return answer, nil
}

// readAll reads everything after a number. What it reads tells by itself whether a number is missing.
func (j *Journal) readAll(ctx context.Context, conn *pgx.Conn, after int64, p *page) (query.Page, error) {
	for {
		v, blocked, err := j.viewFor(ctx, conn, after)
		if err != nil {
			return query.Page{}, err
		}
		r, more := v.run(after), false
		if blocked && r.through == after {
			return query.Page{Next: query.Offset(after)}, nil
		}
		err = j.query(ctx, conn, p, j.statements.feed, []any{after, p.rows()}, func(raw [][]byte) (bool, error) {
			if !r.see(int64At(raw[colOrdering])) {
				return true, nil // only to see how many are missing
			}
			fits, err := p.add(raw)
			more = !fits
			return fits, err
		})
		if err != nil {
			return query.Page{}, err
		}
		j.learn(r)
		if more {
			return query.Page{Next: p.events[len(p.events)-1].Offset, More: true}, nil
		}
		if r.missing == 0 {
			j.noGap(r)
			return query.Page{Next: query.Offset(r.through)}, nil
		}
		// What this statement has seen beyond the gap is not to be used, whatever is known by now: it may have missed events.
		passed, err := j.passGap(ctx, conn, r)
		if err != nil || !passed {
			return query.Page{Next: query.Offset(r.through)}, err
		}
		after = r.through
	}
}

// readSelected reads what is selected, up to where the journal is known to be complete before it begins to read.
func (j *Journal) readSelected(ctx context.Context, conn *pgx.Conn, after int64, f selection, p *page) (query.Page, error) {
	bound, more, err := j.complete(ctx, conn, after)
	if err != nil || bound == after {
		return query.Page{Next: query.Offset(after)}, err
	}
	end := bound
	if bound-after > scanWindow {
		end, more = after+scanWindow, true
	}
	full := false
	args := append([]any{after, p.rows(), end}, f.args...)
	err = j.query(ctx, conn, p, j.statements.selected[f.fields], args, func(raw [][]byte) (bool, error) {
		fits, err := p.add(raw)
		full = !fits
		return fits, err
	})
	if err != nil {
		return query.Page{}, err
	}
	if full {
		return query.Page{Next: p.events[len(p.events)-1].Offset, More: true}, nil
	}
	return query.Page{Next: query.Offset(end), More: more}, nil
}
