package postgres

import (
	"slices"
	"strings"
)

// maxCaptures bounds what a horizon remembers. Should there be more, the newest one is replaced: the oldest are the next
// to be proven, and the newest covers them all.
const maxCaptures = 32

// horizon is how far the journal is complete, for every reader in the process and whatever its filter.
//
// A number is taken before its transaction commits, so that a lower one can become visible behind a greater one. Which
// numbers are still to come is proven in one of two ways. Numbers that follow each other without one missing are
// complete. And whoever takes a number holds a lock on the table from before that until its transaction has become
// visible or gone. So when all who held that lock at some moment have ended, every number below those that were visible
// before that moment is visible, or will never be: that moment is kept as a capture until then.
//
// It is pure, and not safe for concurrent use. What statements have seen is told to it in any order: a [view] or a [probe]
// is taken before a statement starts, and given back with what it has seen.
type horizon struct {
	// safe is the greatest number at or below which everything that will ever be visible is visible to each statement
	// that starts now.
	safe int64
	// generation is raised by reset, so that nothing is learned from what was seen before it.
	generation int64
	captures   []capture // upTo rises
	captured   int64     // captures so far
	probed     bool      // since the last reset
}

// capture says that everything through upTo is complete once all who are at work have ended.
type capture struct {
	number int64
	upTo   int64
	atWork []string // virtual transactions
}

// view is what is known before a statement starts.
type view struct{ safe, generation int64 }

func (h *horizon) view() view { return view{h.safe, h.generation} }

// run follows the numbers that one statement sees, in ascending order.
type run struct {
	view
	after   int64
	through int64 // complete through this number
	last    int64 // the greatest number seen
	missing int64 // how many numbers were passed that are missing, and may still come
}

// run starts a run of numbers greater than after. Whoever asks for them says that all through after is complete. Nothing
// else is known to say so, which is why others do not rely on it.
func (v view) run(after int64) run {
	through := max(v.safe, after)
	return run{view: v, after: after, through: through, last: through}
}

// see reports whether everything through the number is complete.
func (r *run) see(number int64) bool {
	switch {
	case number <= r.through:
		return true // a number at or below safe, before which some are missing for good
	case number == r.through+1 && r.missing == 0:
		r.through, r.last = number, number
		return true
	}
	r.missing += number - r.last - 1
	r.last = number
	return false
}

// learn raises the horizon to the end of the run.
func (h *horizon) learn(r run) {
	if r.generation == h.generation && r.after <= r.safe {
		h.reach(r.through)
	}
}

// probe is a statement that looks for the greatest number and, not before that, for those who are at work.
type probe struct{ generation, captured int64 }

func (h *horizon) probe() probe { return probe{h.generation, h.captured} }

// conclude takes in what the probe's statement has seen.
func (h *horizon) conclude(p probe, upTo int64, atWork []string) {
	if p.generation != h.generation {
		return
	}
	h.probed = true
	proven := h.safe
	for i := range h.captures {
		c := &h.captures[i]
		if c.number > p.captured {
			// Those who are at work were looked for at a time that may be before the capture.
			continue
		}
		c.atWork = stillAtWork(c.atWork, atWork)
		if len(c.atWork) == 0 {
			proven = max(proven, c.upTo)
		}
	}
	if len(atWork) == 0 {
		proven = max(proven, upTo)
	}
	h.reach(proven)
	if upTo > h.safe && (len(h.captures) == 0 || upTo > h.captures[len(h.captures)-1].upTo) {
		h.capture(upTo, atWork)
	}
}

func (h *horizon) capture(upTo int64, atWork []string) {
	h.captured++
	c := capture{number: h.captured, upTo: upTo, atWork: slices.Clone(atWork)}
	if len(h.captures) == maxCaptures {
		h.captures[maxCaptures-1] = c
		return
	}
	h.captures = append(h.captures, c)
}

func (h *horizon) reach(number int64) {
	h.safe = max(h.safe, number)
	h.captures = slices.DeleteFunc(h.captures, func(c capture) bool { return c.upTo <= h.safe })
}

// reset forgets everything: the server may be another one, or its data those of an earlier time.
func (h *horizon) reset() {
	*h = horizon{generation: h.generation + 1, captured: h.captured}
}

// stillAtWork returns who of those who were at work still is. A prepared transaction is given another name when the server
// restarts, -1/…: it may have been any of them.
func stillAtWork(then, now []string) []string {
	return slices.DeleteFunc(slices.Clone(now), func(who string) bool {
		return !slices.Contains(then, who) && !strings.HasPrefix(who, "-1/")
	})
}
