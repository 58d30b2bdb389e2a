// Package shards runs one outbox in several shards over a Proto.Actor cluster, where one machine is outgrown:
//
//	s, err := shards.New("shop", 8, journal, publisher.Props(sink), shards.WithAuthorize(allow))
//	c := cluster.New(system, cluster.Configure("shop", provider, disthash.New(), remoteConfig, cluster.WithKinds(s.Kind())))
//	c.StartMember()
//	keeper := system.Root.Spawn(s.Keeper(c))
//	…
//	err = s.Leave(ctx, 10*time.Second)
//	c.Shutdown(true)
//
// Each member of the cluster does this, with the same name and number, and a [Shards] of its own. A shard is a virtual
// actor with the identity "<outbox>-<number>", which spawns an outbox as its child; that one publishes the persistence ids
// of a range of the 1024 slices. An id belongs to one shard, so that its order is as in one outbox. The keeper on every
// member has the cluster activate what is not active: a shard is back soon after its owner has died.
//
// A cluster may activate a shard twice: while members join, in a partition, or because a process was suspended. The offsets
// are fenced by epoch, so that only the latest owner can save; an older one finds out at its next save, at the latest after a
// few seconds, and stops. It does not come back to fight, but stands by, until the cluster changes, the other has stopped in
// good order, or it leaves work undone.
//
// The number of shards is stored with the outbox. A member that is configured for another starts none; [Resize] changes it
// while no member runs.
//
// The package writes no membership, placement or transport: these are the cluster's. It never closes the journal.
package shards
