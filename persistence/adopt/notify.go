package adopt

import "sync"

// subscribers are those who want to know when there is something to look for. The zero value has none.
type subscribers struct {
	mu   sync.RWMutex
	last int
	fns  map[int]func()
	done bool
}

// Subscribe implements query.Notifier: fn is called after each event that an actor has persisted through the journal, by the
// actor itself, and when a slow look has found something. fn must not call cancel or Close.
func (f *Feed) Subscribe(fn func()) (cancel func()) {
	s := &f.j.subscribers
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return func() {}
	}
	if s.fns == nil {
		s.fns = make(map[int]func())
	}
	s.last++
	id := s.last
	s.fns[id] = fn
	return func() {
		// They are called under the lock, so that none runs any more once it was taken here.
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.fns, id)
	}
}

func (s *subscribers) notify() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, fn := range s.fns {
		fn()
	}
}

func (s *subscribers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fns, s.done = nil, true
}
