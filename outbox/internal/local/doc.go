// Package local has what only this module can say to an outbox, and only from its own process: its types cannot be named
// anywhere else, and no message of another process becomes one.
//
// It owns the envelope of a local client's commands ([Command]), the question whether an outbox is at rest ([Ask]), what
// package shards decides for its outboxes ([Shard]), and the mark by which a test's outbox leaves nothing to chance ([Steady]).
// It decides nothing.
package local
