package shards

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// names are what an outbox of so many shards, and everything of it, is called.
type names struct {
	name   string
	shards int
}

// A name is a part of actor ids, and of the key by which the cluster divides kind and identity at a slash.
var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,150}$`)

func (n names) check() error {
	switch {
	case !validName.MatchString(n.name):
		return &outbox.OptionError{Option: "name", Problem: fmt.Sprintf("%.160q is not 1 to 150 of the letters A to Z and a to z, digits, '.', '_' and '-'", n.name)}
	case n.shards < 1 || n.shards > query.NumSlices:
		return &outbox.OptionError{Option: "number of shards", Problem: fmt.Sprintf("%d is not between 1 and %d", n.shards, query.NumSlices)}
	}
	return nil
}

// kind of the shards' actors in the cluster.
func (n names) kind() string { return "outbox-" + n.name }

// identity of a shard in the cluster.
func (n names) identity(number int) string { return n.name + "-" + strconv.Itoa(number) }

// number of the shard with this identity; ok is false if there is none.
func (n names) number(identity string) (number int, ok bool) {
	text, ok := strings.CutPrefix(identity, n.name+"-")
	if !ok {
		return 0, false
	}
	number, err := strconv.Atoi(text)
	return number, err == nil && number >= 0 && number < n.shards && n.identity(number) == identity
}

// outboxName is that of the outbox of a shard. It has the number of all of them, so that two layouts never share offsets.
func (n names) outboxName(number int) string {
	if n.plain() {
		return n.name
	}
	return fmt.Sprintf("%s-%d/%d", n.name, number, n.shards)
}

// key under which a shard's offsets are kept.
func (n names) key(number int) string { return plainKey(n.outboxName(number)) }

// layoutKey is where an outbox without shards would have its offsets, so that the two exclude one another.
func (n names) layoutKey() string { return plainKey(n.name) }

func plainKey(name string) string { return "outbox/" + name }

// slices of a shard: the 1024 are divided as evenly as it goes.
func (n names) slices(number int) query.SliceRange {
	return query.SliceRange{
		From: uint16(number * query.NumSlices / n.count()),
		To:   uint16((number + 1) * query.NumSlices / n.count()),
	}
}

// count is the number of outboxes: without shards, it is one.
func (n names) count() int { return max(1, n.shards) }

// plain reports whether it is an outbox without shards.
func (n names) plain() bool { return n.shards == 0 }

// of returns the shard that a persistence id belongs to.
func (n names) of(id string) int { return n.ofSlice(query.SliceOf(id)) }

func (n names) ofSlice(slice uint16) int {
	// The greatest number whose first slice is not behind this one.
	return ((int(slice)+1)*n.count() - 1) / query.NumSlices
}
