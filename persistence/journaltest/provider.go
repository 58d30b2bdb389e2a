package journaltest

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// The journal as Proto.Actor's persistence.Provider, as code that knows nothing of package journal uses it.
var providerCases = []testCase{
	{"keeps events under their indexes", ownProvider, func(t *testing.T, s *subject) {
		state := s.GetState()
		for i := range 5 {
			persists(t, state, i, wrapperspb.Int64(int64(10+i)))
		}
		for _, c := range []struct {
			start, end int
			want       []int64
		}{
			{0, 0, []int64{10, 11, 12, 13, 14}}, {2, 0, []int64{12, 13, 14}}, {1, 3, []int64{11, 12}}, {5, 0, nil},
		} {
			var got []int64
			state.GetEvents("a", c.start, c.end, func(e any) { got = append(got, e.(*wrapperspb.Int64Value).Value) })
			require.Equal(t, c.want, got, "from %d to %d", c.start, c.end)
		}
		events := s.stream(t, "a")
		require.Equal(t, []string{"a/1", "a/2", "a/3", "a/4", "a/5"}, ids(events), "index 0 is sequence number 1")
		for i, e := range events {
			require.Equal(t, "google.protobuf.Int64Value", e.Type)
			require.Equal(t, "application/protobuf", e.ContentType)
			var m wrapperspb.Int64Value
			require.NoError(t, proto.Unmarshal(e.Data, &m))
			require.Equal(t, int64(10+i), m.Value)
		}
	}},
	{"keeps tags, and gives events back without them", ownProvider, func(t *testing.T, s *subject) {
		state := s.GetState()
		persists(t, state, 0, journal.Tag(wrapperspb.Int64(1), "eu", "b2b"))
		state.GetEvents("a", 0, 0, func(e any) { require.IsType(t, (*wrapperspb.Int64Value)(nil), e) })
		require.Equal(t, []string{"a/1"}, ids(s.feed(t, query.Filter{Tags: []string{"b2b"}}, query.Limits{Events: 10})))
	}},
	{"keeps snapshots", ownProvider, func(t *testing.T, s *subject) {
		state := s.GetState()
		_, _, ok := state.GetSnapshot("a")
		require.False(t, ok)
		for i := range 3 {
			persists(t, state, i, wrapperspb.Int64(1))
		}
		require.NoError(t, panicOf(func() { state.PersistSnapshot("a", 2, wrapperspb.String("two")) }))
		snapshot, index, ok := state.GetSnapshot("a")
		require.True(t, ok)
		require.Equal(t, 2, index)
		require.Equal(t, "two", snapshot.(*wrapperspb.StringValue).Value)
		require.NoError(t, panicOf(func() { state.DeleteEvents("a", 1) }))
		require.Equal(t, []string{"a/3"}, ids(s.replayed(t, "a", 1, 0)))
		require.Len(t, s.all(t), 3)
	}},
	{"panics with what went wrong", ownProvider, func(t *testing.T, s *subject) {
		state := s.GetState()
		persists(t, state, 0, wrapperspb.Int64(1))
		persist := func(id string, index int) func() {
			return func() { state.PersistEvent(id, index, wrapperspb.Int64(2)) }
		}
		requireJournalError(t, panicOf(persist("a", 0)), "a", journal.ErrSequenceConflict)
		requireJournalError(t, panicOf(persist("a", 2)), "a", journal.ErrSequenceConflict)
		requireJournalError(t, panicOf(persist("", 0)), "", query.ErrInvalidID)
		requireJournalError(t, panicOf(func() { state.GetEvents("a\x00", 0, 0, func(any) {}) }), "a\x00", query.ErrInvalidID)
		require.Len(t, s.all(t), 1)
	}},
}

// persists has an event of "a" persisted through the provider, which says by a panic that it could not.
func persists(t *testing.T, state persistence.ProviderState, index int, event proto.Message) {
	t.Helper()
	require.NoError(t, panicOf(func() { state.PersistEvent("a", index, event) }), "PersistEvent at index %d", index)
}

// panicOf calls fn and returns what it panics with; nil if it does not.
func panicOf(fn func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = r
		default:
			err = fmt.Errorf("a panic with a %T instead of an error: %v", r, r)
		}
	}()
	fn()
	return nil
}

// requireJournalError checks that err is what a provider panics with.
func requireJournalError(t *testing.T, err error, id string, cause error) {
	t.Helper()
	var typed *journal.Error
	require.ErrorAs(t, err, &typed, "a *journal.Error for the actor's supervisor, instead of: %v", err)
	require.Equal(t, id, typed.PersistenceID)
	require.ErrorIs(t, err, cause)
}
