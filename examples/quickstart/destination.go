package main

import (
	"fmt"
	"hash/fnv"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
)

// destination is where events are published to: a receiver of ours, whose receipts are known, or somebody's URL.
type destination struct {
	// outbox is the name of the outbox that publishes there: it remembers what this destination has had.
	outbox string
	hook   *webhook.Webhook

	// receiver is nil where it is not ours, and then there are no receipts.
	receiver *receiverProcess
	log      string
	// before is what was received in earlier runs.
	before receipts
}

func elsewhere(url string) (*destination, error) {
	hook, err := webhook.New(url)
	if err != nil {
		return nil, fmt.Errorf("-url: %w", err)
	}
	hash := fnv.New32a()
	hash.Write([]byte(url))
	return &destination{outbox: fmt.Sprintf("shop-%08x", hash.Sum32()), hook: hook}, nil
}

func ownReceiver(log string) (*destination, error) {
	before, err := readReceipts(log)
	if err != nil {
		return nil, fmt.Errorf("read what was received before: %w", err)
	}
	receiver, err := startReceiver(log)
	if err != nil {
		return nil, err
	}
	hook, err := webhook.New(receiver.url)
	if err != nil {
		return nil, err
	}
	return &destination{outbox: "shop", hook: hook, receiver: receiver, log: log, before: before}, nil
}

// gone is closed if the receiver is ours and cannot be kept running. Why, close tells.
func (d *destination) gone() <-chan struct{} {
	if d.receiver == nil {
		return nil
	}
	return d.receiver.done
}

// close ends the receiver, if it is ours. The outbox must have stopped.
func (d *destination) close() error {
	d.hook.Close()
	if d.receiver == nil {
		return nil
	}
	return d.receiver.stop()
}
