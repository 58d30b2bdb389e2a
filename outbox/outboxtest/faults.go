package outboxtest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// Faults is a plan of what goes wrong, at first nothing. Its methods, and what it wraps, may be used concurrently.
//
// It can be printed: a test that fails logs its plan, the seed included.
type Faults struct {
	seed uint64

	mu       sync.Mutex
	injected []*injection
	struck   map[Operation]int
	hung     map[*hang]struct{}
}

// injection is a fault that was injected.
type injection struct {
	Fault
	op     Operation
	random *rand.Rand
	calls  int // that it could have struck
	struck int
	healed chan struct{}
	heal   func() // closes healed, once
}

// NewFaults returns a plan without faults. All that is random in it comes of the seed.
func NewFaults(seed uint64) *Faults {
	return &Faults{seed: seed, struck: make(map[Operation]int), hung: make(map[*hang]struct{})}
}

// Inject adds a fault to the plan. Where several could strike the same call, the one that was injected first does.
//
// heal takes the fault out again and lets go of the calls that it has wait; it may be called more than once.
// Inject panics if the fault makes no sense for the operation.
func (f *Faults) Inject(op Operation, fault Fault) (heal func()) {
	if err := fault.check(op); err != nil {
		panic(fmt.Errorf("outboxtest: a fault of %q: %w", op, err))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	in := &injection{Fault: fault, op: op, healed: make(chan struct{})}
	in.heal = sync.OnceFunc(func() { close(in.healed) })
	// A source of its own: which of its calls a fault strikes does not depend on those of other operations.
	in.random = rand.New(rand.NewPCG(f.seed, hash(op)+uint64(len(f.injected))))
	f.injected = append(f.injected, in)
	return in.heal
}

func hash(op Operation) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(op)) // never fails
	return h.Sum64()
}

// Clear heals everything.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, in := range f.injected {
		in.heal()
	}
}

// Struck returns how many calls of the operation were struck so far, by any fault.
func (f *Faults) Struck(op Operation) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck[op]
}

// planned reports whether anything was ever to go wrong.
func (f *Faults) planned() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.injected) > 0
}

// String lists the seed, the faults, and how often each has struck.
func (f *Faults) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "faults of seed %d:", f.seed)
	for _, in := range f.injected {
		fmt.Fprintf(&b, "\n  %s: %v (struck %d of %d calls", in.op, in.Fault, in.struck, in.calls)
		if in.isHealed() {
			b.WriteString(", healed")
		}
		b.WriteString(")")
	}
	return b.String()
}

// call is what a fault can look at.
type call struct {
	op      Operation
	matches func(*Fault) bool // nil: it has nothing to match
}

// about is a call that concerns one persistence id, and perhaps one type of event.
func about(op Operation, id, typ string) call {
	return call{op, func(f *Fault) bool {
		return (f.PersistenceID == "" || f.PersistenceID == id) && (f.Type == "" || f.Type == typ)
	}}
}

// strike returns the fault that strikes the call, nil if none does.
func (f *Faults) strike(c call) *injection {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, in := range f.injected {
		if in.op == c.op && !in.isHealed() && (c.matches == nil || c.matches(&in.Fault)) && in.hits() {
			f.struck[c.op]++
			return in
		}
	}
	return nil
}

// hits counts a call that the fault could strike, and reports whether it does.
func (in *injection) hits() bool {
	in.calls++
	if in.calls <= in.After || (in.Times > 0 && in.struck == in.Times) {
		return false
	}
	if in.Probability > 0 && in.random.Float64() >= in.Probability {
		return false
	}
	in.struck++
	return true
}

func (in *injection) isHealed() bool {
	select {
	case <-in.healed:
		return true
	default:
		return false
	}
}

// wait is the delay, or the hang, of a call with so many events. It returns an error if ctx ends first.
func (f *Faults) wait(ctx context.Context, in *injection, events int) error {
	var elapsed <-chan time.Time
	switch {
	case in.Hang: // for as long as it takes
		defer f.hangs(ctx, in, events)()
	case in.Delay > 0:
		timer := time.NewTimer(in.Delay)
		defer timer.Stop()
		elapsed = timer.C
	default:
		return nil
	}
	select {
	case <-elapsed:
	case <-in.healed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// meet makes a call, and has a fault strike it if there is one for it.
func (f *Faults) meet(ctx context.Context, c call, effect func() error) error {
	in := f.strike(c)
	if in == nil {
		return effect()
	}
	if err := f.wait(ctx, in, 0); err != nil {
		return err
	}
	return in.around(effect)
}

// around is the call after its wait: it fails before the effect, or after, or not.
func (in *injection) around(effect func() error) error {
	if in.Unheard {
		if err := effect(); err != nil {
			return err // it has failed by itself
		}
	}
	switch {
	case in.Panic != nil:
		panic(in.Panic)
	case in.Err != nil:
		return in.Err
	}
	return effect()
}
