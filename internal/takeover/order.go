package takeover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/shards"
)

// Command is what a member can be told to ask of all shards, wherever they are.
type Command string

// The commands are those of the shards' client.
const (
	Status Command = "status"
	Pause  Command = "pause"
	Resume Command = "resume"
	Flush  Command = "flush"
)

// answerWithin is how long the shards may take to do what a command says.
const answerWithin = 20 * time.Second

// Order is what a member is told, a line of JSON.
type Order struct {
	// Number is repeated by the answer.
	Number int
	Command
}

// Answer is what has come of an order.
type Answer struct {
	Number int
	// Error is empty if all shards did what was asked.
	Error string
	// Refused: a shard has refused the command.
	Refused bool
	// Shards have said how they are, in the order of their numbers.
	Shards []Shard
}

// Shard is what a shard has said of itself.
type Shard struct {
	Error            string
	Address          string
	Epoch            int64
	Paused           bool
	Window, InFlight int64
}

// obey carries out orders, one after the other, until they end.
func obey(ctx context.Context, c *shards.Client, orders io.Reader, r *reporter) {
	for decoder := json.NewDecoder(orders); ; {
		var o Order
		if decoder.Decode(&o) != nil {
			return // nobody gives any more
		}
		began := time.Now()
		answer := carryOut(ctx, c, o)
		if r.report(Report{What: Answered, Began: began, Ended: time.Now(), Answer: &answer}) != nil {
			return
		}
	}
}

func carryOut(ctx context.Context, c *shards.Client, o Order) Answer {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	answer := Answer{Number: o.Number}
	var err error
	switch o.Command {
	case Status:
		for _, a := range c.Status(ctx) {
			answer.Shards = append(answer.Shards, shardOf(a))
		}
	case Pause:
		err = c.Pause(ctx)
	case Resume:
		err = c.Resume(ctx)
	case Flush:
		err = c.Flush(ctx)
	default:
		err = fmt.Errorf("there is no command %q", o.Command)
	}
	if err != nil {
		answer.Error, answer.Refused = err.Error(), errors.Is(err, outbox.ErrUnauthorized)
	}
	return answer
}

func shardOf(a shards.Answer) Shard {
	if a.Err != nil {
		return Shard{Error: a.Err.Error()}
	}
	o := a.Shard.GetOutbox()
	return Shard{
		Address: a.Shard.GetAddress(), Epoch: o.GetEpoch(), Paused: o.GetPaused(), Window: o.GetWindow(), InFlight: o.GetInFlight(),
	}
}
