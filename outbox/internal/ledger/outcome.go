package ledger

import (
	"fmt"
	"slices"
	"time"
)

// maxRetryAfter is the longest time that a destination can ask for: what it says may be nonsense.
const maxRetryAfter = 24 * time.Hour

const (
	errPublishTimeout = "the publisher did not answer in time"
	errPublisherGone  = "the publisher stopped before it answered"
)

func (l *Ledger) batchAnswered(in Published) {
	if in.Generation != l.cfg.Generation {
		return
	}
	for i, b := range l.batches {
		if b.id == in.Batch {
			l.endBatch(i, in)
			return
		}
	}
}

func (l *Ledger) expireBatches() {
	for i := 0; i < len(l.batches); {
		if l.now.Before(l.batches[i].deadline) {
			i++
			continue
		}
		l.counters.unknownBatches++
		l.endBatch(i, Published{Err: errPublishTimeout}) // removes batches[i]
	}
}

func (l *Ledger) laneDown(n int) {
	l.lanes[n].up = false
	for i := 0; i < len(l.batches); {
		if l.batches[i].lane != n {
			i++
			continue
		}
		l.counters.unknownBatches++
		l.endBatch(i, Published{Err: errPublisherGone})
	}
}

// understood is what the answer to a batch of n events can be relied on for: whatever a publisher does not say clearly is
// unknown. An event that is named twice, and not in the same way, is; and if one is named that is not in the batch, all
// are, for nobody knows which one was meant.
func (in Published) understood(n int) (Published, map[int]Result) {
	results := make(map[int]Result, len(in.Results))
	for _, r := range in.Results {
		if r.Index < 0 || r.Index >= n {
			return Published{Err: fmt.Sprintf("the publisher's answer makes no sense: it names event %d of a batch of %d", r.Index, n)}, nil
		}
		if before, twice := results[r.Index]; twice && before.Outcome != r.Outcome {
			r = Result{Index: r.Index, Err: "the publisher's answer contradicts itself: " + r.Err}
		}
		if r.Destination == "" {
			r.Destination = in.destination(r.Index)
		}
		results[r.Index] = r
	}
	return in, results
}

// destination is where event i was to go, as far as the answer tells for all alike.
func (in *Published) destination(i int) string {
	if i < len(in.Destinations) {
		return in.Destinations[i]
	}
	return ""
}

// endBatch takes the outcome of batches[i]. What succeeded is settled first: it is the evidence by which the
// failures beside it are judged.
func (l *Ledger) endBatch(i int, in Published) {
	b := l.batches[i]
	l.batches = append(l.batches[:i], l.batches[i+1:]...)
	if la := &l.lanes[b.lane]; b.again {
		la.againOut--
	} else {
		la.freshOut--
	}
	in, results := in.understood(b.events)
	l.heard, l.roundBefore = l.heard[:0], l.round
	if b.redrive {
		l.redriven(in, results)
		return
	}
	result := func(p part, n int) Result {
		r, ok := results[p.first+n]
		if !ok {
			r = Result{Outcome: in.Outcome, Err: in.Err, Destination: in.destination(p.first + n)}
		}
		if r.Destination == "" && p.st.dest != nil {
			r.Destination = p.st.dest.name // what is not said anew is as it was
		}
		return r
	}

	failed := make([]int, len(b.parts)) // per part: how many of its events were settled before the first failure
	var heard []string
	for i, p := range b.parts {
		for failed[i] < p.n {
			r := result(p, failed[i])
			if r.Outcome != OK {
				break
			}
			l.settle(p.st)
			failed[i]++
			if !slices.Contains(heard, r.Destination) {
				heard = append(heard, r.Destination)
			}
		}
	}
	alive := len(heard) > 0
	if alive {
		l.gotThrough(heard...)
	}
	for i, p := range b.parts {
		p.st.sent = 0
		if failed[i] < p.n {
			r := result(p, failed[i])
			l.notDelivered(p.st, r, b.alone(), alive)
		}
	}
	if b.id == l.outage.probing {
		l.probed()
	}
	if alive {
		l.holdSuspects()
	}
	for _, p := range b.parts {
		l.afterBatch(p.st)
	}
}

// notDelivered judges the first event of the stream that was not settled. Events of the stream behind it in the
// same batch have not been tried, or are to be sent again in any case.
func (l *Ledger) notDelivered(st *stream, r Result, alone, alive bool) {
	switch {
	case r.Outcome == Permanent:
		l.gotThrough(r.Destination)
		if why := l.poisoned(st, r.Err); why != "" {
			l.fail(st, Result{Outcome: Permanent, Err: why, Destination: r.Destination})
		}
	case r.Outcome == Retry || alone:
		if l.failedAt(st, r); alive && r.Outcome == Retry && l.heardOf(st) {
			st.convicted = true
		}
		l.fail(st, r)
	default:
		// One panic or one lost answer must not look like many failures.
		st.alone, st.lastErr = true, r.Err
		if st.held {
			st.letGo()
		}
		if st.waits() {
			l.setAside(st)
		}
	}
}

// heardOf reports whether the answer that is being taken has good news of where the stream's event goes; if that is not
// known, of whomever.
func (l *Ledger) heardOf(st *stream) bool { return st.dest == nil || st.dest.heardIn > l.roundBefore }

// fail records that an event was tried by itself, and not delivered.
func (l *Ledger) fail(st *stream, r Result) {
	st.lastErr, l.counters.lastErr = r.Err, r.Err
	l.failedAt(st, r)
	if st.dest != nil {
		st.dest.lastErr = r.Err
	}
	if !l.outage.on && !st.waits() {
		st.attempts++
		if l.countFailure(st) && l.poisoned(st, fmt.Sprintf("it has failed %d times while others got through: %s", st.counted, r.Err)) == "" {
			return
		}
	}
	if st.held {
		st.letGo()
	}
	retryAfter := min(r.RetryAfter, maxRetryAfter)
	if retryAfter > 0 {
		st.notBefore = l.now.Add(retryAfter)
	}
	switch {
	case st.waits():
		if st.probes() {
			l.probedAt(st.dest, retryAfter)
		}
		l.setAside(st)
	case l.outage.on:
		l.putOff(st, retryAfter)
	default:
		l.putOff(st, max(l.cfg.Backoff(st.attempts), retryAfter))
		l.blame(st)
	}
}

// putOff lets the stream wait.
func (l *Ledger) putOff(st *stream, d time.Duration) {
	st.retryAt = l.now.Add(d)
	if !st.failing {
		st.failing = true
		l.failing = append(l.failing, st)
	}
}

func (l *Ledger) unfail(st *stream) {
	st.failing = false
	l.failing = remove(l.failing, st)
}

// retryFailing lets those go on whose time has come.
func (l *Ledger) retryFailing() {
	if l.outage.on {
		return
	}
	for _, st := range slices.Clone(l.failing) {
		if !l.now.Before(st.retryAt) {
			l.wantCatchUp(st)
			l.makeReady(st)
		}
	}
}

// holdSuspects convicts and holds the streams that have failed where others got through: it is not the sink.
func (l *Ledger) holdSuspects() {
	if l.outage.on {
		return
	}
	for _, st := range slices.Clone(l.failing) {
		st.convicted = st.convicted || l.heardOf(st)
		if st.sent == 0 {
			l.hold(st, st.waits())
		}
	}
}
