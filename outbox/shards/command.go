package shards

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/local"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/stored"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

func drain(deadline time.Duration) *outboxv1.Drain {
	return &outboxv1.Drain{Deadline: durationpb.New(deadline)}
}

// pong says where the outbox is. Whoever wants to wait for its answers asks that one: of a command that is passed on while
// it stops, nobody would hear. That the outbox is wanted is remembered until it runs here, or its owner does something.
func (g *grain) pong(c actor.Context, wanted bool) {
	if c.Sender() == nil {
		return
	}
	if wanted && g.past != nil {
		g.past.mu.Lock()
		if s := g.past.standby; s != nil {
			s.wanted = true
		}
		g.past.mu.Unlock()
	}
	m := &outboxv1.PongShard{Shards: int32(g.shards), State: g.state, Reason: g.why(g.state != outboxv1.ShardState_SHARD_STATE_FAILED || g.allow(c) == nil)}
	if g.child != nil {
		m.OutboxAddress, m.OutboxId = c.ActorSystem().Address(), g.child.GetId()
	}
	c.Respond(m)
}

// command passes a command on to the outbox, which answers its sender, if the application lets it in.
func (g *grain) command(c actor.Context, message proto.Message) {
	if c.Sender() == nil {
		return // there is nobody to tell
	}
	_, drain := message.(*outboxv1.Drain)
	if err := g.allow(c); err != nil {
		g.answer(c, outboxv1.Code_CODE_UNAUTHORIZED, err)
		return
	}
	switch {
	case drain:
		g.answer(c, outboxv1.Code_CODE_UNSUPPORTED, errors.New("a shard is drained by its member: Shards.Leave. To stop publishing, pause it"))
	case g.child == nil:
		g.answer(c, outboxv1.Code_CODE_UNAVAILABLE, fmt.Errorf("shard %s does not run: %s", g.identity, g.reason))
	default:
		c.RequestWithCustomSender(g.child, local.Command{Message: message}, c.Sender())
	}
}

// allow is asked by a shard's actor, and by its outbox, whether a command is let in.
func (s *Shards) allow(c actor.Context) error {
	if s.authorize == nil {
		return errors.New("these shards take no commands from outside: give their members shards.WithAuthorize")
	}
	return s.authorize(c)
}

func (g *grain) answer(c actor.Context, code outboxv1.Code, err error) {
	c.Respond(&outboxv1.Reply{Code: code, Error: stored.Text(err.Error(), stored.MaxReason)})
}

// why is the reason for the shard's state. That of an outbox's end may name ids, and what a database has said.
func (g *grain) why(all bool) string {
	if !all && g.state == outboxv1.ShardState_SHARD_STATE_FAILED {
		return "its outbox has stopped with an error, which is in its member's log, and is told by shards.WithAuthorize"
	}
	return stored.Text(g.reason, stored.MaxReason)
}

// statusWait is how long an outbox may take to say how it is.
const statusWait = 2 * time.Second

// tell says how the shard is. Without leave, it says no more than anybody may know.
func (g *grain) tell(c actor.Context) {
	sender := c.Sender()
	if sender == nil {
		return
	}
	all := g.allow(c) == nil
	m := &outboxv1.Shard{
		Identity: g.identity, Number: int32(g.number), Shards: int32(g.shards), Address: c.ActorSystem().Address(),
		State: g.state, Reason: g.why(all), Since: durationpb.New(time.Since(g.since)),
	}
	if g.past != nil {
		slices := g.slices(g.number)
		m.FromSlice, m.ToSlice = int32(slices.From), int32(slices.To)
		g.past.mu.Lock()
		m.Activations = g.past.activations
		if g.state == outboxv1.ShardState_SHARD_STATE_STANDBY && g.past.standby != nil {
			m.FencedBy = g.past.standby.epoch
		}
		g.past.mu.Unlock()
	}
	if g.child == nil {
		c.Send(sender, m)
		return
	}
	asked := c.RequestFuture(g.child, local.Command{Message: &outboxv1.GetStatus{}}, statusWait)
	c.ReenterAfter(asked, func(answer any, err error) {
		status, ok := answer.(*outboxv1.Status)
		switch {
		case ok && all:
			m.Outbox = status
		case ok:
			m.Outbox = numbers(status)
		case m.Reason == "":
			m.Reason = stored.Text(fmt.Sprintf("its outbox does not say how it is: %v", err), stored.MaxReason)
		}
		c.Send(sender, m)
	})
}

// numbers leaves out of a status what could show data.
func numbers(s *outboxv1.Status) *outboxv1.Status {
	s = proto.CloneOf(s)
	s.Reason, s.Held, s.Parked, s.DestinationsOut = "", nil, nil, nil
	return s
}
