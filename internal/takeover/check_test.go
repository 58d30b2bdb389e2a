package takeover_test

import (
	"cmp"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/takeover"
)

// end has everything published, has all members leave, and checks what is promised.
func (p *party) end() {
	p.t.Helper()
	written := p.traffic.end(p.t)
	p.await("everything that was written is received", func() bool { return p.world.distinct() >= len(written) })
	for _, m := range p.sitting {
		m.leave(p.t)
	}
	require.Empty(p.t, p.world.wrong)
	receipts := p.world.receipts()
	p.checkReceived(written, receipts)
	p.checkOwners()
	p.checkRepeats(receipts)
	p.t.Logf("%d events, %d receipts", len(written), len(receipts))
}

// checkReceived: everything that was written was received, nothing else, and first receipts are in order per id.
func (p *party) checkReceived(written map[event]bool, receipts []receipt) {
	p.t.Helper()
	last := map[string]int64{}
	for i, r := range receipts {
		require.True(p.t, written[r.event], "%v was received, and not written", r.event)
		if r.seq > last[r.id] {
			require.Equal(p.t, last[r.id]+1, r.seq, "receipt %d: out of order: %v by %s in epoch %d", i, r.event, r.member, r.epoch)
			last[r.id] = r.seq
		}
	}
	for e := range written {
		require.LessOrEqual(p.t, e.seq, last[e.id], "lost: %v", e)
	}
}

// checkOwners: an epoch has one owner, and once a later one was acquired, none of an earlier epoch saves any more. A call
// that had begun before may have taken effect before.
func (p *party) checkOwners() {
	p.t.Helper()
	type holding struct {
		key   string
		epoch int64
	}
	owners, acquired, saved := map[holding]string{}, map[holding]time.Time{}, map[holding]time.Time{}
	most := map[string]int64{}
	for _, m := range p.members {
		for _, r := range m.all() {
			h := holding{r.Key, r.Epoch}
			switch r.What {
			case takeover.Acquired:
				if other, ok := owners[h]; ok {
					require.Equal(p.t, other, m.job.Member, "%s: epoch %d has two owners", r.Key, r.Epoch)
				} else {
					owners[h], acquired[h] = m.job.Member, r.Ended
				}
				most[r.Key] = max(most[r.Key], r.Epoch)
			case takeover.Saved:
				if r.Began.After(saved[h]) {
					saved[h] = r.Began
				}
			}
		}
	}
	for s, at := range saved {
		for a, took := range acquired {
			if a.key == s.key && a.epoch > s.epoch {
				require.False(p.t, at.After(took), "%s: a save of epoch %d began at %v and succeeded, %d was acquired at %v",
					s.key, s.epoch, at, a.epoch, took)
			}
		}
	}
	p.t.Logf("epochs: %v", most)
}

// checkRepeats: of the events that were received from one owner, at most MaxUnsaved were received from another, too.
func (p *party) checkRepeats(receipts []receipt) {
	p.t.Helper()
	type holding struct {
		key   string
		epoch int64
	}
	epochs := map[event]map[int64]bool{}
	for _, r := range receipts {
		if epochs[r.event] == nil {
			epochs[r.event] = map[int64]bool{}
		}
		epochs[r.event][r.epoch] = true
	}
	repeated := map[holding]int{}
	for e, in := range epochs {
		if len(in) < 2 {
			continue
		}
		last := int64(0)
		for epoch := range in {
			last = max(last, epoch)
		}
		for epoch := range in {
			if epoch < last {
				repeated[holding{keyOf(e.id), epoch}]++
			}
		}
	}
	var counts []int
	for h, n := range repeated {
		require.LessOrEqual(p.t, n, maxUnsaved(p.seats[0].journal), "%s: events of epoch %d were repeated by later ones", h.key, h.epoch)
		counts = append(counts, n)
	}
	slices.SortFunc(counts, cmp.Compare)
	p.t.Logf("takeovers that repeated something: %d, events repeated in each: %v", len(counts), counts)
}
