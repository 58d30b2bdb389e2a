package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
)

const (
	// OutboxKey is where the worker's outbox keeps its offsets.
	OutboxKey  = "outbox/" + outboxName
	outboxName = "crash"

	// finishTimeout bounds the publishing of all that is left, drainTimeout a drain.
	finishTimeout = 2 * time.Minute
	drainTimeout  = 10 * time.Second

	// windowBytes is more than a window of that many events takes up.
	windowBytes = 32 << 20
)

// Work is a worker process: persistent actors, writers that have them persist events, and an outbox. It reports to out
// each acknowledged write and each place that it comes to. It returns when the job is finished, or with what kept it
// from going on.
func Work(ctx context.Context, job Job, out io.Writer) (err error) {
	r := newReporter(out, job)
	s, err := openStore(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	j := watched{s, r}
	hook, err := webhook.New(job.URL)
	if err != nil {
		return err
	}
	defer hook.Close()
	options := []outbox.Option{outbox.WithMaxUnsaved(job.MaxUnsaved)}
	if job.Window > 0 {
		options = append(options, outbox.WithWindow(job.Window, windowBytes))
	}
	props, err := outbox.Props(outboxName, j, publisher.Props(hook), options...)
	if err != nil {
		return err
	}
	system := actor.NewActorSystem()
	defer system.Shutdown()
	client := outbox.NewClient(system.Root, system.Root.Spawn(props))
	if job.Finish {
		return finish(ctx, client)
	}
	w, err := newWriting(system.Root, j, r)
	if err != nil {
		return err
	}
	return live(ctx, client, w)
}

// live writes and publishes until the worker is killed. It returns what went wrong.
func live(ctx context.Context, client *outbox.Client, w *writing) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	job := w.reporter.job
	go func() {
		if err := client.Wait(ctx); err != nil || job.DrainAfter == 0 {
			fail(errors.Join(errors.New("the outbox has stopped"), err))
		}
	}()
	writing, rest := context.WithCancel(ctx)
	defer rest()
	rested := w.start(writing, fail)
	select {
	case <-w.enough:
		if job.Rest {
			rest()
			<-rested
		}
		if job.Last {
			if err := w.last(ctx, client); err != nil {
				return err
			}
		}
		err := w.reporter.around(ctx, drains, 0, func() error { return client.Drain(ctx, drainTimeout) })
		if err != nil {
			return fmt.Errorf("drain: %w", err)
		}
		<-ctx.Done()
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// finish publishes what is left.
func finish(ctx context.Context, client *outbox.Client) error {
	ctx, cancel := context.WithTimeout(ctx, finishTimeout)
	defer cancel()
	if err := client.Flush(ctx); err != nil {
		status, statusErr := client.Status(context.WithoutCancel(ctx))
		return errors.Join(fmt.Errorf("flush: %w: %v", err, status), statusErr)
	}
	if err := client.Drain(ctx, drainTimeout); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}
