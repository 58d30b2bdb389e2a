package adopt

import (
	"sort"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// recentBytes bounds what a feed keeps of the events that a look has found, until they are read. What does not fit is read
// again.
const recentBytes = 16 << 20

// recent are the last events of a stream, as far as they were kept: a look has read them, and the feed is about to.
type recent struct {
	events []query.Event // without gaps; the offset is not set
	bytes  int
}

// keep adds events which follow those that are kept, or replaces them, and returns how many bytes more are taken up.
func (r *recent) keep(events []query.Event, room int) int {
	before := r.bytes
	if n := len(r.events); n > 0 && r.events[n-1].SequenceNumber != events[0].SequenceNumber-1 {
		r.events, r.bytes = nil, 0
	}
	size := 0
	for i := range events {
		size += events[i].Size()
	}
	if size > room {
		r.events, r.bytes = nil, 0 // what is kept reaches to the last one known, or there is none
		return -before
	}
	r.events, r.bytes = append(r.events, events...), r.bytes+size
	return r.bytes - before
}

// from returns what is kept from a sequence number on, nil if that one is not.
func (r *recent) from(seq int64) []query.Event {
	if len(r.events) == 0 || seq < r.events[0].SequenceNumber {
		return nil
	}
	i := sort.Search(len(r.events), func(i int) bool { return r.events[i].SequenceNumber >= seq })
	return r.events[i:]
}

// drop forgets what is kept through a sequence number, and returns how many bytes that was.
func (r *recent) drop(through int64) (bytes int) {
	i := 0
	for ; i < len(r.events) && r.events[i].SequenceNumber <= through; i++ {
		bytes += r.events[i].Size()
	}
	if r.events = r.events[i:]; len(r.events) == 0 {
		r.events = nil
	}
	r.bytes -= bytes
	return bytes
}
