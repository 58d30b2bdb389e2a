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

// tailWhileAppending has readers follow the feed while writers append. In the end, each must have read exactly
// what is in the journal, in its order: an event that became visible behind a reader's Next would be missing.
func tailWhileAppending(t *testing.T, s *subject) {
	const writers, each = 8, 40
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
		writeErrs [writers]error
	)
	for w := range writers {
		writing.Go(func() {
			for seq := int64(1); seq <= each && writeErrs[w] == nil; seq++ {
				e := newEvent(fmt.Sprintf("writer-%d", w), seq)
				if seq%2 == 0 {
					e.Tags = []string{"even"}
				}
				writeErrs[w] = s.AppendEvent(s.ctx, e)
			}
		})
	}
	for i := range readers {
		r := &readers[i]
		reading.Go(func() {
			var after query.Offset
			for {
				done := written.Load() // before the read, so that the read then sees everything
				page, err := s.Events(s.ctx, after, r.filter, r.limits)
				if err != nil {
					r.err = err
					return
				}
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
	require.Len(t, whole, writers*each)
	for _, r := range readers {
		require.NoError(t, r.err, r.name)
		require.Equal(t, ids(selected(whole, r.filter)), ids(r.read), "what the reader of %s got", r.name)
	}
}
