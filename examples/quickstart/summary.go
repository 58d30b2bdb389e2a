package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	shopv1 "github.com/protoactor-contrib/protoactor-outbox/examples/quickstart/shop/v1"
	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// summary is how a run ended.
type summary struct {
	intake *intake
	// status is the outbox's before it was drained.
	status *outboxv1.Status
	took   time.Duration

	// What the journal holds, of all runs.
	orders, events, refusals int64

	// before and after are the receipts, where the receiver is ours.
	ours          bool
	before, after receipts
	// left counts the journal's events that were never received or, where the receiver is not ours, that are not
	// saved as published.
	left int64

	complaints []string
	// early says that the run ended before everything was done, so that something may rightly be left.
	early bool
}

// complain records why the run's exit code is not 0.
func (s *summary) complain(format string, args ...any) {
	s.complaints = append(s.complaints, fmt.Sprintf(format, args...))
}

// interrupted complains of a run that ended early, and says how to go on.
func (s *summary) interrupted(ctx context.Context, err error, what string) {
	s.early = true
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, context.Canceled) {
		s.complain("stopped by a signal: %s; run again to go on", what)
		return
	}
	s.complain("%s: %v", what, err)
}

// compare reads the journal and holds against it what was received or, where the receiver is not ours, what the outbox
// has saved. The outbox must have stopped.
func (s *summary) compare(ctx context.Context, j *sqlite.Journal, d *destination) error {
	saved, err := j.Load(ctx, "outbox/"+d.outbox)
	if err != nil {
		return err
	}
	if s.ours = d.receiver != nil; s.ours {
		if s.after, err = readReceipts(d.log); err != nil {
			return err
		}
		s.before = d.before
	}
	isLeft := func(e *query.Event) bool {
		if s.ours {
			return !s.after.streams[e.PersistenceID].has(e.SequenceNumber)
		}
		return !published(&saved.Keep, e)
	}
	refusal := string((&shopv1.CommandRefused{}).ProtoReflect().Descriptor().FullName())
	for after, more := query.Offset(0), true; more; {
		page, err := j.Events(ctx, after, query.Filter{}, query.Limits{Events: 1000})
		if err != nil {
			return err
		}
		for i := range page.Events {
			e := &page.Events[i]
			s.events++
			if e.SequenceNumber == 1 {
				s.orders++
			}
			if e.Type == refusal {
				s.refusals++
			}
			if isLeft(e) {
				s.left++
			}
		}
		after, more = page.Next, page.More
	}
	s.judge()
	return nil
}

// published reports whether an outbox has saved that it need not publish the event any more.
func published(k *query.Keep, e *query.Event) bool {
	if next, held := k.Held[e.PersistenceID]; held {
		return e.SequenceNumber < next
	}
	return e.Offset <= k.Watermark || slices.Contains(k.Parked, query.Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber})
}

// judge complains of what must not be.
func (s *summary) judge() {
	switch {
	case s.left > 0 && s.early:
		s.complain("%s events are still to be published: run again", humanize.Comma(s.left))
	case s.left > 0 && s.ours:
		s.complain("LOST: %s events were not received", humanize.Comma(s.left))
	}
	if s.ours {
		if unknown := s.after.distinct() - (s.events - s.left); unknown > 0 {
			s.complain("%s events were received that the journal does not have", humanize.Comma(unknown))
		}
		if s.after.outOfOrder > 0 {
			s.complain("%s events were received before one that precedes them", humanize.Comma(s.after.outOfOrder))
		}
	}
	if n := s.status.GetHeldCount(); n > 0 {
		first := s.status.GetHeld()[0]
		s.complain("%s orders are held, such as %s: %s", humanize.Comma(n), first.GetPersistenceId(), first.GetError())
	}
	if n := s.status.GetParkedCount(); n > 0 {
		first := s.status.GetParked()[0]
		s.complain("%s events were given up on, such as %s/%d: %s", humanize.Comma(n),
			first.GetEvent().GetPersistenceId(), first.GetEvent().GetSequenceNumber(), first.GetReason())
	}
}

func (s *summary) write(w io.Writer) {
	const blank = int64(-1)
	row := func(name string, thisRun, inAll int64) {
		cell := func(n int64) string {
			if n == blank {
				return ""
			}
			return humanize.Comma(n)
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-22s%12s%12s", name, cell(thisRun), cell(inAll)), " "))
	}
	in := s.intake
	fmt.Fprintf(w, "%-22s%12s%12s\n", "", "this run", "in all")
	row("commands answered", in.commands(), blank)
	row("  had before", in.hadBefore.Load(), blank)
	row("lines passed over", in.malformed.Load(), blank)
	row("events persisted", in.persisted.Load(), s.events)
	row("  refusals", in.refused.Load(), s.refusals)
	row("events published", s.status.GetPublishedSinceStart(), s.status.GetPublished())
	if s.ours {
		row("events received", s.after.total-s.before.total, s.after.total)
		row("  duplicates", s.after.duplicates-s.before.duplicates, s.after.duplicates)
		row("  out of order", s.after.outOfOrder-s.before.outOfOrder, s.after.outOfOrder)
	}
	row("orders held", blank, s.status.GetHeldCount())
	row("events parked", blank, s.status.GetParkedCount())
	fmt.Fprintln(w)
	for _, complaint := range s.complaints {
		fmt.Fprintln(w, complaint)
	}
	if len(s.complaints) == 0 {
		fmt.Fprintln(w, s.praise())
	}
}

// praise is the last line of a run that has nothing to complain of.
func (s *summary) praise() string {
	events := fmt.Sprintf("%s events of %s orders", humanize.Comma(s.events), humanize.Comma(s.orders))
	took := s.took.Round(10 * time.Millisecond)
	switch nothing := s.intake.persisted.Load() == 0 && s.status.GetPublishedSinceStart() == 0; {
	case nothing && s.ours:
		return fmt.Sprintf("Everything was done already: all %s are persisted and were received, in order. (%v)", events, took)
	case nothing:
		return fmt.Sprintf("Everything was done already: all %s are persisted and were published. (%v)", events, took)
	case s.ours:
		return fmt.Sprintf("All %s were received, in order, and none is lost. (%v)", events, took)
	default:
		return fmt.Sprintf("All %s were published. (%v)", events, took)
	}
}
