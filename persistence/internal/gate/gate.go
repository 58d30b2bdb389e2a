// Package gate lets a journal close once the calls under way have ended. It waits for nothing else, and knows nothing of what
// the calls do.
//
// Journals that are modules of their own use it, also in older versions: what is exported here is kept.
package gate

import "sync"

// Gate counts the calls under way, so that closing can wait for them. Unlike a sync.RWMutex it lets a call be made from
// within another one while somebody waits to close. Its zero value is open. Its methods may be called concurrently.
type Gate struct {
	mu     sync.Mutex
	calls  int
	closed bool
	empty  chan struct{} // set by Close, closed when the last call leaves
}

// Enter reports whether the gate is open. If it is, Leave must follow.
func (g *Gate) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.calls++
	return true
}

// EnterFromWithin lets a goroutine in that a call under way starts, also while somebody waits to close. Leave must follow.
func (g *Gate) EnterFromWithin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
}

// Leave ends a call that was let in.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls--
	if g.closed && g.calls == 0 {
		close(g.empty)
	}
}

// Close shuts the gate and waits until every call has left. It reports whether the gate was open; if not, it returns at once.
func (g *Gate) Close() bool {
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

// Closed reports whether the gate is shut, although calls may still be under way.
func (g *Gate) Closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}
