package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// command is one line of the input, and the message that an order actor takes. It is read only.
type command struct {
	// ID tells this command from all others of its order. An order carries out a command once, whenever and however
	// often it is sent.
	ID      string `json:"id"`
	Order   string `json:"order"`
	Command string `json:"command"` // place, add, pay, ship or cancel

	Customer    string `json:"customer,omitempty"`     // place
	Item        string `json:"item,omitempty"`         // add
	Quantity    int64  `json:"quantity,omitempty"`     // add; 1 if absent
	PriceCents  int64  `json:"price_cents,omitempty"`  // add
	AmountCents int64  `json:"amount_cents,omitempty"` // pay
	Carrier     string `json:"carrier,omitempty"`      // ship
	Reason      string `json:"reason,omitempty"`       // cancel
}

// The most that one line may add, so that no sum overflows.
const (
	maxQuantity   = 10_000
	maxPriceCents = 1_000_000_00
)

// parseCommand reads the text of a line. A command without an id gets one from its line number and its text, so that
// the same input gives the same ids at every run.
func parseCommand(line int, text []byte) (*command, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	c := &command{}
	if err := decoder.Decode(c); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the JSON object is cut off")
		}
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one JSON value")
	}
	if c.ID == "" {
		hash := fnv.New64a()
		hash.Write(text)
		c.ID = fmt.Sprintf("line-%d-%016x", line, hash.Sum64())
	}
	if c.Quantity == 0 {
		c.Quantity = 1
	}
	return c, c.check()
}

// check refuses what no order could make sense of, whatever its state; the rest is for the order to decide.
func (c *command) check() error {
	if c.Order == "" {
		return errors.New(`"order" is missing`)
	}
	if err := query.ValidateID(c.Order); err != nil {
		return fmt.Errorf(`"order": %w`, err)
	}
	switch c.Command {
	case "place", "pay", "ship", "cancel":
	case "add":
		switch {
		case c.Item == "":
			return errors.New(`add: "item" is missing`)
		case c.Quantity < 1 || c.Quantity > maxQuantity:
			return fmt.Errorf(`add: "quantity" is %d, it must be 1 to %d`, c.Quantity, maxQuantity)
		case c.PriceCents < 0 || c.PriceCents > maxPriceCents:
			return fmt.Errorf(`add: "price_cents" is %d, it must be 0 to %d`, c.PriceCents, maxPriceCents)
		}
	case "":
		return errors.New(`"command" is missing`)
	default:
		return fmt.Errorf(`"command" is %q, it must be place, add, pay, ship or cancel`, c.Command)
	}
	return nil
}
