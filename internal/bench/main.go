package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// errMissed says that a must was not reached, which is a failure only if that was asked for.
var errMissed = errors.New("a must was missed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	only := flags.String("run", ".", "measure only the cases whose name matches this `regular expression`")
	scale := flags.Float64("scale", 1, "multiply the number of events and ids; bars are for 1")
	check := flags.Bool("check", false, "fail if a must is missed")
	folder := flags.String("dir", "", "keep files in a `folder` on the disk that is to be measured (default: the system's)")
	flags.Usage = func() {
		_, _ = fmt.Fprintln(out, "usage: bench [flags]")
		flags.PrintDefaults()
		for _, c := range cases {
			_, _ = fmt.Fprintf(out, "  %-16s %s\n", c.name, c.about)
		}
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if *scale <= 0 {
		return fmt.Errorf("-scale: %v is not positive", *scale)
	}
	dir, err := os.MkdirTemp(*folder, "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	b := newBench(out, dir, *scale)
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	b.line("machine", "cores", runtime.GOMAXPROCS(0), "go", runtime.Version(), "os", runtime.GOOS+"/"+runtime.GOARCH, "scale", *scale)
	for _, c := range cases {
		if !pattern.MatchString(c.name) {
			continue
		}
		begun := time.Now()
		err := b.measure(ctx, c)
		if errors.Is(err, errNoServer) && !requireServices() {
			b.skip(c.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		b.line("took", "case", c.name, "s", time.Since(begun).Seconds())
	}
	b.table()
	if missed := b.missed(); missed > 0 && *check {
		return fmt.Errorf("%w: %d of %d", errMissed, missed, len(b.claims))
	}
	return nil
}
