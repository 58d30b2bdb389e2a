package journaltest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var tailCases = []testCase{
	{"misses and reorders nothing while writers append", anything, tailWhileAppending},
}

func tailWhileAppending(t *testing.T, s *subject) {
	s.follow(t, []Journal{s.Journal}, []Journal{s.Journal})
}

// follow has readers follow the feed while writers append, each through one of the journals, which are the same one. In
// the end, each must have read exactly what is in the journal, in its order: an event that became visible behind a
// reader's Next would be missing.
func (s *subject) follow(t *testing.T, writeTo, readFrom []Journal) {
	t.Helper()
	const writers, each, atMost = 8, 40, 400 // more than each where the journal is so fast that readers had no time to look
	readers := []struct {
		name   string
		filter query.Filter
		limits query.Limits
		read   []query.Event
		err    error
	}{
		{name: "small pages", limits: query.Limits{Events: 2}},
		{name: "large pages", limits: query.Limits{Events: 500}},
		{name: "few bytes", limits: query.Limits{Events: 500, Bytes: 1500}},
		{name: "half of the slices", filter: query.Filter{Slices: query.SliceRange{To: query.NumSlices / 2}}, limits: query.Limits{Events: 3}},
		{name: "a tag", filter: query.Filter{Tags: []string{"even"}}, limits: query.Limits{Events: 100}},
	}

	var (
		writing   sync.WaitGroup
		reading   sync.WaitGroup
		written   atomic.Bool // all appends have returned
		pages     atomic.Int64
		appended  [writers]int64
		writeErrs [writers]error
	)
	for w := range writers {
		writing.Go(func() {
			for seq := int64(1); writeErrs[w] == nil && (seq <= each || seq <= atMost && pages.Load() < 100); seq++ {
				e := newEvent(fmt.Sprintf("writer-%d", w), seq)
				if seq%2 == 0 {
					e.Tags = []string{"even"}
				}
				appended[w] = seq
				writeErrs[w] = writeTo[w%len(writeTo)].AppendEvent(s.ctx, e)
			}
		})
	}
	for i := range readers {
		r, j := &readers[i], readFrom[i%len(readFrom)]
		reading.Go(func() {
			var after query.Offset
			for {
				done := written.Load() // before the read, so that the read then sees everything
				page, err := j.Events(s.ctx, after, r.filter, r.limits)
				if err == nil && page.Next < after {
					err = fmt.Errorf("the page after %d has a Next of %d", after, page.Next)
				}
				if err == nil {
					err = s.reaches(j, page.Next)
				}
				if err != nil {
					r.err = err
					return
				}
				pages.Add(1)
				r.read = append(r.read, page.Events...)
				after = page.Next
				if done && !page.More {
					return
				}
			}
		})
	}
	writing.Wait()
	written.Store(true)
	reading.Wait()

	for _, err := range writeErrs {
		require.NoError(t, err)
	}
	whole := s.all(t)
	total := int64(0)
	for _, n := range appended {
		total += n
	}
	require.Len(t, whole, int(total))
	for _, r := range readers {
		require.NoError(t, r.err, r.name)
		require.Equal(t, ids(selected(whole, r.filter)), ids(r.read), "what the reader of %s got", r.name)
	}
}

// reaches returns an error unless the journal's head is at or above a Next that was answered before.
func (s *subject) reaches(j Journal, next query.Offset) error {
	head, err := j.Head(s.ctx)
	if err == nil && head.Offset < next {
		err = fmt.Errorf("the head is at %d after a page whose Next was %d", head.Offset, next)
	}
	return err
}
