package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// traffic counts what goes to the server over the connections of a pool, and over those that are made after its example.
type traffic struct{ statements, pings, connects, written atomic.Int64 }

// sums are what was counted so far.
type sums struct {
	statements int64
	pings      int64 // of the pool, before it hands out a connection that was idle for a second
	connects   int64
	written    int64 // rows that the server says it has inserted, updated or deleted
}

func (t *traffic) sums() sums {
	return sums{t.statements.Load(), t.pings.Load(), t.connects.Load(), t.written.Load()}
}

func (t *traffic) note(tag pgconn.CommandTag) {
	if tag.Insert() || tag.Update() || tag.Delete() {
		t.written.Add(tag.RowsAffected())
	}
}

// watch has a pool be counted.
func (t *traffic) watch(config *pgxpool.Config) {
	config.ConnConfig.Tracer = t
	// As without it, but counted: the driver's own pings do not pass the tracer.
	config.ShouldPing = func(_ context.Context, params pgxpool.ShouldPingParams) bool {
		ping := params.IdleDuration > time.Second
		if ping {
			t.pings.Add(1)
		}
		return ping
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (t *traffic) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	t.statements.Add(1)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (t *traffic) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.note(data.CommandTag)
}

// TraceBatchStart implements pgx.BatchTracer.
func (t *traffic) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (t *traffic) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	t.statements.Add(1)
	t.note(data.CommandTag)
}

// TraceBatchEnd implements pgx.BatchTracer.
func (t *traffic) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// TraceConnectStart implements pgx.ConnectTracer.
func (t *traffic) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	t.connects.Add(1)
	return ctx
}

// TraceConnectEnd implements pgx.ConnectTracer.
func (t *traffic) TraceConnectEnd(context.Context, pgx.TraceConnectEndData) {}
