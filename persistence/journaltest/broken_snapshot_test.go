package journaltest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var brokenSnapshots = slices.Concat(brokenActorSnapshots, brokenFences, brokenTakeovers, brokenSaves)

var brokenActorSnapshots = []broken{
	{name: "finds a snapshot of every actor", finds: []string{"actor snapshots/may be missing"}, says: "Should be false", breaks: func(f *faulty) {
		f.loadActor = func(ctx context.Context, id string) (journal.ActorSnapshot, bool, error) {
			s, _, err := f.memory.LoadActorSnapshot(ctx, id)
			return s, err == nil, err
		}
	}},
	{name: "cuts snapshots short", finds: []string{"actor snapshots/are kept exactly"}, says: "Not equal", breaks: func(f *faulty) {
		f.saveActor = func(ctx context.Context, id string, s journal.ActorSnapshot) error {
			s.Data = s.Data[:min(len(s.Data), 65_535)]
			return f.memory.SaveActorSnapshot(ctx, id, s)
		}
	}},
	{name: "loads the snapshot that was saved last", finds: []string{"actor snapshots/give the one with the greatest index"}, says: "Index",
		breaks: func(f *faulty) {
			f.saveActor = func(ctx context.Context, id string, s journal.ActorSnapshot) error {
				return errors.Join(f.memory.DeleteActorSnapshots(ctx, id, 1<<40), f.memory.SaveActorSnapshot(ctx, id, s))
			}
		}},
	{name: "refuses to save a snapshot again", finds: []string{"actor snapshots/replace one with the same index"}, says: "there is one",
		breaks: func(f *faulty) {
			f.saveActor = func(ctx context.Context, id string, s journal.ActorSnapshot) error {
				if old, ok, _ := f.memory.LoadActorSnapshot(ctx, id); ok && old.Index == s.Index {
					return errors.New("there is one")
				}
				return f.memory.SaveActorSnapshot(ctx, id, s)
			}
		}},
	{name: "deletes no snapshots", finds: []string{
		"actor snapshots/are deleted through an index", "reopen/keeps snapshots of actors", "crash/keeps snapshots of actors",
		"persistence id/has snapshots apart from those of similar ones",
	}, says: "Should be false", breaks: func(f *faulty) { f.deleteActor = func(context.Context, string, int64) error { return nil } }},
	{name: "keeps the caller's memory of a snapshot", finds: []string{"actor snapshots/keep nothing of the caller's memory"}, says: "Data",
		breaks: func(f *faulty) {
			var given sync.Map
			f.saveActor = func(ctx context.Context, id string, s journal.ActorSnapshot) error {
				given.Store(id, s.Data)
				return f.memory.SaveActorSnapshot(ctx, id, s)
			}
			f.loadActor = func(ctx context.Context, id string) (journal.ActorSnapshot, bool, error) {
				s, ok, err := f.memory.LoadActorSnapshot(ctx, id)
				if data, found := given.Load(id); found {
					s.Data = data.([]byte)
				}
				return s, ok, err
			}
		}},
	{name: "puts snapshots into the feed", finds: []string{"actor snapshots/are no events"}, says: "Should be empty", breaks: func(f *faulty) {
		f.saveActor = func(ctx context.Context, id string, s journal.ActorSnapshot) error {
			e := query.Event{PersistenceID: id, SequenceNumber: 1, UID: [16]byte{1}, Type: s.Type}
			return errors.Join(f.memory.SaveActorSnapshot(ctx, id, s), f.memory.AppendEvent(ctx, e))
		}
	}},
	{name: "leaves out what it cannot decode", finds: []string{
		"unknown types/are read raw", "unknown types/are not replayed, nor what comes after them",
		"unknown types/fail an actor's recovery by a typed error", "unknown types/of a snapshot fail an actor's recovery by a typed error",
	}, says: "for the actor's supervisor, instead of: <nil>", breaks: func(f *faulty) {
		known := func(typ string) bool { return strings.HasPrefix(typ, "google.protobuf.") }
		f.onReplay(func(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
			return f.memory.Replay(ctx, id, from, to, func(e query.Event) error {
				if !known(e.Type) || e.ContentType != "application/protobuf" || len(e.Data) > 0 && e.Data[0] == 0xff {
					return nil
				}
				return fn(e)
			})
		})
		f.loadActor = func(ctx context.Context, id string) (journal.ActorSnapshot, bool, error) {
			s, ok, err := f.memory.LoadActorSnapshot(ctx, id)
			return s, ok && known(s.Type), err
		}
	}},
}

// brokenFences let somebody save, or own, who must not.
var brokenFences = []broken{
	{name: "registers a key that is only looked at", finds: []string{"outbox snapshots/do not exist for an unknown key"}, says: "Epoch",
		breaks: func(f *faulty) {
			f.load = func(ctx context.Context, key string) (query.Saved, error) {
				s, err := f.memory.Load(ctx, key)
				if err != nil || s.Epoch > 0 {
					return s, err
				}
				return f.memory.Acquire(ctx, key, 0, 0)
			}
		}},
	{name: "gives every owner the same epoch", finds: []string{
		"outbox snapshots/raise the epoch with every owner", "outbox snapshots/refuse an owner that lost ownership",
		"ownership/gives each of several new owners another epoch", "several handles/fence each other", "several handles/fence each other at the same moment, too",
	}, says: "expected: 2", breaks: func(f *faulty) {
		f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
			if s, err := f.memory.Load(ctx, key); err != nil || held == 0 && s.Epoch > 0 {
				return s, err
			}
			return f.memory.Acquire(ctx, key, held, seen)
		}
	}},
	{name: "hands nothing to the next owner", finds: []string{"outbox snapshots/are handed to the next owner", "ownership/that moves during a save hands it on, or fences it"},
		says: "Index", breaks: func(f *faulty) {
			f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
				s, err := f.memory.Acquire(ctx, key, held, seen)
				return query.Saved{Epoch: s.Epoch}, err
			}
		}},
	{name: "takes a proof for a takeover", finds: []string{
		"outbox snapshots/let an owner prove that it still is", "ownership/is not proven to one who takes over at the same time",
	}, says: "Epoch", breaks: func(f *faulty) {
		f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
			if held != 0 {
				seen = held
			}
			return f.memory.Acquire(ctx, key, 0, seen)
		}
	}},
	{name: "accepts a stale epoch", finds: []string{
		"outbox snapshots/refuse an owner that lost ownership", "outbox snapshots/refuse epochs that nobody was given", "outbox snapshots/are fenced before they are stale",
		"ownership/that ends during a save fences the next one", "ownership/has epochs and indexes of 64 bits",
		"reopen/keeps snapshots, indexes and epochs of outboxes", "crash/keeps snapshots, indexes and epochs of outboxes",
	}, says: "fenced: another owner has taken over", breaks: func(f *faulty) {
		f.save = func(ctx context.Context, key string, s query.Saved) error {
			if current, err := f.memory.Load(ctx, key); err == nil && current.Epoch > 0 {
				s.Epoch = current.Epoch
			}
			if err := f.memory.Save(ctx, key, s); !errors.Is(err, query.ErrFenced) {
				return err
			}
			return nil
		}
	}},
	{name: "looks at the index before the epoch", finds: []string{"outbox snapshots/are fenced before they are stale"}, says: "fenced",
		breaks: func(f *faulty) {
			f.save = func(ctx context.Context, key string, s query.Saved) error {
				if current, err := f.memory.Load(ctx, key); err == nil && current.Index > 0 && s.Index <= current.Index {
					return fmt.Errorf("%w: key %q", query.ErrStaleIndex, key)
				}
				return f.memory.Save(ctx, key, s)
			}
		}},
	{name: "accepts a stale index", finds: []string{"outbox snapshots/refuse an index that is not greater", "ownership/lets one of several saves of an index win"},
		says: "a snapshot with this or a greater index is already saved", breaks: func(f *faulty) {
			f.save = func(ctx context.Context, key string, s query.Saved) error {
				if err := f.memory.Save(ctx, key, s); !errors.Is(err, query.ErrStaleIndex) {
					return err
				}
				return nil
			}
		}},
	{name: "reads what is saved before it takes over", finds: []string{
		"ownership/that moves during a save hands it on, or fences it",
		"several handles/fence each other at the same moment, too",
	}, says: "Not equal", breaks: func(f *faulty) {
		f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
			s, err := f.memory.Load(ctx, key)
			if err != nil || held != 0 {
				return f.memory.Acquire(ctx, key, held, seen)
			}
			soon(func() bool {
				now, _ := f.memory.Load(ctx, key)
				return now.Epoch > s.Epoch || now.Index > s.Index
			})
			_, err = f.memory.Acquire(ctx, key, 0, seen)
			s.Epoch++
			return s, err
		}
	}},
	{name: "begins with epoch 1 after it was unregistered", finds: []string{"outbox snapshots/never give an epoch twice, not even after being unregistered"},
		says: "is not greater than", breaks: func(f *faulty) {
			lives := map[string]int{}
			f.onIDs(func(key string) string { return fmt.Sprint(key, "#", lives[key]) })
			f.unregister = func(_ context.Context, key string) error {
				lives[key]++
				return nil
			}
		}},
	{name: "does not unregister what it does not know", finds: []string{"outbox snapshots/may be unregistered when unknown"}, says: "no such key",
		breaks: func(f *faulty) {
			f.unregister = func(ctx context.Context, key string) error {
				if s, err := f.memory.Load(ctx, key); err == nil && s.Epoch == 0 {
					return errors.New("no such key")
				}
				return f.memory.Unregister(ctx, key)
			}
		}},
	{name: "loses outboxes with their actors", finds: []string{"outbox snapshots/are apart from those of actors"}, says: "outbox", breaks: func(f *faulty) {
		f.deleteActor = func(ctx context.Context, id string, through int64) error {
			return errors.Join(f.memory.DeleteActorSnapshots(ctx, id, through), f.memory.Unregister(ctx, id))
		}
	}},
}

// brokenTakeovers do not go by the epoch that was seen.
var brokenTakeovers = []broken{
	{name: "lets whoever comes take over", finds: []string{
		"outbox snapshots/are taken over only from the epoch that was seen", "ownership/goes to one of several that have seen the same epoch",
		"ownership/has epochs and indexes of 64 bits", "several handles/fence each other at the same moment, too",
	}, says: "taken over by somebody else meanwhile", breaks: func(f *faulty) {
		f.acquire = func(ctx context.Context, key string, held, _ int64) (query.Saved, error) {
			s, err := query.Saved{}, query.ErrTakenMeanwhile
			for errors.Is(err, query.ErrTakenMeanwhile) {
				if s, err = f.memory.Load(ctx, key); err == nil {
					s, err = f.memory.Acquire(ctx, key, held, s.Epoch)
				}
			}
			return s, err
		}
	}},
	{name: "compares the epoch that was seen before it takes over", finds: []string{
		"ownership/goes to one of several that have seen the same epoch", "several handles/fence each other at the same moment, too",
	}, says: "taken over by somebody else meanwhile", breaks: func(f *faulty) {
		f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
			s, err := f.memory.Load(ctx, key)
			if err != nil || held != 0 || s.Epoch != seen {
				return f.memory.Acquire(ctx, key, held, seen)
			}
			soon(func() bool {
				now, _ := f.memory.Load(ctx, key)
				return now.Epoch > seen
			})
			if s, err = f.memory.Load(ctx, key); err != nil {
				return s, err
			}
			return f.memory.Acquire(ctx, key, 0, s.Epoch)
		}
	}},
	{name: "takes an epoch from the future for the current one", finds: []string{"outbox snapshots/are taken over only from the epoch that was seen"},
		says: "taken over by somebody else meanwhile", breaks: func(f *faulty) {
			f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
				if s, err := f.memory.Load(ctx, key); err == nil && held == 0 {
					seen = min(seen, s.Epoch)
				}
				return f.memory.Acquire(ctx, key, held, seen)
			}
		}},
	{name: "takes epoch 0 for any", finds: []string{
		"outbox snapshots/are taken over only from the epoch that was seen",
	}, says: "taken over by somebody else meanwhile", breaks: func(f *faulty) {
		f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
			if s, err := f.memory.Load(ctx, key); err == nil && held == 0 && seen == 0 {
				seen = s.Epoch
			}
			return f.memory.Acquire(ctx, key, held, seen)
		}
	}},
	{name: "fences the owner when it refuses another", finds: []string{"outbox snapshots/are taken over only from the epoch that was seen"}, says: "Epoch",
		breaks: func(f *faulty) {
			f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
				s, err := f.memory.Acquire(ctx, key, held, seen)
				if errors.Is(err, query.ErrTakenMeanwhile) {
					_ = f.memory.Unregister(ctx, key)
				}
				return s, err
			}
		}},
	{name: "fences who has seen another epoch", finds: []string{"outbox snapshots/are taken over only from the epoch that was seen"},
		says: "taken over by somebody else meanwhile", breaks: func(f *faulty) {
			f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
				s, err := f.memory.Acquire(ctx, key, held, seen)
				if errors.Is(err, query.ErrTakenMeanwhile) {
					err = fmt.Errorf("%w: key %q", query.ErrFenced, key)
				}
				return s, err
			}
		}},
	{name: "demands of an owner that it has seen its epoch", finds: []string{
		"outbox snapshots/are proven whichever epoch was seen", "outbox snapshots/let an owner prove that it still is",
	}, says: "taken over by somebody else meanwhile", breaks: func(f *faulty) {
		f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
			if s, err := f.memory.Load(ctx, key); err == nil && held != 0 && s.Epoch != seen {
				return query.Saved{}, fmt.Errorf("%w: key %q", query.ErrTakenMeanwhile, key)
			}
			return f.memory.Acquire(ctx, key, held, seen)
		}
	}},
}

// onSaved has every way of reading a snapshot of an outbox change what it reads.
func (f *faulty) onSaved(change func(*query.Saved)) {
	load, acquire := f.load, f.acquire
	f.load = func(ctx context.Context, key string) (query.Saved, error) {
		s, err := load(ctx, key)
		change(&s)
		return s, err
	}
	f.acquire = func(ctx context.Context, key string, held, seen int64) (query.Saved, error) {
		s, err := acquire(ctx, key, held, seen)
		change(&s)
		return s, err
	}
}

// brokenSaves do not keep what is saved.
var brokenSaves = []broken{
	{name: "makes nil of an empty snapshot", finds: []string{"outbox snapshots/keep data exactly, and nothing of the caller's memory"}, says: "data 1, of 0 bytes, differ",
		breaks: func(f *faulty) {
			f.onSaved(func(s *query.Saved) {
				if len(s.Data) == 0 {
					s.Data = nil
				}
			})
		}},
	{name: "cuts snapshots of outboxes short", finds: []string{"outbox snapshots/keep data exactly, and nothing of the caller's memory"}, says: "of 1048576 bytes, differ",
		breaks: func(f *faulty) { f.onSaved(func(s *query.Saved) { s.Data = s.Data[:min(len(s.Data), 65_535)] }) }},
	{name: "gives its own snapshots away", finds: []string{"outbox snapshots/keep data exactly, and nothing of the caller's memory"}, says: "the journal's own memory",
		breaks: func(f *faulty) {
			var own sync.Map
			f.onSaved(func(s *query.Saved) {
				data, _ := own.LoadOrStore(s.Index, s.Data)
				s.Data = data.([]byte)
			})
		}},
	{name: "forgets what is parked", finds: []string{
		"outbox snapshots/take what is to be kept", "outbox snapshots/take what is to be kept of many ids, whatever they are called",
	}, says: "retention goes by it", breaks: func(f *faulty) { f.onSaved(func(s *query.Saved) { s.Keep.Parked = nil }) }},
	{name: "adds what is held to what was held", finds: []string{"outbox snapshots/take what is to be kept"}, says: "retention goes by it", breaks: func(f *faulty) {
		held := map[string]int64{}
		f.save = func(ctx context.Context, key string, s query.Saved) error {
			maps.Copy(held, s.Keep.Held)
			s.Keep.Held = held
			return f.memory.Save(ctx, key, s)
		}
	}},
	{name: "has room for a thousand held ids", finds: []string{"outbox snapshots/take what is to be kept of many ids, whatever they are called"}, says: "what is kept is too long",
		breaks: func(f *faulty) {
			f.save = func(ctx context.Context, key string, s query.Saved) error {
				if len(s.Keep.Held) > 1000 {
					return errors.New("what is kept is too long")
				}
				return f.memory.Save(ctx, key, s)
			}
		}},
	{name: "has indexes of 32 bits", finds: []string{"ownership/has epochs and indexes of 64 bits"}, says: "2147483648", breaks: func(f *faulty) {
		f.onSaved(func(s *query.Saved) { s.Index = int64(int32(s.Index)) }) //nolint:gosec // that is the mistake
	}},
}
