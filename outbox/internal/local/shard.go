package local

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Shard is what package shards decides for the outbox of a shard, and the application must not.
type Shard struct {
	Filter    query.Filter
	Snapshots query.SnapshotStore
	Authorize func(actor.Context) error
}
