package postgres

import (
	"sync"
	"time"
)

const (
	firstLook = time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// gapWatch has readers look again while a gap is open. Its zero value has none. There is a timer only from a read that ended
// at a gap until its readers were called.
type gapWatch struct {
	mu      sync.Mutex
	wait    time.Duration
	timer   *time.Timer
	stopped bool
}

// open has look called after a while: a longer one each time that the gap is found to be open.
func (w *gapWatch) open(look func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil || w.stopped {
		return
	}
	w.wait = min(max(2*w.wait, firstLook), lastLook)
	w.timer = time.AfterFunc(w.wait, func() {
		w.mu.Lock()
		stopped := w.stopped
		w.timer = nil
		w.mu.Unlock()
		if !stopped {
			look()
		}
	})
}

// closed says that no gap is open any more.
func (w *gapWatch) closed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wait = 0
}

func (w *gapWatch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
