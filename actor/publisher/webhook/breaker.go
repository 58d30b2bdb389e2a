package webhook

import "time"

const (
	// breakAfter is how many requests in a row stay without an answer until a destination counts as down.
	breakAfter = 3
	// minPause and maxPause bound how long nothing is sent to a destination that is down. Each probe that stays without
	// an answer doubles the pause.
	minPause = time.Second
	maxPause = time.Minute
	// probeWait is how long the others wait while a probe is on its way: a good one lets them go at once.
	probeWait = time.Second
)

// breaker decides whether a destination is worth a request. Closed, all may pass. After breakAfter requests without an
// answer it is open: nobody passes for a while, and then one, the probe. Any answer closes it. It is a plain value: its
// owner has the clock and the lock.
type breaker struct {
	misses  int           // in a row
	pause   time.Duration // after the last miss; 0 while closed
	until   time.Time     // nobody passes before
	missed  time.Time     // the last miss
	probing bool
}

// ruling is what a breaker says to one request.
type ruling struct {
	pass  bool
	probe bool // it passes, and everybody else waits for what comes of it
	// wait is how long a request that does not pass is to stay away, and how long a probe is to wait for its answer: no
	// longer than the pause was, because the batch that it came in is answered no sooner.
	wait time.Duration
}

func (b *breaker) open() bool { return b.misses >= breakAfter }

// admit rules on a request.
func (b *breaker) admit(now time.Time) ruling {
	switch {
	case !b.open():
		return ruling{pass: true}
	case now.Before(b.until):
		return ruling{wait: b.until.Sub(now)}
	case b.probing:
		return ruling{wait: probeWait}
	default:
		b.probing = true
		return ruling{pass: true, probe: true, wait: b.pause}
	}
}

// answered records an answer, whatever it says.
func (b *breaker) answered() { *b = breaker{} }

// unanswered records that there was none. Requests that were on their way when the breaker opened tell nothing new.
func (b *breaker) unanswered(now time.Time, probe bool) {
	wasOpen := b.open()
	if probe {
		b.probing = false
	}
	if wasOpen && !probe {
		return
	}
	b.misses++
	b.missed = now
	if b.open() {
		b.pause = min(max(2*b.pause, minPause), maxPause)
		b.until = now.Add(b.pause)
	}
}

// withdrawn records that a request was not made after all, or that its end tells nothing about the destination.
func (b *breaker) withdrawn(probe bool) {
	if probe {
		b.probing = false
	}
}
