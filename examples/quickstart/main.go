// Quickstart is the outbox at work, end to end: order actors take commands and persist events in a SQLite file, and
// an outbox publishes the events to an HTTP receiver in another process, which records what it gets. It may be killed
// at any time, and goes on at its next run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

const usage = `Usage: quickstart [flags]            take commands, persist events, publish them
       quickstart receiver [flags]   only receive
       quickstart sample             print the commands that are read by default

Order actors take commands, one JSON object per line, such as

  {"id":"c-1","order":"o-17","command":"place","customer":"Ada"}
  {"id":"c-2","order":"o-17","command":"add","item":"tea","quantity":2,"price_cents":350}
  {"id":"c-3","order":"o-17","command":"pay","amount_cents":700}
  {"id":"c-4","order":"o-17","command":"ship","carrier":"rail"}
  {"id":"c-5","order":"o-18","command":"cancel","reason":"changed my mind"}

and persist what becomes of each: what was asked for, or a refusal. A command is carried out once, however often it
is sent; "id" tells one from another (without it, line number and text do). An outbox publishes the events to a
receiver in a process of its own, or to your URL.

Kill it whenever you like (kill -9, or Ctrl-C to stop in good order), and run it again: it goes on where it was. It
ends with what was persisted and published, and with exit code 0 only if everything was received, in order. In good
order means that nothing is sent twice; SIGTERM does the same, and so does SIGHUP, unless it is ignored as by nohup.

Flags:
`

func main() {
	os.Exit(start())
}

func start() int {
	ctx := untilSignal()
	err := dispatch(ctx, os.Args[1:])
	wrong := (*usageError)(nil)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errIncomplete): // the summary has said why
		return 1
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "quickstart: stopped by a signal before it had begun; run again")
		return 1
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "quickstart: %v; -h explains\n", err)
		return 2
	default:
		fmt.Fprintf(os.Stderr, "quickstart: %v\n", err)
		return 1
	}
}

func dispatch(ctx context.Context, args []string) error {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "receiver":
		return runReceiver(ctx, args[1:])
	case "sample":
		return writeSample(os.Stdout)
	default:
		return runShop(ctx, args)
	}
}

func runShop(ctx context.Context, args []string) error {
	var (
		s     settings
		flags = flag.NewFlagSet("quickstart", flag.ContinueOnError)
	)
	flags.StringVar(&s.input, "input", "", "`file` of commands; - is stdin (default: the sample)")
	flags.StringVar(&s.data, "data", "data", "`folder` of the journal and the receiver's log; it is made if there is none")
	flags.StringVar(&s.url, "url", "", "publish to this `URL`, instead of to a receiver that is started here")
	flags.DurationVar(&s.drain, "drain", 10*time.Second, "how long to wait for what is in flight, at the end")
	flags.BoolVar(&s.reset, "reset", false, "begin anew: remove what earlier runs left in the data folder")
	if err := parseFlags(flags, args, usage); err != nil {
		return err
	}
	return run(ctx, s, os.Stdout, newConsole(os.Stderr))
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
