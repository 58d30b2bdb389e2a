package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// progress shows, again and again, how far a run has come.
type progress struct {
	client  *outbox.Client
	intake  *intake
	console *console
	cancel  context.CancelFunc
	done    chan struct{}
	// last is the last status that the outbox gave.
	last *outboxv1.Status
}

// startProgress shows the progress until stop is called.
func startProgress(client *outbox.Client, in *intake, console *console) *progress {
	ctx, cancel := context.WithCancel(context.Background())
	p := &progress{client: client, intake: in, console: console, cancel: cancel, done: make(chan struct{})}
	interval := 2 * time.Second
	if console.terminal {
		interval = 200 * time.Millisecond
	}
	go func() {
		defer close(p.done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.look(ctx)
				p.console.show(p.line())
			case <-ctx.Done():
				return
			}
		}
	}()
	return p
}

// stop returns the status of the outbox as it is now or, if it does not answer, was last.
func (p *progress) stop(ctx context.Context) *outboxv1.Status {
	p.cancel()
	<-p.done
	p.console.show("")
	p.look(ctx)
	return p.last
}

func (p *progress) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if status, err := p.client.Status(ctx); err == nil {
		p.last = status
	}
}

func (p *progress) line() string {
	var b strings.Builder
	fmt.Fprintf(&b, "commands %s  persisted %s  published %s", humanize.Comma(p.intake.commands()),
		humanize.Comma(p.intake.persisted.Load()), humanize.Comma(p.last.GetPublishedSinceStart()))
	if n := p.last.GetHeldCount(); n > 0 {
		fmt.Fprintf(&b, "  held %s", humanize.Comma(n))
	}
	if n := p.last.GetParkedCount(); n > 0 {
		fmt.Fprintf(&b, "  parked %s", humanize.Comma(n))
	}
	if p.last.GetState() == outboxv1.State_STATE_OUTAGE {
		fmt.Fprintf(&b, "  waiting: %s", p.last.GetReason())
	}
	return b.String()
}
