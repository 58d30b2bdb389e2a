package takeover_test

import (
	"strings"
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
	if strings.Contains(place, "://") {
		inside = n.relay(place)
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
			alone := p.anOwner()
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

// A member that sees neither the database nor the sink, but whom all others see, cannot keep a shard from being published: it cannot,
// either, be told by the others. What it owns waits until it is back, or somebody who stands by has waited for long enough.
func TestAMemberCutOffFromTheWorld(t *testing.T) {
	const cutFor = 8 * time.Second // not so long as who stands by waits
	p, n := apart(t, "PostgreSQL")
	members := three(p)
	p.rests()
	at := p.anOwner()
	before, alone := p.owners(), p.sitting[at]
	n.cutFromWorld(at)
	cut := time.Now()
	time.Sleep(cutFor) // the cut's length
	for key, o := range p.owners() {
		require.Equal(t, before[key], o, "%s has changed hands, and nobody has gone", key)
		switch last := p.lastReceipt(key, o.epoch); o.member {
		case alone:
			require.Less(t, last.Sub(cut), time.Second, "%s: it cannot publish", key)
		default:
			require.Greater(t, last.Sub(cut), cutFor-3*time.Second, "%s: the others publish", key)
		}
	}
	back := time.Now()
	n.joinToWorld(at)
	requireNoSave(t, alone, cut, back)
	p.runs(members...)
	p.end()
}

// requireNoSave: none began and ended within this time.
func requireNoSave(t *testing.T, m *process, from, to time.Time) {
	t.Helper()
	for _, r := range m.all() {
		require.False(t, r.What == takeover.Saved && r.Began.After(from) && r.Ended.Before(to), "it cannot save: %+v", r)
	}
}

// A member that sees the sink, but not the database, publishes what it has read, of which at most MaxUnsaved events are not saved, and
// then waits. Who takes over from it repeats these.
func TestAMemberCutOffFromTheDatabase(t *testing.T) {
	const cutFor = 5 * time.Second // longer than it takes to publish what it has read, not so long as who stands by waits
	p, relays := behindRelays(t, 3)
	three(p)
	p.rests()
	at := p.anOwner()
	alone, owned, before := p.sitting[at], p.owned(at), p.owners()
	most := maxUnsaved(p.seats[at].journal)

	// There must be more to publish than it may: a bound that does not hold has it read, and then publish, all of that.
	open := p.world.close()
	defer open()
	p.await("plenty waits to be published by each of its shards", func() bool {
		waiting := p.waiting()
		for key := range owned {
			if waiting[key] < 5*most {
				return false
			}
		}
		return true
	})
	relays[at].cut()
	cut := time.Now()
	open()
	p.await("it sees the sink, and publishes", func() bool {
		for key, epoch := range owned {
			if p.world.receivedFrom(alone, key, epoch, cut) == 0 {
				return false
			}
		}
		return true
	})
	time.Sleep(time.Until(cut.Add(cutFor)))
	require.Equal(t, before, p.owners(), "nobody knows that it cannot save")
	require.Positive(t, relays[at].refusals(), "it does not try to reach its database")
	requireNoSave(t, alone, cut, time.Now())
	sent := map[string]int{}
	for key, epoch := range owned {
		sent[key] = p.world.receivedFrom(alone, key, epoch, cut)
		require.LessOrEqual(t, sent[key], most, "%s: it publishes what it cannot save", key)
	}

	alone.kill(t) // as a health check does
	delete(p.sitting, at)
	p.runs(p.sitting[(at+1)%3], p.sitting[(at+2)%3])
	p.end()
	for key, epoch := range owned {
		require.GreaterOrEqual(t, p.repeatedOf(key, epoch), sent[key], "%s: what was not saved is repeated, or this shows nothing", key)
	}
	t.Logf("events published while they could not be saved: %v", sent)
}

// waiting is how many events of each shard were written and not received.
func (p *party) waiting() map[string]int {
	events := p.traffic.so()
	for _, r := range p.world.receipts() {
		delete(events, r.event)
	}
	waiting := map[string]int{}
	for e := range events {
		waiting[keyOf(e.id)]++
	}
	return waiting
}

// behindRelays is a party whose first members reach the database by a relay of their own.
func behindRelays(t *testing.T, seats int) (*party, []*relayed) {
	t.Helper()
	place := newDatabase(t)
	all, relays := seatsHere(t, place, seats), make([]*relayed, 3)
	for i := range relays {
		relays[i] = relayTo(t, "127.0.0.1:0", place)
		all[i].journal = through(t, place, relays[i].address())
	}
	return newPartyAt(t, place, all), relays
}

// A member that is seen by all and publishes, but whose database does not answer: what it saves is on its way. Meanwhile a newcomer
// takes some of its shards over. When the database answers again, what comes late must not count.
func TestAMemberWhoseDatabaseDoesNotAnswerIsTakenOverFrom(t *testing.T) {
	p, relays := behindRelays(t, 4)
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
	requireNoSave(t, mute, frozen, frozen.Add(cutFor))
	thaw()
	p.runs(p.sitting[0], p.sitting[1], p.sitting[2], newcomer)
	p.peace()
	p.end()
}
