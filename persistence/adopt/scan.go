package adopt

import (
	"fmt"
	"slices"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// A provider calls back with events, and does not say which number they have. The framework counts them from the index that
// it has asked for. So do we, but a provider may have lost an event, or may have removed old ones, and would then have us
// publish one event under the number of another. Therefore every read begins with an event that is known, or ends with it,
// and is counted from there.

// raw calls the provider. The caller has the id's lock.
func (j *Journal) raw(id string, start, end int64) (all []any) {
	j.state.GetEvents(id, int(start), int(end), func(event any) { all = append(all, event) })
	return all
}

// known is how far a stream was discovered.
type known struct {
	last  int64
	check uint64
}

// news is what a look at a stream has found.
type news struct {
	events  []query.Event // after the last one known
	through int64         // the last of them, or what was known
	aligned bool          // the provider numbers the events as we do, up to the last one known
	err     error         // why there may be more; what was found before it counts
}

// look reads what comes after the events that are known. The caller has the id's lock.
func (j *Journal) look(id string, k known) (n news) {
	n.through = k.last
	var (
		all   []any
		first int64 // the sequence number of all[0]
	)
	if k.last == 0 {
		all, first, n.err = j.all(id)
		n.aligned = first == 1
	} else {
		all = j.raw(id, k.last-1, 0)
		all, first, n.err = j.locate(id, k, all)
		n.aligned = first == k.last
	}
	if n.err != nil {
		return n
	}
	for i, stored := range all {
		seq := first + int64(i)
		if seq <= k.last {
			continue
		}
		e, err := j.event(id, seq, stored)
		if err != nil {
			n.err = err
			return n
		}
		n.events = append(n.events, e)
		n.through = seq
	}
	return n
}

// locate returns the sequence number of the first event of an answer that is to begin with the last one known. If somebody
// else has removed that one, it returns the whole stream.
func (j *Journal) locate(id string, k known, answer []any) (all []any, first int64, err error) {
	if len(answer) == 0 {
		return nil, k.last, nil // it lags behind what it has shown before
	}
	if i := j.find(id, k, answer, 0); i >= 0 {
		return answer, k.last - int64(i), j.notInserted(id, k, i)
	}
	all, first, err = j.all(id)
	if err == nil && first <= k.last {
		err = fmt.Errorf("%w: event %d of %q is not the one that it was", ErrRewritten, k.last, id)
	}
	return all, first, err
}

// notInserted returns an error if an event has been put before the last one known. Some providers keep events by their index,
// and an actor that has recovered from a stream with gaps, because writes of it were lost, counts into one of them. It may be
// so where a read has shown more before the last event than it was asked for.
func (j *Journal) notInserted(id string, k known, more int) error {
	if more <= 0 {
		return nil
	}
	all := j.raw(id, 0, 0)
	if i := j.find(id, k, all, int(k.last-1)); int64(i) >= k.last {
		return fmt.Errorf("%w: %d events were put before event %d of %q", ErrRewritten, int64(i)+1-k.last, k.last, id)
	}
	return nil
}

// find returns the index of the last event known in an answer, -1 if it is not there. It is expected at a place.
func (j *Journal) find(id string, k known, all []any, expected int) int {
	is := func(i int) bool {
		e, err := j.event(id, k.last, all[i])
		return err == nil && checkOf(&e) == k.check
	}
	if expected >= 0 && expected < len(all) && is(expected) {
		return expected
	}
	for i := range slices.Backward(all) {
		if is(i) {
			return i
		}
	}
	return -1
}

// all reads a whole stream. If old events were removed, the actor's snapshot tells the number of those that are left: it
// says how many events come before it.
func (j *Journal) all(id string) (all []any, first int64, err error) {
	all = j.raw(id, 0, 0)
	_, index, ok := j.state.GetSnapshot(id)
	if !ok || index <= 0 {
		return all, 1, nil
	}
	before := int64(len(all))
	err = guarded(func() error {
		j.state.GetEvents(id, index, 0, func(any) { before-- })
		return nil
	})
	if err != nil && index > len(all) {
		return all, 1, nil // the framework's own provider panics where it has lost some of those that the snapshot covers
	}
	return all, 1 + max(0, int64(index)-max(0, before)), err
}

// page reads the events from one on, through the last one known at most, within the limits. The caller has the id's lock.
// It returns through which sequence number the answer is complete, and whether the provider numbers the events as we do at
// its beginning.
func (j *Journal) page(id string, k known, from int64, aligned bool, limits query.Limits) (events []query.Event, through int64, ok bool, err error) {
	want := min(int64(limits.Events), k.last-from+1)
	if aligned && from+want-1 < k.last {
		// An end may be meant to be included, or not: either way there are enough.
		if some := j.raw(id, from-1, from-1+want); int64(len(some)) >= want {
			events, through, err = j.fill(id, from, some[:want], limits)
			return events, through, true, err
		}
	}
	all := j.raw(id, from-1, 0)
	i := j.find(id, k, all, int(k.last-from))
	switch {
	case i < 0 && int64(len(all)) <= k.last-from:
		return nil, 0, false, fmt.Errorf("the provider shows only %d of the %d events of %q that it has shown before, from %d on",
			len(all), k.last-from+1, id, from)
	case i < 0:
		return nil, 0, false, fmt.Errorf("%w: event %d of %q is not the one that it was", ErrRewritten, k.last, id)
	}
	first := k.last - int64(i)
	all = all[:i+1]
	if first < from { // it has lost some before that
		if err := j.notInserted(id, k, int(from-first)); err != nil {
			return nil, 0, false, err
		}
		all = all[from-first:]
	}
	events, through, err = j.fill(id, max(first, from), all[:min(want, int64(len(all)))], limits)
	if through == 0 { // what is left of the stream begins beyond
		through = first - 1
	}
	return events, through, first == from, err
}

// fill makes events of an answer, within the limit of bytes.
func (j *Journal) fill(id string, first int64, all []any, limits query.Limits) (events []query.Event, through int64, err error) {
	bytes := 0
	for i, stored := range all {
		e, err := j.event(id, first+int64(i), stored)
		if err != nil {
			return nil, 0, err
		}
		if bytes += e.Size(); i > 0 && limits.Bytes > 0 && bytes > limits.Bytes {
			break
		}
		events, through = append(events, e), e.SequenceNumber
	}
	return events, through, nil
}
