package adopt

import "sync"

// subscribers are those who want to know when something was appended. Each is called in a goroutine of its own, so
// that none can hold up an append or another one. The zero value has none.
type subscribers struct {
	mu     sync.RWMutex
	closed bool
	all    map[*subscriber]struct{}
}

type subscriber struct {
	wake chan struct{} // holds one: what comes while it is full is merged with that
	stop chan struct{}
	done chan struct{}
}

// Subscribe implements query.Notifier. Calls of one fn do not overlap; calls for several appends may be merged into
// one. fn must not call cancel or Close, which wait for it. Close cancels all subscriptions; of a closed journal, fn
// is never called.
func (f *Feed) Subscribe(fn func()) (cancel func()) {
	return f.j.subscribers.add(fn)
}

func (s *subscribers) add(fn func()) (cancel func()) {
	sub := &subscriber{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return func() {}
	}
	if s.all == nil {
		s.all = make(map[*subscriber]struct{})
	}
	s.all[sub] = struct{}{}
	go sub.run(fn)
	return func() { s.remove(sub) }
}

func (s *subscriber) run(fn func()) {
	defer close(s.done)
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
			fn()
		}
	}
}

func (s *subscribers) remove(sub *subscriber) {
	s.mu.Lock()
	if _, there := s.all[sub]; there {
		delete(s.all, sub)
		close(sub.stop)
	}
	s.mu.Unlock()
	<-sub.done
}

func (s *subscribers) notify() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for sub := range s.all {
		select {
		case sub.wake <- struct{}{}:
		default:
		}
	}
}

func (s *subscribers) close() {
	s.mu.Lock()
	s.closed = true
	all := s.all
	s.all = nil
	s.mu.Unlock()
	for sub := range all {
		close(sub.stop)
	}
	for sub := range all {
		<-sub.done
	}
}
