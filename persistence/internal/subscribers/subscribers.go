// Package subscribers has those who want to know when a journal may have something new to read. It calls them, and neither
// starts goroutines nor remembers what happened while nobody was there.
//
// Journals that are modules of their own use it, also in older versions: what is exported here is kept.
package subscribers

import "sync"

// Set is those who want to be called. The zero value has none. Its methods may be called concurrently.
type Set struct {
	mu   sync.RWMutex
	last int
	fns  map[int]func()
}

// Add has fn called by each Notify until cancel is called, as query.Notifier promises: once cancel has returned, fn does not
// run any more. fn must not call cancel. Cancelling twice is no error.
func (s *Set) Add(fn func()) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fns == nil {
		s.fns = make(map[int]func())
	}
	s.last++
	id := s.last
	s.fns[id] = fn
	return func() {
		// Notify calls them under the lock, so that none runs any more once it was taken here.
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.fns, id)
	}
}

// Notify calls all of them, one after the other.
func (s *Set) Notify() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, fn := range s.fns {
		fn()
	}
}
