package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// settings are the flags.
type settings struct {
	input, data, url string
	drain            time.Duration
	reset            bool
}

// maxUnsaved is the number of events that one kill can cause to be received twice. Fewer means that offsets are saved
// more often.
const maxUnsaved = 512

// errIncomplete says that not everything was received in order. The summary says what was not.
var errIncomplete = errors.New("incomplete")

// run does one run and prints its summary to out. An error other than errIncomplete means that it could not begin, or
// not be summed up.
func run(ctx context.Context, s settings, out io.Writer, console *console) (err error) {
	began := time.Now()
	defer context.AfterFunc(ctx, func() {
		fmt.Fprintln(console, "stopping in good order; another signal ends it at once")
	})()
	input, err := openInput(s.input)
	if err != nil {
		return fmt.Errorf("open the input: %w", err)
	}
	defer input.Close()

	unlock, err := lockFolder(s.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if s.reset {
		if err := emptyFolder(s.data); err != nil {
			return err
		}
	}
	j, err := sqlite.Open(ctx, filepath.Join(s.data, journalFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()

	d, err := open(ctx, s, j)
	if err != nil {
		return err
	}
	sum, err := work(ctx, s, input, j, d, console)
	if err = errors.Join(err, d.close()); err != nil {
		return err
	}
	if err := sum.compare(context.WithoutCancel(ctx), j, d); err != nil {
		return fmt.Errorf("compare the journal with what was received: %w", err)
	}
	sum.took = time.Since(began)
	sum.write(out)
	if len(sum.complaints) > 0 {
		return errIncomplete
	}
	return nil
}

func open(ctx context.Context, s settings, j *sqlite.Journal) (*destination, error) {
	if s.url != "" {
		return elsewhere(s.url)
	}
	head, err := j.Head(ctx)
	if err != nil {
		return nil, err
	}
	return ownReceiver(filepath.Join(s.data, receiptFile(head.Identity)))
}

// work takes the commands and publishes the events, until all is done or ctx ends. What went wrong on the way is in
// the summary.
func work(ctx context.Context, s settings, input io.Reader, j *sqlite.Journal, d *destination, console *console) (*summary, error) {
	props, err := outbox.Props(d.outbox, j, publisher.Props(d.hook), outbox.WithMaxUnsaved(maxUnsaved))
	if err != nil {
		return nil, err
	}
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(console, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}))
	defer system.Shutdown()
	client := outbox.NewClient(system.Root, system.Root.Spawn(props))
	in := &intake{root: system.Root, shop: system.Root.Spawn(shopProps(j)), report: console}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if err := client.Wait(ctx); err != nil {
			cancel(fmt.Errorf("the outbox has stopped: %w", err))
		}
	}()
	go func() {
		select {
		case <-d.gone():
			cancel(errors.New("there is no receiver any more"))
		case <-ctx.Done():
		}
	}()

	progress := startProgress(client, in, console)
	sum := &summary{intake: in}
	if err := in.run(ctx, commands(input)); err != nil {
		sum.interrupted(ctx, err, "not all commands were taken")
	} else if err := client.Flush(ctx); err != nil {
		sum.interrupted(ctx, err, "not all events were published")
	}
	// The intake has ended, so that draining leaves nothing behind that was not known to be left.
	bound, done := context.WithTimeout(context.WithoutCancel(ctx), s.drain+5*time.Second)
	defer done()
	sum.status = progress.stop(bound)
	if err := client.Drain(bound, s.drain); err != nil {
		sum.complain("the outbox was not drained: %v", err)
	}
	if err := system.Root.PoisonFuture(in.shop).Wait(); err != nil {
		sum.complain("the order actors have not stopped: %v", err)
	}
	return sum, nil
}
