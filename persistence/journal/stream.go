package journal

import (
	"fmt"
	"maps"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/ctxext"
	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"
)

// PersistenceID returns the persistence id of the actor whose context it is; "" if the actor is not under [Using].
// It is known from Started on.
func PersistenceID(c actor.Context) string {
	if s := streamOf(c); s != nil {
		return s.id
	}
	return ""
}

// LastSequence returns the sequence number of the event that the actor has last persisted or replayed, or that its
// snapshot covers; 0 if there is none, or if the actor is not under [Using]. With [PersistenceID] it names that
// event, for example in the answer to a command.
func LastSequence(c actor.Context) int64 {
	if s := streamOf(c); s != nil {
		return s.last
	}
	return 0
}

// stream is the provider as one actor uses it: bound to its persistence id and context. It lives in that context,
// and so outlives a restart. As Proto.Actor's contexts, it is used by one goroutine at a time.
type stream struct {
	*provider
	c         actor.Context
	id        string
	metadata  func(actor.Context, proto.Message) map[string]string
	last      int64
	recovered bool
}

var extensionID = ctxext.NextContextExtensionID()

// ExtensionID implements ctxext.ContextExtension.
func (s *stream) ExtensionID() ctxext.ContextExtensionID { return extensionID }

// streamOf returns nil if the actor is not under Using.
func streamOf(c actor.ExtensionContext) (s *stream) {
	// A context that no extension with a greater id was ever put into answers with an index out of range.
	defer func() { _ = recover() }()
	s, _ = c.Get(extensionID).(*stream)
	return s
}

// GetState implements persistence.Provider.
func (s *stream) GetState() persistence.ProviderState { return s }

func (s *stream) GetSnapshot(id string) (snapshot any, eventIndex int, ok bool) {
	snapshot, eventIndex, ok = s.provider.GetSnapshot(id)
	s.last = int64(eventIndex)
	return snapshot, eventIndex, ok
}

func (s *stream) GetEvents(id string, start, end int, callback func(event any)) {
	s.replay(id, int64(start)+1, int64(end), func(seq int64, event proto.Message) {
		s.last = seq
		callback(event)
	})
	s.recovered = true
}

func (s *stream) PersistEvent(id string, index int, event proto.Message) {
	s.mustHaveRecovered("persist event", int64(index)+1)
	s.append(id, index, event, func(bare proto.Message) map[string]string {
		metadata := traceContext(s.c.MessageHeader())
		if own := s.metadata(s.c, bare); len(own) > 0 {
			if metadata == nil {
				return own
			}
			maps.Copy(metadata, own)
		}
		return metadata
	})
	s.last = int64(index) + 1
}

func (s *stream) PersistSnapshot(id string, index int, snapshot proto.Message) {
	s.mustHaveRecovered("persist snapshot", 0)
	s.provider.PersistSnapshot(id, index, snapshot)
}

func (s *stream) mustHaveRecovered(op string, seq int64) {
	if !s.recovered {
		must(op, s.id, seq, fmt.Errorf("%w: persist from ReplayComplete on, and where the actor is Stopping or Restarting only if it is not Recovering", ErrNotRecovered))
	}
}

// traceHeaders are the headers of W3C Trace Context.
var traceHeaders = [...]string{"traceparent", "tracestate"}

// traceContext returns the trace context that a message carries; nil if none. What is not text cannot be one, and
// is passed over as the standard demands: a message's header must not decide whether an event can be stored.
func traceContext(header actor.ReadonlyMessageHeader) map[string]string {
	if header == nil {
		return nil
	}
	var found map[string]string
	for _, key := range traceHeaders {
		if value := header.Get(key); value != "" && isText(value) {
			if found == nil {
				found = make(map[string]string, len(traceHeaders))
			}
			found[key] = value
		}
	}
	return found
}
