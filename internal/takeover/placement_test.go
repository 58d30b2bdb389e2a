package takeover_test

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/cluster"
	"github.com/stretchr/testify/require"
)

// placement is the seat where the cluster places a shard when the first so many are taken.
func (p *party) placement(key string, seats int) int {
	p.t.Helper()
	var members cluster.Members
	for i, s := range p.seats[:seats] {
		members = append(members, &cluster.Member{Host: s.host, Port: int32(s.port), Id: strconv.Itoa(i), Kinds: []string{"outbox-takeover"}})
	}
	rendezvous := cluster.NewRendezvous()
	rendezvous.UpdateMembers(members)
	var number, of int
	_, err := fmt.Sscanf(key, "outbox/takeover-%d/%d", &number, &of)
	require.NoError(p.t, err)
	at := rendezvous.GetByClusterIdentity(cluster.NewClusterIdentity(fmt.Sprintf("takeover-%d", number), "outbox-takeover"))
	return slices.IndexFunc(p.seats, func(s seat) bool { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) == at })
}

// placed is how many shards the cluster places at the last of so many seats.
func (p *party) placed(last int) (n int) {
	p.t.Helper()
	for number := range numShards {
		if p.placement(keyOfShard(number), last+1) == last {
			n++
		}
	}
	return n
}

// placedFrom is how many of those that are owned at a seat are placed at the last one once that is taken.
func (p *party) placedFrom(at, last int) (n int) {
	p.t.Helper()
	for key := range p.owned(at) {
		if p.placement(key, last+1) == last {
			n++
		}
	}
	return n
}

// owned are the shards, with their epochs, that are owned at a seat.
func (p *party) owned(at int) map[string]int64 {
	owned := map[string]int64{}
	for key, o := range p.owners() {
		if o.member == p.sitting[at] {
			owned[key] = o.epoch
		}
	}
	return owned
}

// anOwner is a seat, at random, where a shard is owned.
func (p *party) anOwner() int {
	p.t.Helper()
	for {
		if at := p.random.IntN(3); len(p.owned(at)) > 0 {
			return at
		}
	}
}

// peaceFor is how long nobody takes over: longer than an owner takes to find out that it is none, and one that stands by waits.
const peaceFor = 15 * time.Second

// peace requires that nobody fights: once it has come to rest, nobody takes a shard over.
func (p *party) peace() {
	p.t.Helper()
	p.rests()
	before := p.owners()
	time.Sleep(peaceFor)
	require.True(p.t, maps.Equal(before, p.owners()), "shards were fought for: %v before, %v after", epochs(before), epochs(p.owners()))
}

func epochs(owners map[string]owner) map[string]int64 {
	epochs := map[string]int64{}
	for key, o := range owners {
		epochs[key] = o.epoch
	}
	return epochs
}

// lastReceipt is when the last event was received from a shard in an epoch.
func (p *party) lastReceipt(key string, epoch int64) (last time.Time) {
	for _, r := range p.world.receipts() {
		if r.epoch == epoch && keyOf(r.id) == key {
			last = r.at
		}
	}
	return last
}

// repeatedOf is how many events that were received from a shard in an epoch were received again from a later one.
func (p *party) repeatedOf(key string, epoch int64) (n int) {
	in, later := map[event]bool{}, map[event]bool{}
	for _, r := range p.world.receipts() {
		switch {
		case keyOf(r.id) != key:
		case r.epoch == epoch:
			in[r.event] = true
		case r.epoch > epoch:
			later[r.event] = true
		}
	}
	for e := range later {
		if in[e] {
			n++
		}
	}
	return n
}
