package postgres

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// listenTimes are how long the listener waits for what.
type listenTimes struct {
	// connect bounds the making of a connection, everything included until it listens.
	connect time.Duration
	// quiet is how long after a NOTIFY of our own it must have come back.
	quiet time.Duration
	// check is how often a connection is looked at, whether it still leads to the journal's server.
	check time.Duration
	// After a connection has ended, the next one is tried after firstRetry, then twice as long, up to lastRetry.
	firstRetry, lastRetry time.Duration
	// linger is how long the connection outlives the last subscriber. An outbox that restarts gets it back.
	linger time.Duration
}

func defaultListenTimes() listenTimes {
	return listenTimes{
		connect: 30 * time.Second, quiet: 5 * time.Second, check: 30 * time.Second,
		firstRetry: 100 * time.Millisecond, lastRetry: 30 * time.Second, linger: time.Second,
	}
}

// Subscribe implements query.Notifier. fn is called after each append through this Journal, after those of other processes, which
// LISTEN and NOTIFY tell of, and again and again while a reader waits at a gap. It is called once more when a connection begins
// to listen, for what was missed without one. Transactions of the application, and programs that append by themselves, are noticed
// only if they call [Journal.Notify]. [Journal.Waking] says whether it works. fn must neither block nor call cancel.
//
// While there are subscribers, one connection listens. It is not one of the pool's, but made as the pool makes them: with its
// BeforeConnect, AfterConnect and BeforeClose, and for its MaxConnLifetime.
func (j *Journal) Subscribe(fn func()) (cancel func()) {
	remove := j.subscribers.Add(fn)
	leave := j.listener.join(j.listenTimes.linger, j.listen)
	return func() {
		remove()
		leave()
	}
}

// listener has the goroutine that listens, as long as there are subscribers. Its zero value has none.
type listener struct {
	mu          sync.Mutex
	subscribers int
	stop        context.CancelFunc // of the goroutine; nil: there is none
	lingering   *time.Timer        // ends it
	closed      bool
	goroutines  sync.WaitGroup // the last one, and those that are about to end
	state       Waking         // less NotifyErr
}

// join counts a subscriber, and has listen run in a goroutine if none does.
func (l *listener) join(linger time.Duration, listen func(context.Context)) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subscribers++
	if l.lingering != nil {
		l.lingering.Stop()
		l.lingering = nil
	}
	if l.stop == nil && !l.closed {
		ctx, cancel := context.WithCancel(context.Background())
		l.stop = cancel
		l.state = Waking{Since: time.Now()}
		l.goroutines.Go(func() { listen(ctx) })
	}
	return sync.OnceFunc(func() { l.leave(linger) })
}

func (l *listener) leave(linger time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subscribers--
	if l.subscribers == 0 && l.stop != nil {
		l.lingering = time.AfterFunc(linger, l.endIfAlone)
	}
}

// endIfAlone may be called by a timer that was stopped too late.
func (l *listener) endIfAlone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.subscribers == 0 {
		l.end()
	}
}

// end is called with the lock held.
func (l *listener) end() {
	if l.stop == nil {
		return
	}
	l.stop()
	l.stop = nil
	l.state = Waking{Since: time.Now()}
}

// close ends the goroutine, and waits for it.
func (l *listener) close() {
	l.mu.Lock()
	l.closed = true
	if l.lingering != nil {
		l.lingering.Stop()
	}
	l.end()
	l.mu.Unlock()
	l.goroutines.Wait()
}

// report notes how the goroutine is doing whose context is ctx, unless it was told to end.
func (l *listener) report(ctx context.Context, listening bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if listening != l.state.Listening {
		l.state.Listening, l.state.Since = listening, time.Now()
	}
	l.state.ListenErr = err
}

func (l *listener) waking() Waking {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// listen has a connection listen, and another one when that ends, until ctx ends.
func (j *Journal) listen(ctx context.Context) {
	t := j.listenTimes
	wait := t.firstRetry
	for {
		began := time.Now()
		heard, err := j.listenOnce(ctx)
		if err == nil {
			continue // its time was over
		}
		j.listener.report(ctx, false, err)
		// One that works and is ended at once, every time, is no better than one that does not work.
		if heard && time.Since(began) > wait {
			wait = t.firstRetry
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, t.lastRetry)
	}
}
