package adopt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/persistence"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// importPage is how much is imported at a time.
var importPage = query.Limits{Events: 256, Bytes: 1 << 20}

// ErrNoEvents says that all events of an id were deleted, so that nothing would tell the new journal where the numbering goes
// on. Have its actor persist one more event before the import.
var ErrNoEvents = errors.New("all its events were deleted")

// Target is a journal to move to, such as those of packages memory and sqlite.
type Target interface {
	query.Journal
	journal.Store
	journal.Importer
}

// Report is what an import has come to.
type Report struct {
	// IDs is how many persistence ids were found and are now in the target, Events how many events they have there, and
	// Snapshots how many of their actors' snapshots. All of them were compared.
	IDs, Events, Snapshots int
	// Unpublished is how many of the events an outbox over the provider had not recorded as published by then: held and parked
	// ones, those that it has not found yet, or all of them if there is no outbox. While it is not 0, an outbox over the target
	// that starts with what is written from then on would lose these.
	Unpublished int
	// Failed are the ids that are not, or not wholly, in the target.
	Failed []Problem
}

// Import copies the events and the newest actors' snapshot of every persistence id to another journal: of those that the
// application lists, and of those that outboxes have found besides. Sequence numbers are kept, also those of streams whose first events were deleted. An event's uid is the same that an outbox over [Wrap] has
// published it with; what a provider does not have, tags and metadata, stays empty, and times are those of [WithTime] or of
// the import.
//
// Nobody else may write to the target. While actors still write to the provider, give the [Journal] that they use in its
// place, without options: many providers must not be called for one id twice at a time. What is written meanwhile may be
// missing in the target. Import is safe to repeat, after a failure in the middle or for what was written since: what is there
// is compared and passed over. It does not change the provider. An id that fails does not keep it from going on with the others;
// the error then says how many have failed, and the report which ones and why. One whose events are not those that an outbox has
// found, under the same numbers, fails too.
func Import(ctx context.Context, from persistence.Provider, ids IDs, to Target, opts ...Option) (Report, error) {
	j, ok := from.(*Journal)
	switch {
	case to == nil:
		return Report{}, errors.New("adopt.Import: the target is nil")
	case ok && ids == nil:
		return Report{}, errors.New("adopt.Import: ids is nil")
	case ok && len(opts) > 0:
		return Report{}, errors.New("adopt.Import: options are for a provider, and this is a Journal, which has its own")
	case !ok:
		var err error
		if j, err = Wrap(from, ids, opts...); err != nil {
			return Report{}, err
		}
		defer j.Close()
	}
	all, err := listed(ctx, ids)
	if err != nil {
		return Report{}, wrap("import", err)
	}
	known, err := j.positions(ctx)
	if err != nil {
		return Report{}, wrap("import: read what outboxes have saved", err)
	}
	all = append(slices.Clip(all), known.ids()...)
	var r Report
	seen := make(map[string]bool, len(all))
	for _, id := range all {
		if seen[id] || reserved(id) {
			continue
		}
		seen[id] = true
		if err := j.importID(ctx, id, known, to, &r); err != nil {
			if ctx.Err() != nil {
				return r, wrap("import", ctx.Err())
			}
			r.Failed = append(r.Failed, Problem{PersistenceID: id, Since: time.Now(), Err: err})
		}
	}
	if n := len(r.Failed); n > 0 {
		return r, fmt.Errorf("adopted provider: import: %d of %d ids are not in the target, such as %q: %w",
			n, n+r.IDs, r.Failed[0].PersistenceID, r.Failed[0].Err)
	}
	return r, nil
}

func (j *Journal) importID(ctx context.Context, id string, known positions, to Target, r *Report) error {
	if err := checkID(id); err != nil {
		return err
	}
	events, snapshot, err := j.everything(ctx, id)
	switch {
	case err != nil:
		return err
	case len(events) == 0 && snapshot.Index > 0:
		return ErrNoEvents
	case known.check(id, events) != nil:
		return known.check(id, events)
	case len(events) == 0 && snapshot.Type == "":
		return nil
	}
	for rest := events; len(rest) > 0; {
		page := within(rest, importPage)
		if err := to.ImportEvents(ctx, page); err != nil {
			return err
		}
		rest = rest[len(page):]
	}
	if err := compare(ctx, id, events, to); err != nil {
		return err
	}
	if snapshot.Type != "" {
		if err := importSnapshot(ctx, id, snapshot, to); err != nil {
			return err
		}
		r.Snapshots++
	}
	r.IDs++
	r.Events += len(events)
	r.Unpublished += known.unpublished(id, events)
	return nil
}

// everything reads all that the provider has of an id.
func (j *Journal) everything(ctx context.Context, id string) ([]query.Event, journal.ActorSnapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, j.callTimeout)
	defer cancel()
	snapshot, _, err := j.LoadActorSnapshot(ctx, id) // first: it must not cover more than the events
	if err != nil {
		return nil, snapshot, err
	}
	var events []query.Event
	err = j.call(ctx, id, func() error {
		n := j.look(id, known{})
		events = n.events
		return n.err
	})
	if err != nil {
		return nil, snapshot, err
	}
	return events, snapshot, nil
}

// importSnapshot stores a snapshot, and looks whether it is the one that the actor will recover from.
func importSnapshot(ctx context.Context, id string, s journal.ActorSnapshot, to Target) error {
	if err := to.SaveActorSnapshot(ctx, id, s); err != nil {
		return err
	}
	there, _, err := to.LoadActorSnapshot(ctx, id)
	if err != nil {
		return err
	}
	if there.Index != s.Index || there.Type != s.Type || !bytes.Equal(there.Data, s.Data) {
		return fmt.Errorf("%w: the target has another snapshot, at %d, and the provider's is at %d", journal.ErrSequenceConflict, there.Index, s.Index)
	}
	return nil
}

// compare reads back what was imported.
func compare(ctx context.Context, id string, events []query.Event, to Target) error {
	if len(events) == 0 {
		return nil
	}
	last, err := to.LastSequenceNumber(ctx, id)
	if err != nil {
		return err
	}
	if want := events[len(events)-1].SequenceNumber; last != want {
		return fmt.Errorf("%w: the target ends at sequence number %d, the provider at %d", journal.ErrSequenceConflict, last, want)
	}
	for more := true; more; {
		var page []query.Event
		if page, more, err = to.EventsByPersistenceID(ctx, id, events[0].SequenceNumber, importPage); err != nil {
			return err
		}
		for i := range page {
			if i == len(events) || page[i].SequenceNumber != events[i].SequenceNumber || page[i].UID != events[i].UID {
				return fmt.Errorf("%w: the target has another event %d", journal.ErrSequenceConflict, page[i].SequenceNumber)
			}
		}
		if events = events[len(page):]; len(events) == 0 {
			return nil
		}
		if len(page) == 0 {
			break
		}
	}
	return fmt.Errorf("%w: the target does not show event %d", journal.ErrEventsMissing, events[0].SequenceNumber)
}
