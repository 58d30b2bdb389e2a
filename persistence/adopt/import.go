package adopt

import (
	"context"
	"errors"
	"fmt"
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
	// Failed are the ids that are not, or not wholly, in the target.
	Failed []Problem
}

// Import copies the events and the newest actors' snapshot of every persistence id to another journal. Sequence numbers are
// kept, also those of streams whose first events were deleted. An event's uid is the same that an outbox over [Wrap] has
// published it with; what a provider does not have, tags and metadata, stays empty, and times are those of [WithTime] or of
// the import.
//
// Nobody may write to the provider meanwhile, nor to the target. Import is safe to repeat, after a failure in the middle or
// for what was written since: what is there is compared and passed over. It does not change the provider. An id that fails
// does not keep it from going on with the others; the error then says how many have failed, and the report which ones and why.
func Import(ctx context.Context, from persistence.Provider, ids IDs, to Target, opts ...Option) (Report, error) {
	j, err := Wrap(from, ids, opts...)
	if err != nil {
		return Report{}, err
	}
	defer j.Close()
	if to == nil {
		return Report{}, errors.New("adopt.Import: the target is nil")
	}
	all, err := j.list(ctx)
	if err != nil {
		return Report{}, wrap("import", err)
	}
	var r Report
	seen := make(map[string]bool, len(all))
	for _, id := range all {
		if seen[id] || reserved(id) {
			continue
		}
		seen[id] = true
		if err := j.importID(ctx, id, to, &r); err != nil {
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

func (j *Journal) importID(ctx context.Context, id string, to Target, r *Report) error {
	if err := checkID(id); err != nil {
		return err
	}
	events, snapshot, err := j.everything(ctx, id)
	switch {
	case err != nil:
		return err
	case len(events) == 0 && snapshot.Index > 0:
		return ErrNoEvents
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
		if err := to.SaveActorSnapshot(ctx, id, snapshot); err != nil {
			return err
		}
		r.Snapshots++
	}
	r.IDs++
	r.Events += len(events)
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
