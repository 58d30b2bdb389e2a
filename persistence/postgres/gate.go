package postgres

import "sync"

// gate counts the calls under way, so that closing can wait for them. Unlike a sync.RWMutex it lets a call be
// made from within another one while somebody waits to close. Its zero value is open.
type gate struct {
	mu     sync.Mutex
	calls  int
	closed bool
	empty  chan struct{} // set by close, closed when the last call leaves
}

// enter reports whether the gate is open. If it is, leave must follow.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.calls++
	return true
}

// enterFromWithin lets a goroutine in that a call under way starts, also while somebody waits to close. leave must follow.
func (g *gate) enterFromWithin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls--
	if g.closed && g.calls == 0 {
		close(g.empty)
	}
}

// close shuts the gate and waits until every call has left. It reports whether the gate was open.
func (g *gate) close() bool {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return false
	}
	g.closed = true
	g.empty = make(chan struct{})
	if g.calls == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	<-g.empty
	return true
}
