package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

const (
	// Few entities, so that events of one wait for each other.
	entities = 8
	writers  = 6

	// answerTimeout bounds one write, finishTimeout the publishing of all that is left.
	answerTimeout = 30 * time.Second
	finishTimeout = 2 * time.Minute
)

// Job is what a worker has to do.
type Job struct {
	// Journal is the path of the SQLite file.
	Journal string
	// URL is where the outbox publishes to.
	URL string
	// Life makes what this worker writes different from what others write.
	Life int
	// MaxUnsaved is the outbox's.
	MaxUnsaved int
	// Finish says to write nothing, publish what is left, and end; otherwise the worker writes until it is killed.
	Finish bool
}

// Ack is a write that was acknowledged to the application: from then on, it must not be lost.
type Ack struct {
	PersistenceID  string
	SequenceNumber int64
	Payload        string
}

func (a Ack) String() string {
	return fmt.Sprintf("%s %d %s", a.PersistenceID, a.SequenceNumber, a.Payload)
}

// ParseAck reads what String has written.
func ParseAck(line string) (Ack, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return Ack{}, fmt.Errorf("%q is no acknowledgement", line)
	}
	n, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return Ack{}, fmt.Errorf("%q is no acknowledgement: %w", line, err)
	}
	return Ack{PersistenceID: fields[0], SequenceNumber: n, Payload: fields[2]}, nil
}

// Work is a worker process: persistent actors, an outbox, and writers that write as fast as they can and print each
// acknowledged write to out, one line each, unbuffered. It returns when the job is finished, or with what kept it
// from going on.
func Work(ctx context.Context, job Job, out io.Writer) (err error) {
	j, err := sqlite.Open(ctx, job.Journal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	hook, err := webhook.New(job.URL)
	if err != nil {
		return err
	}
	defer hook.Close()
	props, err := outbox.Props("crash", j, publisher.Props(hook), outbox.WithMaxUnsaved(job.MaxUnsaved))
	if err != nil {
		return err
	}
	system := actor.NewActorSystem()
	defer system.Shutdown()
	client := outbox.NewClient(system.Root, system.Root.Spawn(props))
	if job.Finish {
		return finish(ctx, client)
	}

	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		cancel(fmt.Errorf("the outbox has stopped: %w", client.Wait(ctx)))
	}()
	entityProps := actor.PropsFromProducer(newEntity, actor.WithReceiverMiddleware(journal.Using(j)))
	pids := make([]*actor.PID, entities)
	for i := range pids {
		if pids[i], err = system.Root.SpawnNamed(entityProps, fmt.Sprintf("entity-%d", i)); err != nil {
			return err
		}
	}
	for w := range writers {
		go func() { cancel(write(ctx, system.Root, pids, fmt.Sprintf("%d.%d", job.Life, w), out)) }()
	}
	<-ctx.Done()
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
	if err := client.Drain(ctx, 10*time.Second); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

// write has entities, at random, persist payloads that occur only once.
func write(ctx context.Context, root *actor.RootContext, pids []*actor.PID, name string, out io.Writer) error {
	for n := 1; ctx.Err() == nil; n++ {
		payload := fmt.Sprintf("%s.%d", name, n)
		answer, err := root.RequestFuture(pids[rand.IntN(len(pids))], &persist{payload}, answerTimeout).Result()
		if err != nil {
			return fmt.Errorf("write %s: %w", payload, err)
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return ctx.Err()
}
