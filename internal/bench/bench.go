package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
)

// cases are all that there is to measure, in the order in which they run.
var cases = []benchCase{
	{"drain-memory", "publish what is in a journal in memory", drainMemory},
	{"drain-sqlite", "publish what is in a SQLite file", drainSQLite},
	{"original", "the same, and latency, beside the original algorithm", original},
	{"latency", "from persist to publish, one event at a time", latency},
	{"append", "persist from many actors at once", appends},
	{"large", "memory while events of 1 MiB are published", large},
	{"memory", "memory with many ids", memoryOfIDs},
	{"idle", "queries and writes while nothing happens", idle},
	{"restart", "the first publish after a start", restart},
	{"postgres-drain", "publish what is in a PostgreSQL database", postgresDrain},
	{"postgres-latency", "from commit to publish, beside LISTEN and SELECT", postgresLatency},
	{"postgres-append", "persist from many actors at once, beside single INSERTs", postgresAppend},
	{"postgres-idle", "statements and writes while nothing happens", postgresIdle},
	{"postgres-ids", "restart and memory with many ids", postgresIDs},
	{"postgres-peers", "publish a backlog, beside Watermill and River", postgresPeers},
}

// benchCase is one thing to measure.
type benchCase struct {
	name, about string
	run         func(context.Context, *bench) error
}

// bench is one run.
type bench struct {
	out    io.Writer
	dir    string // for files; its disk is measured
	scale  float64
	claims []claim
	files  map[shape]string // SQLite journals that were made, by what is in them
	world  *world
	// database is there once a case has asked for it.
	database *database
	skipped  []string
}

func newBench(out io.Writer, dir string, scale float64) *bench {
	return &bench{out: out, dir: dir, scale: scale, files: make(map[shape]string)}
}

// measure runs one case in an actor system of its own.
func (b *bench) measure(ctx context.Context, c benchCase) error {
	b.world = newWorld()
	defer b.world.close()
	runtime.GC()
	return c.run(ctx, b)
}

// skip says that a case was not measured, and why.
func (b *bench) skip(name string, why error) {
	b.skipped = append(b.skipped, name)
	_, _ = fmt.Fprintf(b.out, "SKIPPED %s: %v\n", name, why)
}

// close removes what the run has made on servers.
func (b *bench) close(ctx context.Context) error {
	if b.database == nil {
		return nil
	}
	return b.database.drop(ctx)
}

// scaled is how many of n events or ids this run takes, at least some.
func (b *bench) scaled(n, least int) int { return max(least, int(float64(n)*b.scale)) }

// rounds is how often whatever is compared takes turns.
func (b *bench) rounds() int {
	if b.scale < 0.1 {
		return 1
	}
	return 5
}

// line prints what was measured: keys and values.
func (b *bench) line(name string, pairs ...any) {
	var text strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&text, " %v=%s", pairs[i], figure(pairs[i+1]))
	}
	_, _ = fmt.Fprintf(b.out, "BENCH %s%s\n", name, text.String())
}

// figure prints a number with as many digits as it can be relied on for.
func figure(v any) string {
	x, ok := v.(float64)
	switch {
	case !ok:
		return fmt.Sprint(v)
	case x >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	default:
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
}
