// Cluster is one outbox in shards over three members of a Proto.Actor cluster, each a process, and shows what becomes of it
// when one of them is killed, one leaves, and both come back.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const usage = `Usage: cluster [flags]
       cluster resize -h

Three processes form a cluster. Orders are virtual actors that any of them may run, and persist their events in one
journal; an outbox in shards publishes the events, each shard by one member at a time, fenced by an epoch. Customers
send commands to whichever member answers, and a receiver counts what arrives.

Then one member is killed (kill -9), another leaves in good order, and both come back. It says who owns what, in which
epoch, how long a shard was silent, and what came twice. It ends by itself after some twenty seconds, with exit code 0
only if everything was received, in order, and no more came twice than may.

The journal is a SQLite file, or a PostgreSQL database: -journal postgres://user@host/database, or the same in
OUTBOX_CLUSTER_JOURNAL; its tables are made, in the schema "outbox". Nothing else is needed.

Flags:
`

// journalEnv is where a URL with a password is better kept than in an argument.
const journalEnv = "OUTBOX_CLUSTER_JOURNAL"

func main() {
	os.Exit(start())
}

func start() int {
	err := dispatch(os.Args[1:])
	wrong := (*usageError)(nil)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errIncomplete): // the summary has said why
		return 1
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "cluster: %v; -h explains\n", err)
		return 2
	default:
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		return 1
	}
}

func dispatch(args []string) error {
	if len(args) > 0 && args[0] == "member" {
		return runMember()
	}
	if len(args) > 0 && args[0] == "resize" {
		return runResize(untilSignal(), args[1:])
	}
	return runPlay(untilSignal(), args)
}

func runPlay(ctx context.Context, args []string) error {
	var (
		s     settings
		err   error
		flags = flag.NewFlagSet("cluster", flag.ContinueOnError)
	)
	flags.StringVar(&s.data, "data", "data", "`folder` of the journal and the members' logs; it is made if there is none")
	flags.StringVar(&s.journal, "journal", os.Getenv(journalEnv), "`place` of the journal: the path of a SQLite file, or a postgres:// URL (default: a file in the data folder)")
	flags.IntVar(&s.shards, "shards", 8, "`number` of shards; it is stored with the outbox, and the same at every run, until cluster resize changes it")
	flags.IntVar(&s.customers, "customers", 100, "`number` of customers, each with an order of his own")
	flags.DurationVar(&s.beat, "beat", 500*time.Millisecond, "the `time` that a customer leaves between two commands")
	flags.DurationVar(&s.calm, "calm", 2*time.Second, "the `time` for which nothing happens after each change")
	if err = parseFlags(flags, args, usage); err != nil {
		return err
	}
	if s.program, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program, to start members: %w", err)
	}
	if s.shards < 1 || s.shards > query.NumSlices || s.customers < s.shards {
		return &usageError{fmt.Errorf("-shards %d -customers %d: there must be 1 to %d shards, and at least as many customers", s.shards, s.customers, query.NumSlices)}
	}
	return run(ctx, s, os.Stdout)
}

// usageError is a mistake in the arguments.
type usageError struct{ error }

// parseFlags parses arguments that are flags only. It prints the help if that is asked for.
func parseFlags(flags *flag.FlagSet, args []string, usage string) error {
	flags.Usage = func() {}
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(os.Stdout, usage)
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		return err
	case err != nil:
		return &usageError{err}
	case flags.NArg() > 0:
		return &usageError{fmt.Errorf("%q is not a flag", flags.Arg(0))}
	}
	return nil
}
