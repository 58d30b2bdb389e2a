package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// settled waits until all members agree about the members and the owners of the shards, and each owner has been heard of.
func (p *play) settled(ctx context.Context) (clusterView, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		view, why := p.look()
		switch {
		case why == nil:
			return view, nil
		case errors.Is(why, errEnded):
			return view, why
		case !pause(ctx, 50*time.Millisecond):
			return view, fmt.Errorf("the members do not come to rest: %w: %w", context.Cause(ctx), why)
		}
	}
}

// look asks all members, and returns their common view, or why it is not settled.
func (p *play) look() (view clusterView, why error) {
	seated := p.seated()
	for n, s := range seated {
		seen, err := s.look()
		switch {
		case err != nil:
			return view, err
		case seen.Members != len(seated):
			return view, fmt.Errorf("%s sees %d members, not %d", s.name, seen.Members, len(seated))
		case !seen.running():
			return view, fmt.Errorf("by %s, not every shard runs", s.name)
		case n > 0 && !seen.agrees(view):
			return view, fmt.Errorf("%s sees other owners", s.name)
		}
		view = seen
	}
	for _, row := range view.Shards {
		if p.receipts.of(row.Name).epoch != row.Epoch {
			return view, fmt.Errorf("nothing was received from %s in epoch %d", row.Name, row.Epoch)
		}
	}
	return view, nil
}

// seated are the seats with a member.
func (p *play) seated() (seats []*seat) {
	for _, s := range p.seats {
		if s.taken() {
			seats = append(seats, s)
		}
	}
	return seats
}

// busiest returns the member with the most shards, and these.
func (p *play) busiest(view clusterView) (busiest *seat, owned []shardRow) {
	for _, s := range p.seated() {
		var rows []shardRow
		for _, row := range view.Shards {
			if row.Address == s.address() {
				rows = append(rows, row)
			}
		}
		if busiest == nil || len(rows) > len(owned) {
			busiest, owned = s, rows
		}
	}
	return busiest, owned
}

// show prints who owns what.
func (p *play) show(view clusterView) {
	names := map[string]string{}
	for _, s := range p.seats {
		names[s.address()] = s.name
	}
	view.write(p.out, names)
}

// listed are the shards' names, in words.
func listed(rows []shardRow) string {
	names := make([]string, 0, len(rows))
	for _, row := range rows {
		names = append(names, row.Name)
	}
	switch n := len(names); n {
	case 0:
		return "no shard"
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}
