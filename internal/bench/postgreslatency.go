package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// route is a way from a commit to a publisher.
type route struct {
	name string
	// start has the publisher called with what is written from then on.
	start func(context.Context, publisher.Publisher) (stop func() error, err error)
	// write appends the n-th event of an id, counted from 0, and returns when its commit began.
	write func(ctx context.Context, id string, n int) (commit time.Time, err error)
}

// delays are in milliseconds, until the publisher was called.
type delays struct{ sinceCommit, sinceWrite sample }

// measure writes events of one id at a steady, low rate.
func (r route) measure(ctx context.Context, id string, events int) (d delays, err error) {
	arrivals := newArrivals(id)
	stop, err := r.start(ctx, arrivals)
	if err != nil {
		return delays{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	ticker := time.NewTicker(latencyInterval)
	defer ticker.Stop()
	begun, commits := make([]time.Time, events), make([]time.Time, events)
	for n := range events {
		<-ticker.C
		begun[n] = time.Now()
		if commits[n], err = r.write(ctx, id, n); err != nil {
			return delays{}, err
		}
	}
	for n := range events {
		arrived, err := arrivals.await(ctx, int64(n)+1)
		if err != nil {
			return delays{}, err
		}
		d.sinceCommit = append(d.sinceCommit, milliseconds(arrived.Sub(commits[n])))
		d.sinceWrite = append(d.sinceWrite, milliseconds(arrived.Sub(begun[n])))
	}
	return d, nil
}

// postgresLatency compares with a program that listens, and reads when it is notified. The routes take turns.
func postgresLatency(ctx context.Context, b *bench) (err error) {
	routes, closed, err := postgresRoutes(ctx, b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closed()) }()
	measured := make([]delays, len(routes))
	for turn := range b.rounds() {
		for i, r := range routes {
			d, err := r.measure(ctx, fmt.Sprintf("%s-%d", r.name, turn), b.scaled(100, 3))
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			measured[i].sinceCommit = append(measured[i].sinceCommit, d.sinceCommit...)
			measured[i].sinceWrite = append(measured[i].sinceWrite, d.sinceWrite...)
		}
	}
	floor := measured[0]
	for i, r := range routes {
		m := measured[i]
		p50, p99 := m.sinceCommit.median(), m.sinceCommit.quantile(0.99)
		p50Ratio, p99Ratio := p50/floor.sinceCommit.median(), p99/floor.sinceCommit.quantile(0.99)
		b.line("postgres-latency", "route", r.name, "events", len(m.sinceCommit), "p50_ms", p50, "p99_ms", p99,
			"p50_ratio", p50Ratio, "p99_ratio", p99Ratio,
			"p50_ms_with_insert", m.sinceWrite.median(), "p99_ms_with_insert", m.sinceWrite.quantile(0.99))
		if r.name == "same_process" || r.name == "other_process" {
			b.claim(atMost("postgres-latency: "+r.name+", p50, of LISTEN and SELECT", "×", 2, 1.3), p50Ratio)
			b.claim(atMost("postgres-latency: "+r.name+", p99, of LISTEN and SELECT", "×", 3, 1.5), p99Ratio)
		}
	}
	return nil
}

// postgresRoutes are the floor, and ways to an outbox: of a transaction that was appended to through the outbox's own
// journal, or through one with connections of its own, as another process has; and of an actor's event, whose INSERT and
// commit are one statement.
func postgresRoutes(ctx context.Context, b *bench) (routes []route, closed func() error, err error) {
	d, err := b.postgres(ctx)
	if err != nil {
		return nil, nil, err
	}
	var journals []*served
	closed = func() (err error) {
		for _, j := range journals {
			err = errors.Join(err, j.Close())
		}
		return err
	}
	for _, schema := range []string{"latency", "latency", "latency_floor"} {
		if _, err = d.empty(ctx, schema); err != nil {
			break
		}
		var j *served
		if j, err = d.open(ctx, schema); err != nil {
			break
		}
		journals = append(journals, j)
	}
	if err != nil {
		return nil, nil, errors.Join(err, closed())
	}
	here, elsewhere, plain := journals[0], journals[1], journals[2]
	toOutbox := func(ctx context.Context, p publisher.Publisher) (func() error, error) {
		o, err := b.world.spawn("latency", here, p)
		if err != nil {
			return nil, err
		}
		return o.stop, o.Flush(ctx)
	}
	return []route{
		plainRoute(plain),
		{"same_process", toOutbox, here.appendRecord},
		{"other_process", toOutbox, elsewhere.appendRecord},
		{"actor", toOutbox, func(ctx context.Context, id string, n int) (time.Time, error) {
			e := shape{ids: 1}.event(n, make([]byte, 256))
			e.PersistenceID = id
			begun := time.Now()
			return begun, here.AppendEvent(ctx, e)
		}},
	}, closed, nil
}

// plainRoute is LISTEN → SELECT → publish. The transaction itself notifies.
func plainRoute(s *served) route {
	plain := newPlainLoop("latency_floor")
	return route{
		name: "floor",
		start: func(ctx context.Context, p publisher.Publisher) (func() error, error) {
			ready := make(chan struct{})
			failed := make(chan error, 1)
			stop := background(ctx, func(ctx context.Context) error {
				err := plain.follow(ctx, s.pool.Config().ConnConfig, p, func() { close(ready) })
				failed <- err
				return err
			})
			select {
			case <-ready:
				return stop, nil
			case err := <-failed:
				return nil, errors.Join(err, stop())
			}
		},
		write: func(ctx context.Context, id string, n int) (time.Time, error) {
			e := shape{ids: 1}.event(n, make([]byte, 256))
			e.PersistenceID = id
			return plain.appendNotifying(ctx, s.pool, &e)
		},
	}
}

// appendRecord appends in a transaction, and wakes whoever subscribed.
func (s *served) appendRecord(ctx context.Context, id string, _ int) (commit time.Time, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		_, err := s.AppendTx(ctx, tx, journal.Record{
			PersistenceID: id, Type: "bench.v1.Happened", ContentType: "application/protobuf", Data: make([]byte, 256),
		})
		commit = time.Now()
		return err
	})
	if err == nil {
		s.Notify()
	}
	return commit, err
}
