package takeover_test

import (
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each case is run over each kind of journal.
func overEach(t *testing.T, seats int, live func(t *testing.T, p *party)) {
	for kind, newPlace := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			p := newParty(t, newPlace(t), seats)
			live(t, p)
			p.end()
		})
	}
}

// three start at the same time.
func three(p *party) (members []*process) {
	for i := range 3 {
		members = append(members, p.sit(i))
	}
	p.runs(members...)
	return members
}

func TestThreeStartAtOnce(t *testing.T) {
	overEach(t, 3, func(_ *testing.T, p *party) { three(p) })
}

func TestAKilledMember(t *testing.T) {
	kills := number(t, "OUTBOX_TAKEOVER_KILLS", 4)
	var took durations
	t.Cleanup(func() { took.check(t) })
	overEach(t, 3, func(t *testing.T, p *party) {
		three(p)
		for range kills {
			p.rests()
			at := p.random.IntN(3)
			victim := p.sitting[at]
			lost := p.owners()
			killed := time.Now()
			victim.kill(t)
			for key, o := range lost {
				if o.member != victim {
					continue
				}
				p.await("a shard of the killed member publishes again", func() bool { return p.publishes(key, o.epoch+1) })
				first, _ := p.firstReceipt(key, o.epoch+1)
				took.add(first.Sub(killed))
			}
			p.sit(at)
			p.runs(p.sitting[0], p.sitting[1], p.sitting[2])
		}
	})
}

// durations from a kill to a shard's next publish.
type durations struct {
	mu  sync.Mutex
	all []time.Duration
}

func (d *durations) add(one time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, one)
}

func (d *durations) check(t *testing.T) {
	t.Helper()
	if t.Failed() || t.Skipped() || len(d.all) == 0 {
		return
	}
	slices.Sort(d.all)
	half, most := d.all[len(d.all)/2], d.all[len(d.all)-1]
	t.Logf("from a kill to a shard's next publish: %d shards, p50 %v, max %v; all: %v", len(d.all), half, most, d.all)
	if os.Getenv("OUTBOX_TAKEOVER_KILLS") != "" { // asked for, so on a quiet machine
		require.LessOrEqual(t, half, 2*time.Second)
		require.LessOrEqual(t, most, 8*time.Second)
	}
}

func TestASuspendedMember(t *testing.T) {
	overEach(t, 3, func(t *testing.T, p *party) {
		members := three(p)
		zombie := members[p.random.IntN(3)]
		zombie.suspend(t)
		time.Sleep(10 * time.Second) // the suspension's length
		zombie.goOn(t)
		p.runs(members...)
	})
}

func TestAMemberLeaves(t *testing.T) {
	overEach(t, 3, func(t *testing.T, p *party) {
		members := three(p)
		at := p.random.IntN(3)
		members[at].leave(t)
		delete(p.sitting, at)
		p.runs(p.sitting[(at+1)%3], p.sitting[(at+2)%3])
	})
}

func TestAMemberJoins(t *testing.T) {
	overEach(t, 4, func(_ *testing.T, p *party) {
		members := three(p)
		p.runs(append(members, p.sit(3))...)
	})
}
