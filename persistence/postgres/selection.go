package postgres

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// fields is the set of the fields that a filter uses.
type fields int

const (
	bySlices fields = 1 << iota
	byTypes
	byTags

	numFieldSets fields = 1 << iota
)

// sql has its parameters in the order: the length of data, after, the number of rows, the last number, then what the
// fields need.
func (f fields) sql() string {
	where, n := "", 4
	add := func(condition string, params int) {
		for range params {
			n++
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", n), 1)
		}
		where += " AND " + condition
	}
	if f&bySlices != 0 {
		add("slice >= ? AND slice < ?", 2)
	}
	if f&byTypes != 0 {
		add("type = ANY (?::text[])", 1)
	}
	if f&byTags != 0 {
		add("tags && ?::text[]", 1)
	}
	return `SELECT ` + eventColumns + ` FROM {{journal}} WHERE ordering > $2 AND ordering <= $4` + where + ` ORDER BY ordering LIMIT $3`
}

// selection is a filter as a statement takes it.
type selection struct {
	fields fields
	args   []any
}

func newSelection(f query.Filter) (s selection, err error) {
	if !f.Slices.All() {
		s.fields |= bySlices
		s.args = append(s.args, int32(f.Slices.From), int32(f.Slices.To))
	}
	for _, list := range []struct {
		what   string
		field  fields
		values []string
	}{{"type", byTypes, f.Types}, {"tag", byTags, f.Tags}} {
		if len(list.values) == 0 {
			continue
		}
		s.fields |= list.field
		s.args = append(s.args, list.values)
		for _, value := range list.values {
			if err := checkText("filter's "+list.what, value); err != nil {
				return selection{}, err
			}
		}
	}
	return s, nil
}

// checkText refuses what PostgreSQL cannot store as text.
func checkText(what, s string) error {
	switch {
	case !utf8.ValidString(s):
		return fmt.Errorf("the %s %.80q is not valid UTF-8", what, s)
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("the %s %.80q contains a NUL character", what, s)
	}
	return nil
}
