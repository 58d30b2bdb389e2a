package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const (
	// SQLite keeps here the greatest offset ever committed. Unlike the greatest one in the table it does not go
	// back when the newest events are removed, and it is what the feed's Next reaches.
	headSQL = `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)`

	identitySQL = `SELECT value FROM meta WHERE key = 'identity'`
)

// Head implements query.Journal.
func (j *Journal) Head(ctx context.Context) (query.Head, error) {
	var h query.Head
	err := j.read(ctx, "read the head", func(tx *sql.Tx) (err error) {
		if h.Offset, err = j.head(ctx, tx); err != nil {
			return err
		}
		return tx.StmtContext(ctx, j.stmts.identity).QueryRowContext(ctx).Scan(&h.Identity)
	})
	if err != nil {
		return query.Head{}, err
	}
	return h, nil
}

// head must be the first that a transaction reads: what was seen before is then in it.
func (j *Journal) head(ctx context.Context, tx *sql.Tx) (offset query.Offset, err error) {
	seen := j.file.head.Load()
	if err := tx.StmtContext(ctx, j.stmts.head).QueryRowContext(ctx).Scan(&offset); err != nil {
		return 0, err
	}
	if int64(offset) < seen {
		return 0, j.file.setBack(offset, seen)
	}
	j.file.reached(offset)
	return offset, nil
}

// Events implements query.Journal. With a filter, it reads on until the page is full or the head is reached.
func (j *Journal) Events(ctx context.Context, after query.Offset, filter query.Filter, limits query.Limits) (query.Page, error) {
	page, err := newPage(limits)
	if err != nil {
		return query.Page{}, j.wrap("read the feed", err)
	}
	stmt, args, err := feedQueryFor(after, filter)
	if err != nil {
		return query.Page{}, j.wrap("read the feed", err)
	}
	answer := query.Page{Next: after}
	err = j.read(ctx, fmt.Sprintf("read the feed after %d", after), func(tx *sql.Tx) error {
		head, err := j.head(ctx, tx)
		if err != nil || head <= after {
			return err
		}
		if filter.All() {
			page.expect(int64(head - max(after, 0)))
		}
		rows, err := tx.StmtContext(ctx, j.stmts.feed[stmt]).QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		// A full page does not look for one more: behind a filter, the next match may be far away.
		for !page.full() && rows.Next() {
			fits, err := page.add(rows)
			if err != nil {
				return err
			}
			if !fits {
				answer.More = true
				break
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		answer.Next = head
		if page.full() || answer.More {
			answer.Next = page.events[len(page.events)-1].Offset
			answer.More = answer.Next < head
		}
		return rows.Close()
	})
	if err != nil {
		return query.Page{}, err
	}
	answer.Events = page.events
	return answer, nil
}

// feedQuery is the set of the fields that a filter uses.
type feedQuery int

const (
	bySlices feedQuery = 1 << iota
	byTypes
	byTags

	feedQueries feedQuery = 1 << iota
)

// sql has its parameters in the order: after, the two slices, types, tags. Lists are JSON arrays.
func (q feedQuery) sql() string {
	where := []string{"offset > ?"}
	if q&bySlices != 0 {
		where = append(where, "slice >= ? AND slice < ?")
	}
	if q&byTypes != 0 {
		where = append(where, "type IN (SELECT value FROM json_each(?))")
	}
	if q&byTags != 0 {
		// Tags that cannot be read are selected, for eventReader to say which event's they are.
		where = append(where, `CASE WHEN events.tags IS NULL THEN 0
			WHEN NOT json_valid(events.tags) THEN 1
			WHEN json_type(events.tags) <> 'array' THEN 1
			ELSE EXISTS (SELECT 1 FROM json_each(events.tags) WHERE value IN (SELECT value FROM json_each(?))) END`)
	}
	return "SELECT " + eventColumns + " FROM events WHERE " + strings.Join(where, " AND ") + " ORDER BY offset"
}

func feedQueryFor(after query.Offset, f query.Filter) (q feedQuery, args []any, err error) {
	args = append(args, int64(after))
	if !f.Slices.All() {
		q |= bySlices
		args = append(args, f.Slices.From, f.Slices.To)
	}
	if len(f.Types) > 0 {
		q |= byTypes
		if args, err = appendList(args, "type", f.Types); err != nil {
			return 0, nil, err
		}
	}
	if len(f.Tags) > 0 {
		q |= byTags
		if args, err = appendList(args, "tag", f.Tags); err != nil {
			return 0, nil, err
		}
	}
	return q, args, nil
}

func appendList(args []any, what string, list []string) ([]any, error) {
	for _, s := range list {
		if err := checkText(what, s); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("encode the list of %ss: %w", what, err)
	}
	return append(args, string(text)), nil
}
