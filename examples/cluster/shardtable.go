package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/shards"
)

// clusterView is the outbox, as one member sees it.
type clusterView struct {
	// Members is how many there are.
	Members int
	// Shards are in the order of their numbers.
	Shards []shardRow
}

// shardRow is what a shard has said of itself.
type shardRow struct {
	Name    string
	Address string // of its owner; empty if it did not answer
	State   string
	Epoch   int64
	// Published counts since the shard began, whoever owned it.
	Published, Unsaved int64
	Reason             string
}

func rowOf(a shards.Answer) shardRow {
	if a.Err != nil {
		return shardRow{Name: fmt.Sprintf("%s-%d", outboxName, a.Number), State: "silent", Reason: a.Err.Error()}
	}
	return shardRow{
		Name: a.Shard.GetIdentity(), Address: a.Shard.GetAddress(),
		State:  strings.ToLower(strings.TrimPrefix(a.Shard.GetState().String(), "SHARD_STATE_")),
		Epoch:  a.Shard.GetOutbox().GetEpoch(),
		Reason: a.Shard.GetReason(), Published: a.Shard.GetOutbox().GetPublished(), Unsaved: a.Shard.GetOutbox().GetUnsaved(),
	}
}

// running reports whether every shard is owned and at work.
func (v clusterView) running() bool {
	return len(v.Shards) > 0 && !slices.ContainsFunc(v.Shards, func(r shardRow) bool { return r.State != "running" || r.Epoch == 0 })
}

// agrees reports whether two members see the same owners.
func (v clusterView) agrees(other clusterView) bool {
	return slices.EqualFunc(v.Shards, other.Shards, func(a, b shardRow) bool { return a.Address == b.Address && a.Epoch == b.Epoch })
}

// write prints the table, with the members' names for their addresses.
func (v clusterView) write(w io.Writer, names map[string]string) {
	fmt.Fprintf(w, "\n         %-8s %-6s %5s  %-8s %11s %8s\n", "shard", "owner", "epoch", "state", "published", "unsaved")
	for _, r := range v.Shards {
		owner := names[r.Address]
		if owner == "" {
			owner = "-"
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("         %-8s %-6s %5d  %-8s %11s %8s  %s", r.Name, owner, r.Epoch, r.State,
			humanize.Comma(r.Published), humanize.Comma(r.Unsaved), r.Reason), " "))
	}
	fmt.Fprintln(w)
}
