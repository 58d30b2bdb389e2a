package journaltest

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// What a program without the event's type can still do: everything but replay it to an actor.
var unknownTypeCases = []testCase{
	{"are read raw", anything, func(t *testing.T, s *subject) {
		s.deposits(t, 1)
		for i, change := range undecodable {
			e := newEvent("account", int64(i+2))
			change(&e)
			require.NoError(t, s.AppendEvent(s.ctx, e))
			for _, read := range s.everywhere(t, "account", e.SequenceNumber) {
				requireStored(t, e, read)
			}
			require.Contains(t, ids(s.feed(t, query.Filter{Types: []string{e.Type}}, query.Limits{Events: 10})), e.ID())
		}
	}},
	{"are not replayed, nor what comes after them", ownProvider, func(t *testing.T, s *subject) {
		for _, change := range undecodable {
			s := &subject{Journal: s.h.New(t), h: s.h, ctx: s.ctx}
			s.deposits(t, 2)
			e := newEvent("account", 3)
			change(&e)
			require.NoError(t, s.AppendEvent(s.ctx, e))
			s.write(t, "account", 4, 4)

			var replayed []any
			err := panicOf(func() { s.GetState().GetEvents("account", 0, 0, func(e any) { replayed = append(replayed, e) }) })
			requireJournalError(t, err, "account", journal.ErrNotDecodable)
			require.ErrorContains(t, err, " 3 ", "it says which event it is")
			require.Len(t, replayed, 2, "what comes before is given")
		}
	}},
	{"fail an actor's recovery by a typed error", anything, func(t *testing.T, s *subject) {
		s.deposits(t, 2)
		e := newEvent("account", 3)
		e.Type = unknownType
		require.NoError(t, s.AppendEvent(s.ctx, e))
		err := s.failure(t)
		requireJournalError(t, err, "account", journal.ErrNotDecodable)
		require.ErrorContains(t, err, unknownType)
		require.Len(t, s.all(t), 3, "an actor that has not recovered appends nothing")
	}},
	{"of a snapshot fail an actor's recovery by a typed error", anything, func(t *testing.T, s *subject) {
		s.deposits(t, 2)
		require.NoError(t, s.SaveActorSnapshot(s.ctx, "account", journal.ActorSnapshot{Index: 2, Type: unknownType, Data: []byte("x")}))
		err := s.failure(t)
		requireJournalError(t, err, "account", journal.ErrNotDecodable)
		require.ErrorContains(t, err, unknownType)
	}},
}

const unknownType = "shop.v9.NotLinkedIn"

// undecodable are events that no actor here can read: by their type, their content type or their data.
var undecodable = []func(*query.Event){
	func(e *query.Event) { e.Type = unknownType },
	func(e *query.Event) {
		e.Type, e.ContentType, e.Data = unknownType, "application/json", []byte(`{"a":1}`)
	},
	func(e *query.Event) { e.Type, e.Data = "google.protobuf.Int64Value", []byte{0xff, 0xff} },
	func(e *query.Event) {
		e.Type, e.ContentType, e.Data = "google.protobuf.Int64Value", "application/json", nil
	},
}

// deposits appends the first n events of an account, as the actor would.
func (s *subject) deposits(t *testing.T, n int64) {
	t.Helper()
	for seq := int64(1); seq <= n; seq++ {
		e := newEvent("account", seq)
		event := wrapperspb.Int64(seq)
		e.Type = string(event.ProtoReflect().Descriptor().FullName())
		var err error
		e.Data, err = proto.Marshal(event)
		require.NoError(t, err)
		require.NoError(t, s.AppendEvent(s.ctx, e))
	}
}

// failure spawns the account and returns what its supervisor is given as the reason of its failure.
func (s *subject) failure(t *testing.T) error {
	t.Helper()
	system := newSystem(t)
	reasons := make(chan any, 100)
	system.EventStream.Subscribe(func(event any) {
		if e, ok := event.(*actor.SupervisorEvent); ok {
			reasons <- e.Reason
		}
	})
	s.spawn(t, system)
	select {
	case reason := <-reasons:
		err, ok := reason.(error)
		require.True(t, ok, "an error as the reason of the failure, instead of: %v", reason)
		return err
	case <-time.After(patience):
		require.FailNow(t, "the actor's recovery did not fail")
		return nil
	}
}
