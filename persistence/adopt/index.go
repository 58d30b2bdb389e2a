package adopt

import (
	"fmt"
	"slices"
	"sort"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	adoptv1 "github.com/protoactor-contrib/protoactor-outbox/proto/adopt/v1"
)

// index is what a feed knows of its journal: how far each persistence id was discovered, and which offsets the events
// beyond the base have. It is pure: no clock, no lock, no I/O.
//
// Every sequence number of an id takes up one offset when it is discovered, whether its event is still there or not. So
// an id that was discovered through n has n offsets at or below the last one given, and an offset can be told for its
// events below the base, too, where none is remembered: see [index.offset].
type index struct {
	base     query.Offset // runs are known from here on
	assigned query.Offset // the last offset that was given
	streams  map[string]*stream
	runs     []run // of (base, assigned], in the order of their offsets
}

// stream is one persistence id.
type stream struct {
	id    string
	last  int64  // sequence number through which it was discovered
	check uint64 // of the event with that number: the beginning of its uid
	spans []span // its part of the runs

	// aligned: up to this sequence number the provider was seen, in this life, to number the events as we do. Where it has
	// lost one it may not.
	aligned int64
	recent  recent

	// missed is the sequence number of an event that an actor has persisted and the provider does not show, lag by how much
	// the actor is ahead since; 0 if there is none.
	missed, lag int64
}

// span is a number of consecutive events that have consecutive offsets.
type span struct {
	offset query.Offset // of the first
	first  int64
	count  int64
}

func (s span) end() query.Offset { return s.offset + query.Offset(s.count) - 1 }

func (s span) last() int64 { return s.first + s.count - 1 }

type run struct {
	span
	stream *stream
}

func newIndex(at query.Offset) *index {
	return &index{base: at, assigned: at, streams: make(map[string]*stream)}
}

// stream returns what is known of the id, which may be nothing.
func (x *index) stream(id string) *stream {
	s := x.streams[id]
	if s == nil {
		s = &stream{id: id}
		x.streams[id] = s
	}
	return s
}

// discover gives offsets to the events after the last known one, through a sequence number.
func (x *index) discover(s *stream, through int64, check uint64) {
	sp := span{offset: x.assigned + 1, first: s.last + 1, count: through - s.last}
	if sp.count <= 0 {
		return
	}
	x.assigned = sp.end()
	s.last, s.check = through, check
	// What one id alone is writing would otherwise be a run per look.
	if n := len(x.runs); n > 0 && x.runs[n-1].stream == s && x.runs[n-1].end() == sp.offset-1 {
		x.runs[n-1].count += sp.count
		s.spans[len(s.spans)-1].count += sp.count
		return
	}
	s.spans = append(s.spans, sp)
	x.runs = append(x.runs, run{sp, s})
}

// after returns the position in runs of the first one that reaches beyond the offset.
func (x *index) after(offset query.Offset) int {
	return sort.Search(len(x.runs), func(i int) bool { return x.runs[i].end() > offset })
}

// offset returns that of an event which was discovered. Below the base it need not be the one that was once given, but one
// that could have been: it rises with the sequence number, and is at or below the base.
func (x *index) offset(s *stream, seq int64) query.Offset {
	i := sort.Search(len(s.spans), func(i int) bool { return s.spans[i].last() >= seq })
	if i < len(s.spans) && seq >= s.spans[i].first {
		return s.spans[i].offset + query.Offset(seq-s.spans[i].first)
	}
	below := s.last
	if len(s.spans) > 0 {
		below = s.spans[0].first - 1
	}
	return x.base - query.Offset(below-seq)
}

// settledThrough is the sequence number through which the id has offsets at or below the given one.
func (x *index) settledThrough(s *stream, offset query.Offset) int64 {
	through := s.last
	for _, sp := range slices.Backward(s.spans) {
		switch {
		case sp.end() <= offset:
			return sp.last()
		case sp.offset <= offset:
			return sp.first + int64(offset-sp.offset)
		default:
			through = sp.first - 1
		}
	}
	return through
}

// skipTo leaves out the offsets up to one.
func (x *index) skipTo(offset query.Offset) {
	if offset > x.assigned {
		x.assigned = offset
		if len(x.runs) == 0 {
			x.base = offset
		}
	}
}

// forget drops the runs at or below the watermark.
func (x *index) forget(watermark query.Offset) {
	n := x.after(watermark)
	for i := range x.runs[:n] {
		s := x.runs[i].stream
		if s.spans = s.spans[1:]; len(s.spans) == 0 {
			s.spans = nil
		}
	}
	x.runs = slices.Delete(x.runs, 0, n)
	if x.base = x.assigned; len(x.runs) > 0 {
		x.base = x.runs[0].offset - 1
	}
}

// encode says what the offsets beyond the watermark mean.
func (x *index) encode(watermark query.Offset) *adoptv1.Feed {
	m := &adoptv1.Feed{Assigned: int64(x.assigned), Streams: make([]*adoptv1.Stream, 0, len(x.streams))}
	numbers := make(map[*stream]uint32, len(x.streams))
	for _, s := range x.streams {
		if s.last == 0 {
			continue
		}
		numbers[s] = uint32(len(m.Streams))
		m.Streams = append(m.Streams, &adoptv1.Stream{PersistenceId: s.id, SequenceNumber: s.last, Check: s.check})
	}
	for _, r := range x.runs[x.after(watermark):] {
		m.Runs = append(m.Runs, &adoptv1.Run{Offset: int64(r.offset), Stream: numbers[r.stream], First: r.first, Count: r.count})
	}
	return m
}

// decodeIndex is the reverse of encode.
func decodeIndex(m *adoptv1.Feed) (*index, error) {
	x := newIndex(query.Offset(m.GetAssigned()))
	order := make([]*stream, 0, len(m.GetStreams()))
	for _, p := range m.GetStreams() {
		if err := query.ValidateID(p.GetPersistenceId()); err != nil || p.GetSequenceNumber() < 1 || x.streams[p.GetPersistenceId()] != nil {
			return nil, fmt.Errorf("%w: stream %.40q ends at %d, or is there twice", errDamaged, p.GetPersistenceId(), p.GetSequenceNumber())
		}
		s := x.stream(p.GetPersistenceId())
		s.last, s.check = p.GetSequenceNumber(), p.GetCheck()
		order = append(order, s)
	}
	for i, r := range m.GetRuns() {
		sp := span{offset: query.Offset(r.GetOffset()), first: r.GetFirst(), count: r.GetCount()}
		if int(r.GetStream()) >= len(order) || sp.first < 1 || sp.count < 1 || sp.count > int64(x.assigned) || sp.offset < 1 || sp.end() > x.assigned ||
			(i > 0 && sp.offset <= x.runs[i-1].end()) {
			return nil, fmt.Errorf("%w: its run %d is not one", errDamaged, i)
		}
		s := order[r.GetStream()]
		if n := len(s.spans); sp.first > s.last || sp.last() > s.last || (n > 0 && sp.first <= s.spans[n-1].last()) {
			return nil, fmt.Errorf("%w: run %d of %q is not in order", errDamaged, i, s.id)
		}
		s.spans = append(s.spans, sp)
		x.runs = append(x.runs, run{sp, s})
	}
	if len(x.runs) > 0 {
		x.base = x.runs[0].offset - 1
	}
	return x, nil
}
