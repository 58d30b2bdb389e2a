package query_test

import (
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestPersistenceIDs(t *testing.T) {
	for _, valid := range []string{"a", "order-17", "Ω/ω", `it's "quoted"`, strings.Repeat("x", query.MaxIDBytes)} {
		require.NoError(t, query.ValidateID(valid))
	}
	for id, problem := range map[string]string{
		"":                                      "empty",
		strings.Repeat("x", query.MaxIDBytes+1): "1025 bytes",
		"a\xffb":                                "UTF-8",
		"a\x00b":                                "NUL",
	} {
		err := query.ValidateID(id)
		require.ErrorIs(t, err, query.ErrInvalidID)
		require.ErrorContains(t, err, problem)
		require.Less(t, len(err.Error()), 300, "a hostile id does not fill the log")
	}
}

// The mapping is stored in journals: it may never change.
func TestSlices(t *testing.T) {
	require.EqualValues(t, 192, query.SliceOf("a"))
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.String().Draw(t, "id")
		h := fnv.New64a()
		_, _ = h.Write([]byte(id))
		sum := h.Sum64()
		require.EqualValues(t, (sum^sum>>32)%query.NumSlices, query.SliceOf(id))
	})
}

func TestSlicesAreEven(t *testing.T) {
	counts := make([]int, query.NumSlices)
	for i := range 100 * query.NumSlices {
		counts[query.SliceOf(fmt.Sprintf("order-%d", i))]++
	}
	for slice, n := range counts {
		require.InDelta(t, 100, n, 60, "slice %d", slice)
	}
}

func TestFilters(t *testing.T) {
	e := &query.Event{PersistenceID: "a", Slice: 7, Type: "shop.OrderPlaced", Tags: []string{"billing", "eu"}}
	for name, c := range map[string]struct {
		filter  query.Filter
		matches bool
	}{
		"everything":          {query.Filter{}, true},
		"its slice":           {query.Filter{Slices: query.SliceRange{From: 7, To: 8}}, true},
		"the slices before":   {query.Filter{Slices: query.SliceRange{From: 0, To: 7}}, false},
		"the slices after":    {query.Filter{Slices: query.SliceRange{From: 8, To: 1024}}, false},
		"all slices":          {query.Filter{Slices: query.SliceRange{To: query.NumSlices}}, true},
		"its type":            {query.Filter{Types: []string{"x", "shop.OrderPlaced"}}, true},
		"another type":        {query.Filter{Types: []string{"x"}}, false},
		"one of its tags":     {query.Filter{Tags: []string{"us", "eu"}}, true},
		"another tag":         {query.Filter{Tags: []string{"us"}}, false},
		"type and tag":        {query.Filter{Types: []string{"shop.OrderPlaced"}, Tags: []string{"eu"}}, true},
		"type, but not a tag": {query.Filter{Types: []string{"shop.OrderPlaced"}, Tags: []string{"us"}}, false},
	} {
		require.Equal(t, c.matches, c.filter.Matches(e), name)
	}
	require.True(t, query.Filter{}.All())
	require.False(t, query.Filter{Tags: []string{"eu"}}.All())
}

func TestSizeCountsWhatAnEventCarries(t *testing.T) {
	small := query.Event{PersistenceID: "a"}
	large := query.Event{PersistenceID: "a", Data: make([]byte, 1000), Tags: []string{"t"}, Metadata: map[string]string{"k": "v"}, Time: time.Now()}
	require.Greater(t, large.Size(), small.Size()+1000)
}

func ExampleFilter() {
	billing := query.Filter{Types: []string{"shop.v1.OrderPaid"}, Tags: []string{"eu"}}
	paid := query.Event{PersistenceID: "order-17", SequenceNumber: 3, Type: "shop.v1.OrderPaid", Tags: []string{"eu"}}
	fmt.Println(paid.ID(), billing.Matches(&paid))
	// Output: order-17/3 true
}

// Half of the ids belong to this outbox, always the same ones.
func ExampleSliceOf() {
	lower := query.Filter{Slices: query.SliceRange{From: 0, To: query.NumSlices / 2}}
	slice := query.SliceOf("order-17")
	fmt.Println(slice, lower.Matches(&query.Event{PersistenceID: "order-17", Slice: slice}))
	// Output: 104 true
}
