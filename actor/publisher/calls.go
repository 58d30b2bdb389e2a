package publisher

import (
	"context"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/ctxext"
)

// calls are the Publish calls of one child that have not returned. They belong to the child's context and not to
// the actor instance, because a call may outlive the instance that a restart replaces.
type calls struct {
	mu      sync.Mutex
	life    int // grows with each restart
	running map[*call]struct{}
	idle    chan struct{} // closed when running becomes empty; nil unless somebody waits
}

// call is one Publish call.
type call struct {
	cancel  context.CancelFunc
	life    int
	revoked bool
}

var callsID = ctxext.NextContextExtensionID()

// ExtensionID makes calls a context extension.
func (*calls) ExtensionID() ctxext.ContextExtensionID { return callsID }

func newCalls(c actor.Context) { c.Set(&calls{running: map[*call]struct{}{}}) }

func callsOf(c actor.Context) *calls { return c.Get(callsID).(*calls) }

// begin records a call and returns its context, which ends after timeout, unless that is 0 or less.
func (cs *calls) begin(timeout time.Duration) (context.Context, *call) {
	var ctx context.Context
	var cancel context.CancelFunc
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), timeout)
	} else {
		ctx, cancel = context.WithCancel(context.Background())
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	one := &call{cancel: cancel, life: cs.life}
	cs.running[one] = struct{}{}
	return ctx, one
}

// end records that a call is over, and reports whether anybody still waits for what came of it.
func (cs *calls) end(one *call) (wanted bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	one.cancel()
	delete(cs.running, one)
	if len(cs.running) == 0 && cs.idle != nil {
		close(cs.idle)
		cs.idle = nil
	}
	return !one.revoked
}

// revoke ends the contexts of all calls and the life that they belong to: nobody waits for them any more.
func (cs *calls) revoke() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.life++
	for one := range cs.running {
		one.revoked = true
		one.cancel()
	}
}

// current reports whether the call belongs to the life that has not been revoked.
func (cs *calls) current(one *call) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return one.life == cs.life
}

// await waits until no call is running, or the time is over, and returns how many still are.
func (cs *calls) await(atMost time.Duration) int {
	cs.mu.Lock()
	if len(cs.running) == 0 {
		cs.mu.Unlock()
		return 0
	}
	if cs.idle == nil {
		cs.idle = make(chan struct{})
	}
	idle := cs.idle
	cs.mu.Unlock()

	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.running)
}
