package shards

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"
)

// Errors, wrapped with details.
var (
	// ErrLayout: the stored layout is not the one that this member is configured for, or is being changed.
	ErrLayout = errors.New("the outbox's stored layout is another")
	// ErrPlain: the offsets of an outbox without shards are stored under this name.
	ErrPlain = errors.New("an outbox without shards has its offsets under this name")
	// ErrNoShard: a shard did not answer.
	ErrNoShard = errors.New("the shard did not answer")
)

// Refused is published on the actor system's event stream when a member starts to refuse its shards because of the layout
// that is stored.
type Refused struct {
	// Name of the outbox.
	Name string
	// Err wraps ErrLayout or ErrPlain, and says what is wrong.
	Err error
}

// Fenced is published on the actor system's event stream when a shard of this member begins to stand by.
type Fenced struct {
	// Identity of the shard.
	Identity string
	// PID of the shard's actor, which lives on.
	PID *actor.PID
}
