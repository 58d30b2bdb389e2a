package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

const (
	// More entities than writers, so that events of many are on their way; not so many that none waits for another.
	entities = 24
	writers  = 8

	// answerTimeout bounds one write where none may fail. Where one may, its writer waits for answerMargin more than the
	// append may take.
	answerTimeout = 30 * time.Second
	answerMargin  = 2 * time.Second
)

// writing is what the application does: its writers have entities persist events, as fast as they can.
type writing struct {
	root     *actor.RootContext
	entities []*actor.PID
	reporter *reporter

	// enough is closed when as many writes were acknowledged as a drain waits for.
	enough  chan struct{}
	mu      sync.Mutex
	missing int
}

func newWriting(root *actor.RootContext, store journal.Store, r *reporter) (*writing, error) {
	w := &writing{root: root, reporter: r, enough: make(chan struct{}), missing: r.job.DrainAfter}
	var options []journal.UsingOption
	if r.job.GiveUpAfter > 0 {
		options = append(options, journal.WithRetryFor(r.job.GiveUpAfter))
	}
	props := actor.PropsFromProducer(newEntity, actor.WithReceiverMiddleware(journal.Using(store, options...)))
	for i := range entities {
		pid, err := root.SpawnNamed(props, fmt.Sprintf("entity-%d", i))
		if err != nil {
			return nil, err
		}
		w.entities = append(w.entities, pid)
	}
	return w, nil
}

// start lets the writers write until ctx ends or one of them fails, which is told. rested is closed when all have
// stopped.
func (w *writing) start(ctx context.Context, failed func(error)) (rested <-chan struct{}) {
	var (
		running sync.WaitGroup
		done    = make(chan struct{})
	)
	for n := range writers {
		running.Go(func() {
			if err := w.write(ctx, fmt.Sprintf("%d.%d", w.reporter.job.Life, n)); err != nil {
				failed(err)
			}
		})
	}
	go func() {
		running.Wait()
		close(done)
	}()
	return done
}

// write has entities, at random, persist payloads that occur only once.
func (w *writing) write(ctx context.Context, name string) error {
	for n := 1; ctx.Err() == nil; n++ {
		switch _, err := w.persist(fmt.Sprintf("%s.%d", name, n)); {
		case errors.Is(err, actor.ErrTimeout) && w.reporter.job.GiveUpAfter > 0:
			if err := w.reporter.at(ctx, GivenUp, 0); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			w.count()
		}
	}
	return nil
}

// persist has some entity persist a payload, and reports the answer.
func (w *writing) persist(payload string) (Ack, error) {
	entity := w.entities[rand.IntN(len(w.entities))]
	timeout := answerTimeout
	if d := w.reporter.job.GiveUpAfter; d > 0 {
		timeout = d + answerMargin
	}
	answer, err := w.root.RequestFuture(entity, &persist{payload}, timeout).Result()
	if err != nil {
		return Ack{}, fmt.Errorf("write %s: %w", payload, err)
	}
	ack, ok := answer.(Ack)
	if !ok {
		return Ack{}, fmt.Errorf("write %s: the answer is %v", payload, answer)
	}
	return ack, w.reporter.report(Report{Ack: &ack})
}

// last writes one more event, and returns when it is published: saves that had begun before do not record it, so that
// the drain has to save. If the worker waits in another save first, a drain has to wait for that.
func (w *writing) last(ctx context.Context, client *outbox.Client) error {
	if err := w.reporter.at(ctx, LastWrite, 0); err != nil {
		return err
	}
	ack, err := w.persist(fmt.Sprintf("%d.last", w.reporter.job.Life))
	if err != nil {
		return err
	}
	published := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { published <- client.WaitPublished(ctx, ack.PersistenceID, ack.SequenceNumber) }()
	select {
	case err := <-published:
		return err
	case <-w.reporter.waiting:
		return nil
	}
}

func (w *writing) count() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.missing--; w.missing == 0 {
		close(w.enough)
	}
}
