package testkit

import (
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"
)

// ManualScheduler schedules messages like scheduler.TimerScheduler, but in a time of its own that passes only by
// [ManualScheduler.Advance]. [ManualScheduler.Now] is that time, to be given to whatever is tested as its clock.
// It starts at 2000-01-01T00:00:00Z and is safe for concurrent use.
type ManualScheduler struct {
	sender actor.SenderContext

	mu     sync.Mutex
	now    time.Time
	timers []*timer // by due time, those of the same time in the order of SendOnce
}

type timer struct {
	due     time.Time
	pid     *actor.PID
	message any
}

// NewManualScheduler returns a scheduler that sends through the sender, usually system.Root.
func NewManualScheduler(sender actor.SenderContext) *ManualScheduler {
	return &ManualScheduler{sender: sender, now: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// SendOnce has the message sent when the delay has passed; with a delay of 0 or less, at once. The function that it
// returns cancels that; after the message was sent it does nothing.
func (s *ManualScheduler) SendOnce(delay time.Duration, pid *actor.PID, message any) scheduler.CancelFunc {
	if delay <= 0 {
		s.sender.Send(pid, message)
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &timer{due: s.now.Add(delay), pid: pid, message: message}
	at, _ := slices.BinarySearchFunc(s.timers, t, func(have, _ *timer) int {
		if have.due.After(t.due) {
			return 1
		}
		return -1
	})
	s.timers = slices.Insert(s.timers, at, t)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.timers = slices.DeleteFunc(s.timers, func(have *timer) bool { return have == t })
	}
}

// Advance lets d pass: it sends what falls due, in order, each at its time. It does not wait for the receivers. What
// they schedule in answer counts from whatever time it is by then, so to follow an actor that schedules its next
// tick in each tick, advance to [ManualScheduler.Next], one tick at a time, and await that it has handled it in between.
func (s *ManualScheduler) Advance(d time.Duration) {
	s.mu.Lock()
	until := s.now.Add(d)
	s.mu.Unlock()
	for {
		t := s.next(until)
		if t == nil {
			return
		}
		s.sender.Send(t.pid, t.message) // without the lock: it may run the receiver, which may schedule
	}
}

// next moves time to the next timer due by until and removes it; without one, it moves time to until.
func (s *ManualScheduler) next(until time.Time) *timer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.timers) == 0 || s.timers[0].due.After(until) {
		s.moveTo(until)
		return nil
	}
	t := s.timers[0]
	s.timers = slices.Delete(s.timers, 0, 1)
	s.moveTo(t.due)
	return t
}

// moveTo never moves time back, which a concurrent Advance could otherwise do.
func (s *ManualScheduler) moveTo(t time.Time) {
	if t.After(s.now) {
		s.now = t
	}
}

// Pending returns the number of messages that wait for their time.
func (s *ManualScheduler) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.timers)
}

// Next returns when the next message is due; ok is false if there is none.
func (s *ManualScheduler) Next() (due time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.timers) == 0 {
		return time.Time{}, false
	}
	return s.timers[0].due, true
}

// Now returns the scheduler's time, in UTC.
func (s *ManualScheduler) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}
