package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/shards"
)

const resizeUsage = `Usage: cluster resize -from <number> -to <number> [flags]

Changes the number of shards, while no member runs: 0 is an outbox without shards. It publishes first what is left in the
journal; here, where the receiver has gone with the play, it prints that. If it fails, run it again, or with -abort to take it back.

Flags:
`

// resizing is what "cluster resize" is asked for.
type resizing struct {
	data, journal string
	from, to      int
	abort         bool
}

func runResize(ctx context.Context, args []string) error {
	var r resizing
	flags := flag.NewFlagSet("cluster resize", flag.ContinueOnError)
	flags.StringVar(&r.data, "data", "data", "`folder` of the journal")
	flags.StringVar(&r.journal, "journal", os.Getenv(journalEnv), "`place` of the journal, as for the members")
	flags.IntVar(&r.from, "from", -1, "`number` of shards that there are")
	flags.IntVar(&r.to, "to", -1, "`number` of shards that there are to be")
	flags.BoolVar(&r.abort, "abort", false, "take back a change that is not complete")
	if err := parseFlags(flags, args, resizeUsage); err != nil {
		return err
	}
	err := resize(ctx, r, os.Stdout)
	if wrong := (*outbox.OptionError)(nil); errors.As(err, &wrong) {
		return &usageError{err}
	}
	return err
}

func resize(ctx context.Context, r resizing, out io.Writer) (err error) {
	unlock, err := lockFolder(r.data) // the play has it while members run
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if r.journal == "" {
		r.journal = filepath.Join(r.data, journalFile)
	}
	if err = makeStorage(ctx, r.journal); err != nil {
		return err
	}
	j, err := openStorage(ctx, r.journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()

	// Yours is the publisher that the members have.
	left := publisher.Props(publisher.Func(func(_ context.Context, e publisher.Event) error {
		_, err := fmt.Fprintln(out, "was left:", e.ID())
		return err
	}))
	opts := shards.WithOutboxOptions(outbox.WithMaxUnsaved(maxUnsaved))
	if r.abort {
		if err = shards.Abort(ctx, outboxName, r.from, r.to, j.outbox, left, opts); err == nil {
			fmt.Fprintf(out, "%d shards, as before\n", r.from)
		}
		return err
	}
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}))
	defer system.Shutdown()
	if err = shards.Resize(ctx, system.Root, outboxName, r.from, r.to, j.outbox, left, opts); err == nil {
		fmt.Fprintf(out, "%d shards from now on: start members with -shards %d\n", r.to, r.to)
	}
	return err
}
