package journaltest

import (
	"context"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// operation is a call of a method that takes a context and returns an error.
type operation struct {
	name    string
	takesID bool // it refuses an invalid persistence id
	writes  bool
	call    func(context.Context) error
}

// operations are calls of all such methods that the journal has, on an id of which event 1 comes next.
func (s *subject) operations(id string) []operation {
	limits := query.Limits{Events: 10}
	ops := []operation{
		{"Events", false, false, func(ctx context.Context) error {
			_, err := s.Events(ctx, 0, query.Filter{}, limits)
			return err
		}},
		{"EventsByPersistenceID", true, false, func(ctx context.Context) error {
			_, _, err := s.EventsByPersistenceID(ctx, id, 1, limits)
			return err
		}},
		{"LastSequenceNumber", true, false, func(ctx context.Context) error {
			_, err := s.LastSequenceNumber(ctx, id)
			return err
		}},
		{"Head", false, false, func(ctx context.Context) error {
			_, err := s.Head(ctx)
			return err
		}},
		{"AppendEvent", true, true, func(ctx context.Context) error {
			return s.AppendEvent(ctx, newEvent(id, 1))
		}},
		{"Replay", true, false, func(ctx context.Context) error {
			return s.Replay(ctx, id, 1, 0, func(query.Event) error { return nil })
		}},
		{"HideEvents", true, true, func(ctx context.Context) error {
			return s.HideEvents(ctx, id, 1)
		}},
		{"LoadActorSnapshot", true, false, func(ctx context.Context) error {
			_, _, err := s.LoadActorSnapshot(ctx, id)
			return err
		}},
		{"SaveActorSnapshot", true, true, func(ctx context.Context) error {
			return s.SaveActorSnapshot(ctx, id, journal.ActorSnapshot{Index: 1, Type: "T"})
		}},
		{"DeleteActorSnapshots", true, true, func(ctx context.Context) error {
			return s.DeleteActorSnapshots(ctx, id, 1)
		}},
	}
	if snapshots, ok := s.Journal.(query.SnapshotStore); ok {
		ops = append(ops,
			operation{"Acquire", false, true, func(ctx context.Context) error {
				_, err := snapshots.Acquire(ctx, "outbox/x", 0, 0)
				return err
			}},
			operation{"Load", false, false, func(ctx context.Context) error {
				_, err := snapshots.Load(ctx, "outbox/x")
				return err
			}},
			operation{"Save", false, true, func(ctx context.Context) error {
				return snapshots.Save(ctx, "outbox/x", query.Saved{Epoch: 1, Index: 1})
			}},
			operation{"Unregister", false, true, func(ctx context.Context) error {
				return snapshots.Unregister(ctx, "outbox/x")
			}})
	}
	if t, ok := s.Journal.(journal.Trimmer); ok {
		ops = append(ops, operation{"Trim", false, true, func(ctx context.Context) error {
			_, err := t.Trim(ctx, journal.Retention{})
			return err
		}})
	}
	if lister, ok := s.Journal.(query.PersistenceIDs); ok {
		ops = append(ops, operation{"PersistenceIDs", false, false, func(ctx context.Context) error {
			_, err := lister.PersistenceIDs(ctx, "", 10)
			return err
		}})
	}
	if finder, ok := s.Journal.(query.TimeFinder); ok {
		ops = append(ops, operation{"OffsetAt", false, false, func(ctx context.Context) error {
			_, err := finder.OffsetAt(ctx, time.Time{})
			return err
		}})
	}
	if pinger, ok := s.Journal.(query.Pinger); ok {
		ops = append(ops, operation{"Ping", false, false, pinger.Ping})
	}
	return ops
}
