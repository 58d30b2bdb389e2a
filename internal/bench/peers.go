package main

import (
	"context"
	"errors"
	"fmt"
)

// peer is a library that publishes what was written to a PostgreSQL database: ours, or another that is tuned for throughput.
type peer interface {
	// prepare writes the events that a round is to publish.
	prepare(ctx context.Context, round, events int) error
	// drain publishes them, to something that counts them. It returns once all came, and how to end what still runs then.
	drain(ctx context.Context, round, events int) (end func() error, err error)
}

// peerOpener opens a peer, in the database of a journal that has the same events.
type peerOpener func(context.Context, *served, shape) (peer, error)

// postgresPeers has others publish as many events of the same size, in the same database. They take turns.
func postgresPeers(ctx context.Context, b *bench) (err error) {
	s := shape{ids: 1000, events: b.scaled(50_000, 50), size: 256}
	d, err := b.postgres(ctx)
	if err != nil {
		return err
	}
	schema, err := d.filled(ctx, b, s)
	if err != nil {
		return err
	}
	j, err := d.open(ctx, schema)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	ours := func(context.Context, *served, shape) (peer, error) { return ourselves{b.world, j}, nil }
	names := []string{"outbox", "watermill", "watermill_forwarder", "river"}
	openers := []peerOpener{ours, openWatermill, openForwarder, openRiver}
	speeds := make([]sample, len(names))
	rounds := min(3, b.rounds())
	peers := make([]peer, len(names))
	for i, open := range openers {
		peers[i], err = prepared(ctx, open, j, s, rounds)
		if errors.Is(err, errStalled) {
			b.skip("postgres-peers ("+names[i]+")", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
	}
	if _, err := j.pool.Exec(ctx, "ANALYZE"); err != nil {
		return err
	}
	for round := range rounds {
		for i, p := range peers {
			if p == nil {
				continue
			}
			v, err := drainSpeed(ctx, p, round, s.events)
			if err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
			speeds[i] = append(speeds[i], v)
		}
	}
	for i, name := range names {
		if peers[i] == nil {
			continue
		}
		ratio := speeds[0].over(speeds[i]).median()
		b.line("postgres-peers", "peer", name, "events", s.events, "bytes", s.size, "per_s", speeds[i].median(), "ratio", ratio)
		if i > 0 {
			b.claim(atLeast("postgres-peers: against "+name, "×", 1, 2), ratio)
		}
	}
	return nil
}

// prepared is a peer that has what it is to publish in all rounds; nil if there is an error.
func prepared(ctx context.Context, open peerOpener, j *served, s shape, rounds int) (peer, error) {
	p, err := open(ctx, j, s)
	if err != nil {
		return nil, err
	}
	for round := range rounds {
		if err := p.prepare(ctx, round, s.events); err != nil {
			return nil, fmt.Errorf("prepare: %w", err)
		}
	}
	return p, nil
}

// drainSpeed leaves out how long it takes to end.
func drainSpeed(ctx context.Context, p peer, round, events int) (float64, error) {
	var end func() error
	v, err := speed(events, func() (err error) {
		end, err = p.drain(ctx, round, events)
		return err
	})
	if end != nil {
		err = errors.Join(err, end())
	}
	return v, err
}

// ourselves is an outbox, which is not done before its last offset is saved, and has stopped.
type ourselves struct {
	world   *world
	journal *served
}

func (ourselves) prepare(context.Context, int, int) error { return nil } // the journal stays as it is

func (o ourselves) drain(ctx context.Context, round, events int) (end func() error, err error) {
	return nil, o.world.drainCounted(ctx, fmt.Sprintf("peers-%d", round), o.journal, events)
}
