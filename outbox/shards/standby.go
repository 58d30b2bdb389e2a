package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// standby is what a shard that was fenced knows of the other owner.
type standby struct {
	topology uint64    // of the cluster, when it was fenced
	fenced   time.Time // when that was
	again    bool      // soon after it had taken over: it is not the first time
	epoch    int64     // of the other owner, 0 before it is known
	seen     evidence
	bare     stretch
	wanted   bool          // since the owner was fenced, somebody has asked for the outbox
	still    time.Time     // since when seen has not changed, or there was nothing to do
	wait     time.Duration // before an owner who leaves work undone counts as dead
}

// evidence is what can be seen of an owner from outside. If it stays the same while there is work to do, the owner is not
// doing any.
type evidence struct {
	epoch, index int64
	pending      query.Offset // of the first event behind the watermark, 0 if there is none
	held         int          // ids that wait
	paused       bool
}

// work reports whether the owner has something to do. One who is paused has not, but that he is to answer whoever asks.
func (e evidence) work(wanted bool) bool {
	if e.paused {
		return wanted
	}
	return e.pending != 0 || e.held != 0
}

// stretch is a part of the feed that has no event of the shard, behind the watermark of one state of its offsets. A look that
// ends within a long one is gone on with.
type stretch struct {
	epoch, index int64
	end          query.Offset
}

// Standing by.
const (
	standbyLook = time.Second
	leastWait   = 10 * time.Second
	mostWait    = 10 * time.Minute

	// steadyRun is how long an outbox must have run for its end to count as the first again. The wait of an owner's
	// rival must be less, or two of them that get nothing done would take turns at the shortest wait.
	steadyRun = 2 * mostWait
)

// looked is what a look at the store has found.
type looked struct {
	number   uint64
	layout   error // not the right one
	released bool
	seen     evidence
	bare     stretch
	err      error // the look did not succeed
}

// fenced begins to stand by: another has taken over.
func (g *grain) fenced(c actor.Context) {
	g.fence = nil // it is not ours to release
	g.past.mu.Lock()
	wait, now := g.past.wait, time.Now()
	again := wait != 0 && now.Sub(g.spawnedAt) <= steadyRun
	if !again {
		wait = leastWait
	}
	g.past.wait = min(2*wait, mostWait)
	standing := &standby{topology: g.topology.Load(), fenced: now, again: again, wait: min(jittered(wait), mostWait), still: now}
	g.past.standby = standing
	g.past.mu.Unlock()
	g.log.Warn("another owner has taken over a shard: this one stands by")
	protect(g.log, func() { c.ActorSystem().EventStream.Publish(&Fenced{Identity: g.identity, PID: c.Self()}) })
	g.standBy(c, standing)
}

func (g *grain) standBy(c actor.Context, s *standby) {
	g.become(outboxv1.ShardState_SHARD_STATE_STANDBY, standingBy(s))
	g.arm(c, jittered(standbyLook))
}

func standingBy(s *standby) string {
	if s.epoch == 0 {
		return "standby: fenced by another owner"
	}
	return fmt.Sprintf("standby: fenced by epoch %d", s.epoch)
}

// inspect looks at the store, off the mailbox.
func (g *grain) inspect(c actor.Context) {
	root, self, number, scope := c.ActorSystem().Root, c.Self(), g.looks, g.scope
	filter := g.filter
	filter.Slices = g.slices(g.number)
	refused := g.state == outboxv1.ShardState_SHARD_STATE_REFUSED
	found := looked{number: number}
	g.past.mu.Lock()
	if s := g.past.standby; s != nil {
		found.bare = s.bare
	}
	g.past.mu.Unlock()
	go func() {
		ctx, cancel := context.WithTimeout(scope, acquireWait)
		defer cancel()
		found.err = g.lookInto(ctx, filter, refused, &found)
		if scope.Err() == nil {
			root.Send(self, found)
		}
	}()
}

func (g *grain) lookInto(ctx context.Context, filter query.Filter, onlyLayout bool, found *looked) (err error) {
	defer caught(&err)
	if err = checkLayout(ctx, g.snapshots, g.names, g.creating); err != nil {
		if isLayout(err) {
			found.layout = err
			return nil
		}
		return err
	}
	if onlyLayout {
		return nil
	}
	saved, err := g.snapshots.Load(ctx, g.key(g.number))
	if err != nil {
		return err
	}
	snapshot, err := stored.DecodeSnapshot(saved.Data)
	if err != nil {
		return err
	}
	found.released = saved.Epoch == 0 || (snapshot.ReleasedEpoch != 0 && snapshot.ReleasedEpoch == saved.Epoch)
	found.seen = evidence{epoch: saved.Epoch, index: saved.Index, held: len(snapshot.Held), paused: snapshot.Paused}
	if found.bare.epoch != saved.Epoch || found.bare.index != saved.Index {
		found.bare = stretch{saved.Epoch, saved.Index, snapshot.Watermark}
	}
	found.seen.pending, err = g.firstPending(ctx, filter, &found.bare)
	return err
}

// firstPending returns the offset of the first event behind a stretch that has none, and has the stretch end before it. It
// is 0 if there is no such event. A journal may answer with an empty page although there is more.
func (g *grain) firstPending(ctx context.Context, filter query.Filter, bare *stretch) (query.Offset, error) {
	for {
		page, err := g.journal.Events(ctx, bare.end, filter, query.Limits{Events: 1})
		switch {
		case err != nil:
			return 0, err
		case len(page.Events) > 0:
			return page.Events[0].Offset, nil
		}
		bare.end = page.Next
		if !page.More {
			return 0, nil
		}
		if err = ctx.Err(); err != nil {
			return 0, err
		}
	}
}

// looked goes on, or looks again later.
func (g *grain) looked(c actor.Context, l looked) {
	g.past.mu.Lock()
	s := g.past.standby
	if s != nil {
		s.bare = l.bare
	}
	g.past.mu.Unlock()
	switch {
	case l.err != nil:
		g.log.Warn("cannot look whether a shard may run", slog.Any("error", l.err))
		g.arm(c, jittered(layoutLook))
		return
	case l.layout != nil:
		g.refuse(c, l.layout)
		return
	case g.state != outboxv1.ShardState_SHARD_STATE_STANDBY:
		if g.refused(nil) {
			g.log.Info("the stored layout is that of this member now: it runs the shards of the outbox", slog.String("outbox", g.name))
		}
		g.run(c)
		return
	}
	if s == nil { // a later activation has gone on
		g.run(c)
		return
	}
	switch why := s.judge(l, time.Now()); {
	case why != "":
		g.log.Info("a shard takes over", slog.String("reason", why), slog.Int64("from_epoch", l.seen.epoch))
		g.run(c)
	case g.heedTopology(c): // a change that it had left to the owner
	default:
		g.reason = standingBy(s)
		g.arm(c, jittered(standbyLook))
	}
}

// judge returns why it is time to take over, or nothing.
func (s *standby) judge(l looked, now time.Time) string {
	if l.seen != s.seen {
		s.seen, s.epoch, s.still, s.wanted = l.seen, l.seen.epoch, now, false
	}
	wait := s.wait
	switch {
	case l.released:
		return "its owner has given it up"
	case l.seen.index == 0 && (l.seen.work(s.wanted) || !s.again):
		// Nobody has ever saved: there is nothing in which an owner could have said that he has gone, and nothing to lose.
		wait /= 5
	case !l.seen.work(s.wanted):
		s.still = now
	}
	if now.Sub(s.still) >= wait {
		return "its owner leaves work undone"
	}
	return ""
}

// minds reports whether the cluster has changed in a way that is a reason to take over. A member that comes and goes has it
// change all the time: who was fenced at such a takeover before leaves the next ones to the other, for a while.
func (s *standby) minds(topology uint64, now time.Time) bool {
	return s.topology != topology && (!s.again || now.Sub(s.fenced) > mostWait)
}

func isLayout(err error) bool { return errors.Is(err, ErrLayout) || errors.Is(err, ErrPlain) }
