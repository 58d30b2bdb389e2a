package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	riverWorkers      = 2000 // 500 and 8,000 were slower
	riverJobsAtOnce   = 10_000
	riverFetchEvery   = time.Millisecond
	riverSchema       = "river"
	riverQueuePattern = "round-%d"
)

// riverPeer has a job for each event. Jobs keep no order.
type riverPeer struct {
	pool *pgxpool.Pool
	size int
}

func openRiver(ctx context.Context, j *served, s shape) (peer, error) {
	if _, err := j.pool.Exec(ctx, "CREATE SCHEMA "+riverSchema); err != nil {
		return nil, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(j.pool), &rivermigrate.Config{Schema: riverSchema, Logger: silent()})
	if err != nil {
		return nil, err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return &riverPeer{j.pool, s.size}, err
}

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// published is the event of a job.
type published struct {
	Data []byte `json:"data"`
}

// Kind implements river.JobArgs.
func (published) Kind() string { return "published" }

// publishing is a worker that counts.
type publishing struct {
	river.WorkerDefaults[published]
	n, want int64
	done    chan struct{}
}

// Work implements river.Worker.
func (p *publishing) Work(context.Context, *river.Job[published]) error {
	if atomic.AddInt64(&p.n, 1) == p.want {
		close(p.done)
	}
	return nil
}

func (r *riverPeer) client(config river.Config) (*river.Client[pgx.Tx], error) {
	config.Schema, config.Logger = riverSchema, silent()
	return river.NewClient(riverpgxv5.New(r.pool), &config)
}

// prepare inserts the jobs of a round, which has a queue of its own.
func (r *riverPeer) prepare(ctx context.Context, round, events int) error {
	c, err := r.client(river.Config{})
	if err != nil {
		return err
	}
	options := &river.InsertOpts{Queue: fmt.Sprintf(riverQueuePattern, round)}
	for events > 0 {
		jobs := make([]river.InsertManyParams, min(events, riverJobsAtOnce))
		for i := range jobs {
			jobs[i] = river.InsertManyParams{Args: published{make([]byte, r.size)}, InsertOpts: options}
		}
		if _, err := c.InsertManyFast(ctx, jobs); err != nil {
			return err
		}
		events -= len(jobs)
	}
	return nil
}

func (r *riverPeer) drain(ctx context.Context, round, events int) (end func() error, err error) {
	all := &publishing{want: int64(events), done: make(chan struct{})}
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, all); err != nil {
		return nil, err
	}
	c, err := r.client(river.Config{
		Workers:           workers,
		Queues:            map[string]river.QueueConfig{fmt.Sprintf(riverQueuePattern, round): {MaxWorkers: riverWorkers}},
		FetchCooldown:     riverFetchEvery,
		FetchPollInterval: riverFetchEvery,
		JobTimeout:        -1, // or each job would have a timer
	})
	if err != nil {
		return nil, err
	}
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	select {
	case <-all.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	// Before it stops, it notes the last jobs as done.
	return func() error { return c.Stop(context.WithoutCancel(ctx)) }, err
}
