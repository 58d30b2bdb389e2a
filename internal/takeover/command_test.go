package takeover_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/takeover"
)

// A member sees all shards, and commands those of other processes as its own: they are paused, go on, and are flushed.
func TestCommandsFromAnotherMember(t *testing.T) {
	overEach(t, 3, func(t *testing.T, p *party) {
		p.commanded = true
		three(p)
		p.rests()
		from := p.sitting[p.aStranger()]
		for number, row := range p.table(from) {
			o := p.owners()[keyOfShard(number)]
			require.Equal(t, o.member.address(), row.Address, "the owner of shard %d", number)
			require.Equal(t, o.epoch, row.Epoch, "the epoch of shard %d", number)
			require.False(t, row.Paused)
		}

		require.Empty(t, from.ask(t, takeover.Pause).Error)
		p.awaitTable("what was in flight has ended", from, func(rows []takeover.Shard) bool {
			return !slices.ContainsFunc(rows, func(row takeover.Shard) bool { return row.InFlight > 0 })
		})
		for number, row := range p.table(p.sitting[p.aStranger()]) {
			require.True(t, row.Paused, "shard %d, as any member sees it", number)
		}
		received, written := len(p.world.receipts()), p.traffic.count()
		p.await("more is written to all shards", func() bool { return p.traffic.count() >= written+50*numShards })
		require.Len(t, p.world.receipts(), received, "a shard publishes while it is paused")

		resumed := time.Now()
		require.Empty(t, p.sitting[p.aStranger()].ask(t, takeover.Resume).Error)
		for key, o := range p.owners() {
			p.await("each shard publishes again", func() bool { return p.lastReceipt(key, o.epoch).After(resumed) })
		}

		before := p.traffic.so()
		require.Empty(t, from.ask(t, takeover.Flush).Error)
		for _, r := range p.world.receipts() {
			delete(before, r.event)
		}
		require.Empty(t, before, "written before the flush, and not published after it")
	})
}

// Without leave of the application, a member commands the shards of its own process only. It sees them all.
func TestCommandsFromAnotherMemberAreRefusedWithoutLeave(t *testing.T) {
	overEach(t, 3, func(t *testing.T, p *party) {
		three(p)
		p.rests()
		at := p.aStranger()
		from, own := p.sitting[at], p.owned(at)
		for _, command := range []takeover.Command{takeover.Flush, takeover.Pause} {
			answer := from.ask(t, command)
			require.True(t, answer.Refused, "%s: %q", command, answer.Error)
		}
		refused := time.Now()
		for number, row := range p.table(from) {
			_, ok := own[keyOfShard(number)]
			require.Equal(t, ok, row.Paused, "shard %d", number)
		}
		for key, o := range p.owners() {
			if _, ok := own[key]; !ok {
				p.await("a shard that has refused publishes", func() bool { return p.lastReceipt(key, o.epoch).After(refused) })
			}
		}
		require.True(t, from.ask(t, takeover.Resume).Refused)
		for number, row := range p.table(from) {
			require.False(t, row.Paused, "shard %d", number)
		}
	})
}

// aStranger is a seat, at random, to which some shards are another process's.
func (p *party) aStranger() int {
	p.t.Helper()
	for {
		if at := p.random.IntN(3); len(p.owned(at)) < numShards {
			return at
		}
	}
}

// table is how all shards are, as a member sees them.
func (p *party) table(from *process) []takeover.Shard {
	p.t.Helper()
	rows := from.ask(p.t, takeover.Status).Shards
	require.Len(p.t, rows, numShards)
	for number, row := range rows {
		require.Empty(p.t, row.Error, "shard %d", number)
	}
	return rows
}

// awaitTable waits for something that a member sees.
func (p *party) awaitTable(what string, from *process, condition func([]takeover.Shard) bool) {
	p.t.Helper()
	for began := time.Now(); ; {
		rows := p.table(from)
		if condition(rows) {
			return
		}
		require.Less(p.t, time.Since(began), patience, "%s: %+v", what, rows)
	}
}
