package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/local"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// Client talks to an outbox. It holds nothing open and is safe for concurrent use. Every method returns when ctx ends,
// with its error; [ErrStopped] when the outbox has stopped or stops before it has answered.
//
// The outbox may run in another process, if [WithAuthorize] lets the commands in.
type Client struct {
	system *actor.ActorSystem
	pid    *actor.PID
}

// NewClient returns a client for the outbox with this PID. The root context is that of the caller's actor system.
func NewClient(root *actor.RootContext, pid *actor.PID) *Client {
	return &Client{system: root.ActorSystem(), pid: pid}
}

// Status tells how the outbox is.
func (c *Client) Status(ctx context.Context) (*outboxv1.Status, error) {
	answer, err := c.ask(ctx, &outboxv1.GetStatus{})
	if err != nil {
		return nil, err
	}
	if s, ok := answer.(*outboxv1.Status); ok {
		return s, nil
	}
	return nil, replyError(answer)
}

// WaitPublished waits until the event is published. Sequence number 0 means the last event of the id that is committed
// now. It returns a *[ParkedError] or *[SkippedError] if the event was given up on, [ErrNotFound] or [ErrFiltered] if it will
// never be published, and [ErrUnavailable] if the journal does not answer. That an event was skipped is known only until
// the offsets have passed it; after that it counts as published.
func (c *Client) WaitPublished(ctx context.Context, persistenceID string, sequenceNumber int64) error {
	if err := query.ValidateID(persistenceID); err != nil {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	answer, err := c.ask(ctx, &outboxv1.WaitPublished{PersistenceId: persistenceID, SequenceNumber: sequenceNumber})
	if err != nil {
		return err
	}
	if r, ok := answer.(*outboxv1.Reply); ok {
		switch r.GetCode() {
		case outboxv1.Code_CODE_PARKED:
			return &ParkedError{PersistenceID: persistenceID, SequenceNumber: r.GetSequenceNumber(), Reason: r.GetError()}
		case outboxv1.Code_CODE_SKIPPED:
			return &SkippedError{PersistenceID: persistenceID, SequenceNumber: r.GetSequenceNumber(), Reason: r.GetError()}
		}
	}
	return replyError(answer)
}

// Flush waits until everything that was committed before the call is published or parked, and the offsets that say
// so are saved.
func (c *Client) Flush(ctx context.Context) error {
	_, err := c.command(ctx, &outboxv1.Flush{})
	return err
}

// Drain stops the outbox in good order: it reads nothing more, waits up to the deadline for what is in flight, saves
// its offsets and stops. It returns when that is done: [ErrDrainDeadline] if the deadline came first, in which case the
// outbox has stopped all the same and whatever was not saved will be published again. A drain cannot be taken back.
func (c *Client) Drain(ctx context.Context, deadline time.Duration) error {
	call := c.open()
	defer call.close()
	answer, err := call.ask(ctx, &outboxv1.Drain{Deadline: durationpb.New(deadline)})
	if err != nil {
		return err
	}
	verdict := replyError(answer)
	if verdict != nil && !errors.Is(verdict, ErrDrainDeadline) && !errors.Is(verdict, ErrStopped) {
		return verdict
	}
	select {
	case <-call.gone: // it has answered just before
		return verdict
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Wait waits until the outbox has stopped and returns why: nil if it was told to or drained, otherwise the error of
// its [*Stopped]. If it had stopped before the call, or runs in another process, the reason is not known here and the
// error is [ErrStopped].
func (c *Client) Wait(ctx context.Context) error {
	stopped := make(chan *Stopped, 1)
	subscription := c.system.EventStream.Subscribe(func(event any) {
		if s, ok := event.(*Stopped); ok && s.PID.Equal(c.pid) {
			select {
			case stopped <- s:
			default:
			}
		}
	})
	defer c.system.EventStream.Unsubscribe(subscription)
	call := c.open()
	defer call.close()
	select {
	case <-call.gone:
	case <-ctx.Done():
		return ctx.Err()
	}
	// The framework says so as soon as the actor begins to stop. While it is registered the event is yet to come, and
	// just after that it may be on its way.
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for looks := 0; looks < 20; {
		select {
		case s := <-stopped:
			return s.Err
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			if _, there := c.system.ProcessRegistry.GetLocal(c.pid.Id); !there || !c.local() {
				looks++
			}
		}
	}
	return ErrStopped
}

// command sends a command and waits for its Reply.
func (c *Client) command(ctx context.Context, message proto.Message) (*outboxv1.Reply, error) {
	answer, err := c.ask(ctx, message)
	if err != nil {
		return nil, err
	}
	r, _ := answer.(*outboxv1.Reply)
	return r, replyError(answer)
}

// ask sends a message and waits for its answer.
func (c *Client) ask(ctx context.Context, message proto.Message) (any, error) {
	call := c.open()
	defer call.close()
	return call.ask(ctx, message)
}

func (c *Client) local() bool {
	return c.pid.Address == c.system.Address() || c.pid.Address == "nonhost"
}

// call is a process that an outbox can answer to, and that is told when the outbox is gone. The framework's future
// would not be: a stop drops queued messages without a word.
type call struct {
	client  *Client
	pid     *actor.PID
	answers chan any
	gone    chan struct{} // closed when the outbox has stopped
	once    sync.Once
}

func (c *Client) open() *call {
	cl := &call{client: c, answers: make(chan any, 1), gone: make(chan struct{})}
	// A fresh id of the registry's own making cannot be taken.
	cl.pid, _ = c.system.ProcessRegistry.Add(cl, "outbox-call"+c.system.ProcessRegistry.NextId())
	cl.toOutbox(&actor.Watch{Watcher: cl.pid})
	return cl
}

func (cl *call) ask(ctx context.Context, message proto.Message) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	root, to := cl.client.system.Root, cl.client.pid
	if cl.client.local() {
		root.RequestWithCustomSender(to, local.Command{Message: message}, cl.pid)
	} else {
		root.RequestWithCustomSender(to, message, cl.pid)
	}
	select {
	case answer := <-cl.answers:
		return answer, nil
	case <-cl.gone:
		select {
		case answer := <-cl.answers:
			return answer, nil
		default:
			return nil, ErrStopped
		}
	case <-ctx.Done():
		if cl.client.local() {
			root.RequestWithCustomSender(to, local.Abandon{}, cl.pid)
		}
		return nil, ctx.Err()
	}
}

func (cl *call) close() {
	cl.client.system.ProcessRegistry.Remove(cl.pid)
	select {
	case <-cl.gone:
	default:
		cl.toOutbox(&actor.Unwatch{Watcher: cl.pid})
	}
}

// toOutbox sends a system message. If there is no such process, the dead letters answer a Watch in its stead.
func (cl *call) toOutbox(message any) {
	process, _ := cl.client.system.ProcessRegistry.Get(cl.client.pid)
	process.SendSystemMessage(cl.client.pid, message)
}

// SendUserMessage implements actor.Process.
func (cl *call) SendUserMessage(_ *actor.PID, message any) {
	_, answer, _ := actor.UnwrapEnvelope(message)
	if _, dead := answer.(*actor.DeadLetterResponse); dead {
		cl.SendSystemMessage(nil, &actor.Terminated{})
		return
	}
	select {
	case cl.answers <- answer:
	default:
	}
}

// SendSystemMessage implements actor.Process.
func (cl *call) SendSystemMessage(_ *actor.PID, message any) {
	if _, ok := message.(*actor.Terminated); ok {
		cl.once.Do(func() { close(cl.gone) })
	}
}

// Stop implements actor.Process.
func (*call) Stop(*actor.PID) {}

func replyError(answer any) error {
	r, ok := answer.(*outboxv1.Reply)
	if !ok {
		return fmt.Errorf("the outbox answered with a %T", answer)
	}
	sentinel, known := map[outboxv1.Code]error{
		outboxv1.Code_CODE_STOPPED:      ErrStopped,
		outboxv1.Code_CODE_DEADLINE:     ErrDrainDeadline,
		outboxv1.Code_CODE_NOT_FOUND:    ErrNotFound,
		outboxv1.Code_CODE_FILTERED:     ErrFiltered,
		outboxv1.Code_CODE_UNAUTHORIZED: ErrUnauthorized,
		outboxv1.Code_CODE_UNAVAILABLE:  ErrUnavailable,
		outboxv1.Code_CODE_CONFLICT:     ErrConflict,
		outboxv1.Code_CODE_NOT_REDRIVEN: ErrNotRedriven,
		outboxv1.Code_CODE_UNSUPPORTED:  ErrUnsupported,
	}[r.GetCode()]
	switch {
	case r.GetCode() == outboxv1.Code_CODE_OK:
		return nil
	case !known:
		return fmt.Errorf("the outbox answered %v: %s", r.GetCode(), r.GetError())
	case r.GetError() == "" || r.GetError() == sentinel.Error():
		return sentinel
	default:
		return fmt.Errorf("%w: %s", sentinel, strings.TrimPrefix(r.GetError(), sentinel.Error()+": "))
	}
}
