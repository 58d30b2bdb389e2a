package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"golang.org/x/sync/errgroup"
)

const (
	// intakeWindow is how many commands may be unanswered.
	intakeWindow = 512
	// answerTimeout is longer than the journal retries what fails.
	answerTimeout = time.Minute
)

// intake sends commands to the shop and counts the answers. It keeps no record of how far it has come: after a kill,
// all commands are sent again, and each order knows which ones it has had.
type intake struct {
	root *actor.RootContext
	shop *actor.PID
	// report is told of every line that is no command.
	report io.Writer

	persisted, refused, hadBefore, malformed atomic.Int64
}

// run sends all commands, those of one order in their order, and returns when all are answered. When ctx ends, it
// sends no more and waits for the answers of those that it has sent.
func (in *intake) run(ctx context.Context, commands iter.Seq2[*command, error]) error {
	answers, ctx := errgroup.WithContext(ctx)
	answers.SetLimit(intakeWindow)
	sent := in.send(ctx, commands, answers)
	if err := answers.Wait(); err != nil {
		return err // it is why no more were sent
	}
	return sent
}

func (in *intake) send(ctx context.Context, commands iter.Seq2[*command, error], answers *errgroup.Group) error {
	lines := read(ctx, commands)
	for {
		var l line
		select {
		case next, more := <-lines:
			if !more {
				return nil
			}
			l = next
		case <-ctx.Done():
			return ctx.Err()
		}
		malformed := (*lineError)(nil)
		switch {
		case l.err == nil:
			answer := in.root.RequestFuture(in.shop, l.command, answerTimeout)
			answers.Go(func() error { return in.count(l.command, answer) })
		case errors.As(l.err, &malformed):
			in.malformed.Add(1)
			fmt.Fprintf(in.report, "input %v: passed over\n", malformed)
		default:
			return fmt.Errorf("the input: %w", l.err)
		}
	}
}

// line is a line of the input: a command, or what is wrong with it.
type line struct {
	command *command
	err     error
}

// read hands on the lines, and closes the channel after the last. It reads in a goroutine of its own, because nothing
// ends a read of stdin: one that waits there when ctx ends is left behind.
func read(ctx context.Context, commands iter.Seq2[*command, error]) <-chan line {
	lines := make(chan line, 64)
	go func() {
		defer close(lines)
		for c, err := range commands {
			select {
			case lines <- line{c, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

func (in *intake) count(c *command, future *actor.Future) error {
	answer, err := future.Result()
	if err != nil {
		return fmt.Errorf("order %q did not answer command %q: %w; run again to go on", c.Order, c.ID, err)
	}
	switch answer {
	case hadBefore:
		in.hadBefore.Add(1)
	case refused:
		in.refused.Add(1)
		in.persisted.Add(1)
	case carriedOut:
		in.persisted.Add(1)
	default:
		return fmt.Errorf("order %q answered command %q: %v", c.Order, c.ID, answer)
	}
	return nil
}

// commands is the number of commands that were answered.
func (in *intake) commands() int64 { return in.persisted.Load() + in.hadBefore.Load() }
