package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// settings are the flags.
type settings struct {
	program           string // whose first argument may be "member"
	data, journal     string
	shards, customers int
	beat, calm        time.Duration
}

// memberNames are who there is.
var memberNames = []string{"Ada", "Ben", "Cleo"}

// errIncomplete says that not everything was received in order. The summary says what was not.
var errIncomplete = errors.New("incomplete")

// run plays the play, and prints its summary. An error other than errIncomplete means that it could not be played, or not be
// summed up.
func run(ctx context.Context, s settings, out io.Writer) (err error) {
	began := time.Now()
	defer context.AfterFunc(ctx, func() {
		fmt.Fprintln(os.Stderr, "stopping in good order; another signal ends it at once")
	})()
	unlock, err := lockFolder(s.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	place := s.journal
	if place == "" {
		place = filepath.Join(s.data, journalFile)
	}
	if err := makeStorage(ctx, place); err != nil {
		return err
	}
	// Each run has orders of its own, so that the journal may be used again.
	prefix := began.UTC().Format("20060102-150405.000-")
	got := newReceipts()
	world, err := openReceiver(ctx, orderID(prefix), got)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.close()) }()
	seats, err := newSeats(s.program, memberNames, memberSettings{Journal: place, Shards: s.shards, URL: world.url}, s.data)
	if err != nil {
		return err
	}
	if err := emptyLogs(seats); err != nil {
		return err
	}
	p := &play{out: out, began: began, calm: s.calm, seats: seats, receipts: got}
	from, err := headOf(ctx, place)
	if err != nil {
		return err
	}
	sum := &summary{play: p}
	p.customers = openShop(orderNames(prefix, s.customers, s.shards), s.beat, fronts(seats))
	if err := p.run(ctx); err != nil {
		sum.complain("it was not played to the end: %v", err)
	}
	p.end(sum)
	if err := sum.compare(context.WithoutCancel(ctx), place, from, orderID(prefix)); err != nil {
		return fmt.Errorf("compare the journal with what was received: %w", err)
	}
	sum.write(out)
	if len(sum.complaints) > 0 {
		return errIncomplete
	}
	return nil
}

func fronts(seats []*seat) (urls []string) {
	for _, s := range seats {
		urls = append(urls, s.front())
	}
	return urls
}

// end has the customers go, everything be received, and the members leave.
func (p *play) end(sum *summary) {
	p.say("the customers go")
	if err := p.customers.close(); err != nil {
		sum.complain("%v", err)
	}
	began := time.Now()
	for _, distinct := p.receipts.count(); distinct < p.customers.answered.Load() && time.Since(began) < patience; _, distinct = p.receipts.count() {
		time.Sleep(20 * time.Millisecond)
	}
	p.say("%.1f s later, what they were confirmed was received; the members leave", time.Since(began).Seconds())
	seated := p.seated()
	for _, s := range seated {
		if err := s.askToLeave(); err != nil {
			sum.complain("%v", err)
		}
	}
	for _, s := range seated {
		if err := s.left(); err != nil {
			sum.complain("%v", err)
		}
	}
	p.note("end")
}
