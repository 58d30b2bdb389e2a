package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
)

// watermillBatch is how many messages a query brings. Each query sorts all that are left: of 100, 1,000, 5,000 and 20,000 this
// was the fastest. A batch is also what is passed on again after a crash.
const watermillBatch = 20_000

// watermillPeer is a subscriber of watermill-sql, which passes on one message at a time, in order.
type watermillPeer struct {
	pool  *pgxpool.Pool
	topic string
	size  int
	// patience is how long it waits until it may read what was written.
	patience time.Duration
}

func openWatermill(_ context.Context, j *served, s shape) (peer, error) {
	return &watermillPeer{j.pool, "bare", s.size, 10 * time.Second}, nil
}

// schema has the payload as bytes, where the default is JSON.
func (*watermillPeer) schema() watermillsql.DefaultPostgreSQLSchema {
	return watermillsql.DefaultPostgreSQLSchema{
		GeneratePayloadType: func(string) string { return "BYTEA" },
		SubscribeBatchSize:  watermillBatch,
	}
}

func (w *watermillPeer) publisher() (*watermillsql.Publisher, error) {
	return watermillsql.NewPublisher(watermillsql.BeginnerFromPgx(w.pool), watermillsql.PublisherConfig{
		SchemaAdapter: w.schema(), AutoInitializeSchema: true,
	}, watermill.NopLogger{})
}

// subscriber is a new consumer, which begins at the first message.
func (w *watermillPeer) subscriber(consumer string) (*watermillsql.Subscriber, error) {
	var none time.Duration // or each message would have a timer
	return watermillsql.NewSubscriber(watermillsql.BeginnerFromPgx(w.pool), watermillsql.SubscriberConfig{
		ConsumerGroup:    consumer,
		AckDeadline:      &none,
		PollInterval:     time.Millisecond,
		SchemaAdapter:    w.schema(),
		OffsetsAdapter:   watermillsql.DefaultPostgreSQLOffsetsAdapter{},
		InitializeSchema: true,
	}, watermill.NopLogger{})
}

// prepare writes the messages once: they stay, and each round has a consumer of its own.
func (w *watermillPeer) prepare(ctx context.Context, round, events int) error {
	if round > 0 {
		return nil
	}
	p, err := w.publisher()
	if err != nil {
		return err
	}
	if err := errors.Join(w.write(p, events), p.Close()); err != nil {
		return err
	}
	return w.awaitReadable(ctx)
}

// messagesPerInsert keeps below the number of parameters that a statement can have.
const messagesPerInsert = 5000

func (w *watermillPeer) write(p message.Publisher, events int) error {
	for events > 0 {
		batch := make([]*message.Message, min(events, messagesPerInsert))
		for i := range batch {
			batch[i] = message.NewMessage(watermill.NewUUID(), make([]byte, w.size))
		}
		if err := p.Publish(w.topic, batch...); err != nil {
			return err
		}
		events -= len(batch)
	}
	return nil
}

// errStalled says that somebody else keeps Watermill from reading.
var errStalled = errors.New("a transaction that has written something is open elsewhere on the server, in whatever database, and Watermill reads nothing that is newer")

// awaitReadable waits until everything that was written is older than all transactions that are open.
func (w *watermillPeer) awaitReadable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	readable := `SELECT pg_snapshot_xmin(pg_current_snapshot()) > transaction_id FROM ` + w.schema().MessagesTable(w.topic) +
		` ORDER BY transaction_id DESC LIMIT 1`
	for {
		var ok bool
		err := w.pool.QueryRow(ctx, readable).Scan(&ok)
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return fmt.Errorf("%w (waited %v)", errStalled, w.patience)
		case err != nil || ok:
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

func (w *watermillPeer) drain(ctx context.Context, round, events int) (end func() error, err error) {
	s, err := w.subscriber(fmt.Sprintf("round-%d", round))
	if err != nil {
		return nil, err
	}
	messages, err := s.Subscribe(ctx, w.topic)
	if err != nil {
		return s.Close, err
	}
	n := 0
	for m := range messages {
		m.Ack()
		if n++; n == events {
			break
		}
	}
	if n < events {
		err = fmt.Errorf("only %d of %d messages came", n, events)
	}
	return s.Close, err
}

// forwarderPeer is Watermill's outbox: a forwarder that takes messages out of their envelopes and publishes them elsewhere.
type forwarderPeer struct{ *watermillPeer }

func openForwarder(_ context.Context, j *served, s shape) (peer, error) {
	return forwarderPeer{&watermillPeer{j.pool, "forwarded", s.size, 10 * time.Second}}, nil
}

func (f forwarderPeer) prepare(ctx context.Context, round, events int) error {
	if round > 0 {
		return nil
	}
	p, err := f.publisher()
	if err != nil {
		return err
	}
	wrapped := forwarder.NewPublisher(p, forwarder.PublisherConfig{ForwarderTopic: f.topic})
	if err := errors.Join(f.write(wrapped, events), wrapped.Close()); err != nil {
		return err
	}
	return f.awaitReadable(ctx)
}

func (f forwarderPeer) drain(ctx context.Context, round, events int) (end func() error, err error) {
	s, err := f.subscriber(fmt.Sprintf("round-%d", round))
	if err != nil {
		return nil, err
	}
	all := &countingMessages{want: int64(events), done: make(chan struct{})}
	fwd, err := forwarder.NewForwarder(s, all, watermill.NopLogger{}, forwarder.Config{ForwarderTopic: f.topic})
	if err != nil {
		return s.Close, err
	}
	stop := background(ctx, fwd.Run)
	select {
	case <-all.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return func() error { return errors.Join(fwd.Close(), stop()) }, err
}

// countingMessages counts what a forwarder publishes.
type countingMessages struct {
	n, want int64
	done    chan struct{}
}

// Publish implements message.Publisher.
func (c *countingMessages) Publish(_ string, messages ...*message.Message) error {
	if n := atomic.AddInt64(&c.n, int64(len(messages))); n-int64(len(messages)) < c.want && n >= c.want {
		close(c.done)
	}
	return nil
}

// Close implements message.Publisher.
func (*countingMessages) Close() error { return nil }
