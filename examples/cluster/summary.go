package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// summary is how a run ended.
type summary struct {
	play *play
	// orders and events are what the journal holds of this run; left is what of it was not received.
	orders, events, left int64
	complaints           []string
}

// complain records why the run's exit code is not 0.
func (s *summary) complain(format string, args ...any) {
	s.complaints = append(s.complaints, fmt.Sprintf(format, args...))
}

// headOf is how far the journal reaches.
func headOf(ctx context.Context, place string) (at query.Offset, err error) {
	err = reading(ctx, place, func(j query.Journal) error {
		head, err := j.Head(ctx)
		at = head.Offset
		return err
	})
	return at, err
}

// reading opens the journal for a while.
func reading(ctx context.Context, place string, read func(query.Journal) error) error {
	j, err := openStorage(ctx, place)
	if err != nil {
		return err
	}
	if err := read(j.outbox); err != nil {
		_ = j.close() // the first error says more
		return err
	}
	return j.close()
}

// compare holds what was received against what the journal has of this run's orders, whose ids begin with prefix. The members
// must have left.
func (s *summary) compare(ctx context.Context, place string, from query.Offset, prefix string) error {
	if err := reading(ctx, place, func(j query.Journal) error {
		for after, more := from, true; more; {
			page, err := j.Events(ctx, after, query.Filter{}, query.Limits{Events: 1000})
			if err != nil {
				return err
			}
			for _, e := range page.Events {
				if strings.HasPrefix(e.PersistenceID, prefix) {
					s.add(e)
				}
			}
			after, more = page.Next, page.More
		}
		return nil
	}); err != nil {
		return err
	}
	s.judge()
	return nil
}

func (s *summary) add(e query.Event) {
	s.events++
	if e.SequenceNumber == 1 {
		s.orders++
	}
	if !s.play.receipts.has(e.PersistenceID, e.SequenceNumber) {
		s.left++
	}
}

// judge complains of what must not be.
func (s *summary) judge() {
	counts, distinct := s.play.receipts.count()
	answered := s.play.customers.answered.Load()
	if s.left > 0 {
		s.complain("LOST: %s events were not received", humanize.Comma(s.left))
	}
	if unknown := distinct - (s.events - s.left); unknown != 0 {
		s.complain("%s events were received that the journal does not have", humanize.Comma(unknown))
	}
	if s.events != answered {
		s.complain("%s commands were confirmed, and the journal has %s events", humanize.Comma(answered), humanize.Comma(s.events))
	}
	if counts.outOfOrder > 0 {
		s.complain("%s events were received before one that precedes them", humanize.Comma(counts.outOfOrder))
	}
	if owner, n := s.play.receipts.mostRepeated(); n > maxUnsaved {
		s.complain("%d events of %s in epoch %d came again from later owners: more than %d", n, owner.shard, owner.epoch, maxUnsaved)
	}
}

func (s *summary) write(w io.Writer) {
	const columns = "%-20s%12s%12s%12s%14s%15s\n"
	fmt.Fprintf(w, "\n"+columns, "", "commands", "received", "twice", "out of order", "longest pause")
	row := func(name string, answered int64, c receiptCounts, pause time.Duration) {
		fmt.Fprintf(w, columns, name, humanize.Comma(answered), humanize.Comma(c.total), humanize.Comma(c.duplicates),
			humanize.Comma(c.outOfOrder), fmt.Sprintf("%.1f s", pause.Seconds()))
	}
	var (
		before act
		most   time.Duration
	)
	for _, a := range s.play.acts {
		row(a.name, a.answered-before.answered, receiptCounts{
			total:      a.receipts.total - before.receipts.total,
			duplicates: a.receipts.duplicates - before.receipts.duplicates,
			outOfOrder: a.receipts.outOfOrder - before.receipts.outOfOrder,
		}, a.pause)
		before, most = a, max(most, a.pause)
	}
	counts, _ := s.play.receipts.count()
	row("in all", s.play.customers.answered.Load(), counts, most)
	if counts.late > 0 {
		fmt.Fprintf(w, "\n%s came from an owner when its successor had been heard of.\n", humanize.Comma(counts.late))
	}
	_, repeated := s.play.receipts.mostRepeated()
	fmt.Fprintf(w, "\nOf one owner's events, at most %d came again from the next one (the bound is %d).\n"+
		"%s times a customer had to ask again, mostly because nobody was there.\n",
		repeated, maxUnsaved, humanize.Comma(s.play.customers.again.Load()))
	for _, complaint := range s.complaints {
		fmt.Fprintln(w, complaint)
	}
	if len(s.complaints) == 0 {
		fmt.Fprintf(w, "All %s events of %s orders were received, in order, and none is lost. (%v)\n",
			humanize.Comma(s.events), humanize.Comma(s.orders), time.Since(s.play.began).Round(100*time.Millisecond))
	}
}
