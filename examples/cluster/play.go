package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// play is what is shown: members that come and go, while customers send commands and a receiver watches.
type play struct {
	out       io.Writer
	began     time.Time
	calm      time.Duration // after each act
	seats     []*seat
	customers *customers
	receipts  *receipts
	acts      []act
}

// act is what happened in one of them.
type act struct {
	name     string
	answered int64
	receipts receiptCounts
	pause    time.Duration
}

// patience is how long anything may take.
const patience = 20 * time.Second

// say tells what happens, and when.
func (p *play) say(format string, args ...any) {
	fmt.Fprintf(p.out, "%5.1f s  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// run plays it.
func (p *play) run(ctx context.Context) error {
	for _, do := range []func(context.Context) (string, error){p.start, p.kill, p.leave, p.join} {
		name, err := do(ctx)
		if err != nil {
			return err
		}
		if !pause(ctx, p.calm) {
			return context.Cause(ctx)
		}
		p.note(name)
	}
	return nil
}

// note ends an act.
func (p *play) note(name string) {
	counts, _ := p.receipts.count()
	p.acts = append(p.acts, act{name, p.customers.answered.Load(), counts, p.receipts.longestPause()})
}

func (p *play) start(ctx context.Context) (string, error) {
	for _, s := range p.seats {
		if err := s.sit(); err != nil {
			return "", err
		}
		p.say("%s starts (process %d, log %s)", s.name, s.pid(), s.log)
	}
	view, err := p.settled(ctx)
	if err != nil {
		return "", err
	}
	p.say("every shard has an owner and publishes")
	p.show(view)
	p.receipts.longestPause() // until now nothing could be sent
	return "start", nil
}

func (p *play) kill(ctx context.Context) (string, error) {
	view, err := p.settled(ctx)
	if err != nil {
		return "", err
	}
	victim, owned := p.busiest(view)
	before, _ := p.receipts.count()
	p.say("kill -9 %s (process %d), the owner of %s", victim.name, victim.pid(), listed(owned))
	at := time.Now()
	if err := victim.kill(); err != nil {
		return "", err
	}
	if err := p.takenOver(ctx, owned, func(now shardReceipts) string {
		return fmt.Sprintf("%.1f s after the kill", now.first.Sub(at).Seconds())
	}); err != nil {
		return "", err
	}
	return "kill -9 " + victim.name, p.afterwards(ctx, before, "they had been published, and that was not saved yet")
}

func (p *play) leave(ctx context.Context) (string, error) {
	view, err := p.settled(ctx)
	if err != nil {
		return "", err
	}
	leaver, owned := p.busiest(view)
	before, _ := p.receipts.count()
	p.say("%s is asked to leave: it publishes and saves what it has begun of %s, and gives them up", leaver.name, listed(owned))
	if err := leaver.askToLeave(); err != nil {
		return "", err
	}
	left := make(chan error, 1)
	go func() { left <- leaver.left() }()
	err = p.takenOver(ctx, owned, func(now shardReceipts) string {
		return fmt.Sprintf("after a pause of %.1f s", now.first.Sub(now.before).Seconds())
	})
	if err := errors.Join(err, <-left); err != nil {
		return "", err
	}
	return leaver.name + " leaves", p.afterwards(ctx, before, "a member that leaves saves before")
}

func (p *play) join(ctx context.Context) (string, error) {
	before, _ := p.receipts.count()
	var names []string
	for _, s := range p.seats {
		if s.taken() {
			continue
		}
		if err := s.sit(); err != nil {
			return "", err
		}
		names = append(names, s.name)
		p.say("%s starts again (process %d)", s.name, s.pid())
	}
	return strings.Join(names, " and ") + " again", p.afterwards(ctx, before, "what moves to another owner may come again")
}

// afterwards waits until all is quiet again, and says what came twice.
func (p *play) afterwards(ctx context.Context, before receiptCounts, why string) error {
	view, err := p.settled(ctx)
	if err != nil {
		return err
	}
	now, _ := p.receipts.count()
	p.say("every shard has an owner and publishes; %d events came twice (%s)", now.duplicates-before.duplicates, why)
	p.show(view)
	return nil
}

// takenOver says of each shard when its next owner publishes.
func (p *play) takenOver(ctx context.Context, owned []shardRow, when func(shardReceipts) string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for len(owned) > 0 {
		var waiting []shardRow
		for _, row := range owned {
			if now := p.receipts.of(row.Name); now.epoch > row.Epoch {
				p.say("%s publishes again, %s: epoch %d, after %d", row.Name, when(now), now.epoch, row.Epoch)
			} else {
				waiting = append(waiting, row)
			}
		}
		owned = waiting
		if len(owned) > 0 && !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("nobody publishes %s any more: %w", listed(owned), context.Cause(ctx))
		}
	}
	return nil
}
