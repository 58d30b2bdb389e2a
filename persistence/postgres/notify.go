package postgres

import "sync"

// subscribers are those who want to know when something was appended. The zero value has none.
type subscribers struct {
	mu   sync.RWMutex
	last int
	fns  map[int]func()
}

// Subscribe has fn called after each append through this Journal, and again and again while a reader waits at a gap. What
// other processes append, and transactions of the application unless they call Notify, is not noticed. fn must not call
// cancel.
func (j *Journal) Subscribe(fn func()) (cancel func()) {
	return j.subscribers.add(fn)
}

func (s *subscribers) add(fn func()) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fns == nil {
		s.fns = make(map[int]func())
	}
	s.last++
	id := s.last
	s.fns[id] = fn
	return func() {
		// Readers of fns call them under the lock, so that none runs any more once it was taken here.
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
