package takeover_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const cutFor = 10 * time.Second

// apart makes a party whose members have a network of their own each.
func apart(t *testing.T, kind string) (*party, *network) {
	t.Helper()
	place := kinds[kind](t)
	n := newNetwork(t, 3)
	inside := place
	if u, err := url.Parse(place); err == nil && u.Scheme != "" {
		u.Host = n.relay(u.Host)
		inside = u.String()
	}
	return newPartyAt(t, place, n.seats(inside)), n
}

// One member and the two others do not see each other, but all see the database: each side takes over what the other has.
func TestMembersCutOffFromEachOther(t *testing.T) {
	for kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			p, n := apart(t, kind)
			members := three(p)
			p.rests()
			before := p.owners()
			alone := p.random.IntN(3)
			n.cut(alone)
			time.Sleep(cutFor) // the cut's length
			during := p.owners()
			n.join(alone)
			p.runs(members...)
			for key, o := range during {
				// Each side takes over at most once when it sees the other go, and a little more while the sides form.
				require.LessOrEqual(t, o.epoch-before[key].epoch, int64(4), "%s was fought for", key)
			}
			p.end()
		})
	}
}

// A member that does not see the database, but whom all others see, cannot keep a shard from being published: it cannot, either, be
// told by the others. What it owns waits until it is back.
func TestAMemberCutOffFromTheDatabase(t *testing.T) {
	p, n := apart(t, "PostgreSQL")
	members := three(p)
	p.rests()
	alone := p.random.IntN(3)
	n.cutFromWorld(alone)
	time.Sleep(cutFor) // the cut's length
	n.joinToWorld(alone)
	p.runs(members...)
	p.end()
}
