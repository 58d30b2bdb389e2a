package takeover_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/takeover"
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
			require.NotEqual(t, before, during, "that the members are cut off is seen by who takes over")
			n.join(alone)
			p.runs(members...)
			p.peace()
			for key, o := range p.owners() {
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

// A member that is seen by all and publishes, but whose database does not answer: what it saves is on its way. Meanwhile a newcomer
// takes some of its shards over. When the database answers again, what comes late must not count.
func TestAMemberWhoseDatabaseDoesNotAnswerIsTakenOverFrom(t *testing.T) {
	place := newDatabase(t)
	u, err := url.Parse(place)
	require.NoError(t, err)
	seats, relays := seatsHere(t, place, 4), make([]*relayed, 3)
	for i := range relays {
		relays[i] = relay(t, "127.0.0.1:0", u.Host)
		at := *u
		at.Host = relays[i].address()
		seats[i].journal = at.String()
	}
	p := newPartyAt(t, place, seats)
	three(p)
	p.rests()
	at := p.anOwner()
	for p.placedFrom(at, 3) == 0 {
		p.seats[3].port = freePort(t)
	}
	mute, owned := p.sitting[at], p.owned(at)
	thaw := relays[at].freeze()
	defer thaw()
	frozen := time.Now()
	newcomer := p.sit(3)
	taken := func() (taken map[string]int64) {
		taken = map[string]int64{}
		for key, epoch := range owned {
			if o := p.owners()[key]; o.member == newcomer && p.publishes(key, o.epoch) {
				taken[key] = epoch
			}
		}
		return taken
	}
	p.await("the newcomer publishes what it has taken from the mute member", func() bool { return len(taken()) >= p.placedFrom(at, 3) })
	time.Sleep(time.Until(frozen.Add(cutFor)))
	for _, r := range mute.all() {
		require.False(t, r.What == takeover.Saved && r.Began.After(frozen) && r.Ended.Before(frozen.Add(cutFor)), "it cannot save: %+v", r)
	}
	thaw()
	p.runs(p.sitting[0], p.sitting[1], p.sitting[2], newcomer)
	p.peace()
	p.end()
}
