package local

import (
	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/ctxext"
	"google.golang.org/protobuf/proto"
)

// Command wraps a message of the same process's client: it cannot come from elsewhere, and needs no leave.
type Command struct{ Message proto.Message }

// Abandon takes back what its sender had asked for.
type Abandon struct{}

// Ask asks an outbox what it waits for besides the passing of time. Its sender gets an [Answer] at once.
type Ask struct{}

// Answer tells what an outbox waited for when it handled an [Ask].
//
// If two answers follow one another directly (see [Answer.Next]), and nothing was unanswered at the first, then nothing
// was on its way either: whatever a call or a publisher had left in the mailbox would have been handled in between.
type Answer struct {
	// Incarnation of the outbox, and how many messages that one has handled, the Ask included.
	Incarnation, Handled uint64
	// Calls into the journal and the snapshot store that have not returned.
	Calls int
	// InFlight are the events that publishers have not answered for.
	InFlight int
}

// Next reports whether the outbox has handled nothing between the answer before and this one.
func (a Answer) Next(before Answer) bool {
	return a.Incarnation == before.Incarnation && a.Handled == before.Handled+1
}

// Steady marks the context of an outbox whose waits after failures are not to be jittered, so that a test knows when
// they end. It is an option for outbox.WithPropsOptions.
func Steady() actor.PropsOption {
	return actor.WithOnInit(func(c actor.Context) { c.Set(steady{}) })
}

// IsSteady reports whether the context has the mark. Something with a greater extension id must have been put into the
// context before, or the framework answers with an index out of range: the outbox puts its life there first, and its id
// is drawn after this one, because this package is initialized first.
func IsSteady(c actor.Context) bool { return c.Get(steadyID) != nil }

type steady struct{}

var steadyID = ctxext.NextContextExtensionID()

// ExtensionID implements ctxext.ContextExtension.
func (steady) ExtensionID() ctxext.ContextExtensionID { return steadyID }
