package journaltest_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// onAppend has something else done in place of an append; good is the good one.
func (f *faulty) onAppend(do func(ctx context.Context, e query.Event, good func(context.Context, query.Event) error) error) {
	good := f.append
	f.append = func(ctx context.Context, e query.Event) error { return do(ctx, e, good) }
}

type appendFunc = func(context.Context, query.Event) error

var brokenAppends = []broken{
	{name: "loses an event now and then", finds: []string{
		"append/keeps what many writers of many ids append at once", "tail/misses and reorders nothing while writers append",
		"several handles/keep what many writers append through each at once", "reopen/keeps everything that was acknowledged to many writers",
		"crash/keeps everything that was acknowledged to many writers", "several handles/miss and reorder nothing while writers append through each",
	}, says: "sequence number conflict", breaks: func(f *faulty) {
		var n atomic.Int64
		f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
			if n.Add(1)%30 == 29 {
				return nil
			}
			return good(ctx, e)
		})
	}},
	{name: "loses every second event", finds: []string{
		"append/numbers each id from 1", "append/goes on after a refusal", "append/is visible at once", "large event/stands between small ones",
		"reopen/goes on with sequence numbers and offsets", "crash/goes on with sequence numbers and offsets",
		"persistent actor/is what it was after being stopped and spawned again", "persistent actor/is what it was after a restart by its supervisor",
		"provider/keeps events under their indexes",
	}, says: "a/2", breaks: func(f *faulty) {
		f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
			if e.SequenceNumber%2 == 0 {
				return nil
			}
			return good(ctx, e)
		})
	}},
	{name: "swallows conflicts", finds: []string{
		"append/refuses a gap", "append/refuses a sequence number that is taken", "append/refuses sequence numbers below 1",
		"append/lets exactly one of several writers of an id win", "unknown commit/is a conflict if somebody else's event is there",
		"several handles/refuse each other's sequence numbers", "several handles/let exactly one of several writers of an id win",
		"provider/panics with what went wrong", "hidden events/still count",
	}, says: "sequence number conflict", breaks: func(f *faulty) {
		f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
			if err := good(ctx, e); !errors.Is(err, journal.ErrSequenceConflict) {
				return err
			}
			return nil
		})
	}},
	{name: "compares half of a uid", finds: []string{"unknown commit/is a conflict if somebody else's event is there"},
		says: "sequence number conflict", breaks: func(f *faulty) {
			f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				err := good(ctx, e)
				if stored, _, _ := f.byID(ctx, e.PersistenceID, e.SequenceNumber, query.Limits{Events: 1}); len(stored) == 1 &&
					slices.Equal(stored[0].UID[:8], e.UID[:8]) {
					return nil
				}
				return err
			})
		}},
	{name: "has no use for uids", finds: []string{
		"unknown commit/is settled by appending again", "unknown commit/is settled for everybody who appends the event at once",
		"unknown commit/is settled where others go on appending", "unknown commit/leaves what was stored first",
	}, says: "sequence number conflict", breaks: func(f *faulty) {
		f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
			last, err := f.last(ctx, e.PersistenceID)
			if err == nil && e.SequenceNumber <= last {
				return journal.ErrSequenceConflict
			}
			return good(ctx, e)
		})
	}},
	{name: "takes an event without a uid", finds: []string{"unknown commit/could not be settled without a uid, which is refused"},
		says: "an event without a uid could not be told", breaks: func(f *faulty) {
			f.append = func(ctx context.Context, e query.Event) error {
				if e.UID == [16]byte{} {
					e.UID[0] = 1
				}
				return f.memory.AppendEvent(ctx, e)
			}
		}},
	{name: "overwrites an event that is appended again", finds: []string{"unknown commit/leaves what was stored first"},
		says: "Not equal", breaks: func(f *faulty) {
			var newest sync.Map
			f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				newest.Store(e.ID(), e.Type)
				return good(ctx, e)
			})
			f.onReads(func(e *query.Event) {
				if typ, ok := newest.Load(e.ID()); ok {
					e.Type = typ.(string)
				}
			})
		}},
	{name: "keeps the caller's memory", finds: []string{"append/keeps nothing of the caller's memory"},
		says: "data", breaks: func(f *faulty) {
			var given sync.Map
			f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				given.Store(e.ID(), e)
				return good(ctx, e)
			})
			f.onReads(func(e *query.Event) {
				if g, ok := given.Load(e.ID()); ok {
					e.Data, e.Tags, e.Metadata = g.(query.Event).Data, g.(query.Event).Tags, g.(query.Event).Metadata
				}
			})
		}},
	{name: "makes nil of empty data", finds: []string{"round trip/keeps data exactly"}, says: "Data: ([]uint8) <nil>",
		breaks: func(f *faulty) {
			f.onReads(func(e *query.Event) {
				if len(e.Data) == 0 {
					e.Data = nil
				}
			})
		}},
	{name: "cuts types short", finds: []string{"round trip/keeps types"}, says: "Type: (string)", breaks: func(f *faulty) {
		f.onReads(func(e *query.Event) { e.Type = e.Type[:min(len(e.Type), 255)] })
	}},
	{name: "drops the content type", finds: []string{
		"round trip/keeps types", "persistent actor/writes events that say what they are", "unknown types/are read raw",
	}, says: "ContentType", breaks: func(f *faulty) { f.onReads(func(e *query.Event) { e.ContentType = "" }) }},
	{name: "drops metadata", finds: []string{"round trip/keeps metadata"}, says: "Metadata", breaks: func(f *faulty) {
		f.onReads(func(e *query.Event) { e.Metadata = nil })
	}},
	{name: "drops all but one tag", finds: []string{"round trip/keeps tags"}, says: "Tags", breaks: func(f *faulty) {
		f.onReads(func(e *query.Event) { e.Tags = e.Tags[:min(1, len(e.Tags))] })
	}},
	{name: "keeps tags in the order that they came in", finds: []string{"round trip/sorts tags and drops repetitions"},
		says: "Tags", breaks: func(f *faulty) {
			var given sync.Map
			f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
				given.Store(e.ID(), slices.Clone(e.Tags))
				return good(ctx, e)
			})
			f.onReads(func(e *query.Event) {
				if tags, ok := given.Load(e.ID()); ok {
					e.Tags = tags.([]string)
				}
			})
		}},
	{name: "makes an empty map of no metadata", finds: []string{"round trip/gives nil for no tags and no metadata"},
		says: "Metadata", breaks: func(f *faulty) {
			f.onReads(func(e *query.Event) {
				if e.Metadata == nil {
					e.Metadata = map[string]string{}
				}
			})
		}},
	{name: "replaces what is not UTF-8", finds: []string{
		"round trip/keeps text that is none exactly, or refuses it", "filter/that names no text is refused, or selects nothing",
	}, says: "\ufffd", breaks: func(f *faulty) {
		valid := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
		f.onAppend(func(ctx context.Context, e query.Event, good appendFunc) error {
			e.Type, e.ContentType = valid(e.Type), valid(e.ContentType)
			e.Tags = slices.Clone(e.Tags)
			for i := range e.Tags {
				e.Tags[i] = valid(e.Tags[i])
			}
			metadata := maps.Clone(e.Metadata)
			clear(metadata)
			for k, v := range e.Metadata {
				metadata[valid(k)] = valid(v)
			}
			e.Metadata = metadata
			return good(ctx, e)
		})
		f.onFilter(func(filter *query.Filter) {
			for _, list := range [][]string{filter.Types, filter.Tags} {
				for i := range list {
					list[i] = valid(list[i])
				}
			}
		})
	}},
	{name: "cuts large data short", finds: []string{"large event/of 1 MiB and more is kept exactly"},
		says: "bytes of data that are read by", breaks: func(f *faulty) {
			f.onReads(func(e *query.Event) { e.Data = e.Data[:min(len(e.Data), 1<<20)] })
		}},
	{name: "folds the case of ids", finds: []string{
		"persistence id/is not taken for a similar one", "persistence id/is not taken for a similar one where it has no events",
		"persistence id/hides the events of no similar one", "persistence id/has snapshots apart from those of similar ones",
		"ownership/of a key is not taken for that of a similar one",
	}, says: `"A"`, breaks: func(f *faulty) { f.onIDs(strings.ToLower) }},
	{name: "trims ids", finds: []string{
		"persistence id/is not taken for a similar one", "ownership/of a key is not taken for that of a similar one",
	}, says: `"a "`, breaks: func(f *faulty) { f.onIDs(func(id string) string { return strings.TrimRight(id, " ") }) }},
	{name: "hides the events of a similar id", finds: []string{"persistence id/hides the events of no similar one"},
		says: "replay of", breaks: func(f *faulty) {
			f.hide = func(ctx context.Context, id string, through int64) error {
				return errors.Join(f.memory.HideEvents(ctx, id, through), f.memory.HideEvents(ctx, strings.ToUpper(id), through))
			}
		}},
	{name: "knows four-byte characters as one", finds: []string{"persistence id/is not taken for a similar one"},
		says: "👎", breaks: func(f *faulty) { f.onIDs(func(id string) string { return strings.ReplaceAll(id, "👎", "👍") }) }},
	{name: "cuts ids short", finds: []string{
		"persistence id/is not taken for a similar one", "persistence id/that is invalid is refused everywhere",
		"ownership/of a key that is none is kept exactly, or refused",
	}, says: "1,025 bytes", breaks: func(f *faulty) { f.onIDs(func(id string) string { return id[:min(len(id), 255)] }) }},
	{name: "refuses long ids", finds: []string{"persistence id/of the greatest length is taken everywhere"}, says: "invalid persistence id",
		breaks: func(f *faulty) {
			f.onIDs(func(id string) string {
				if len(id) > 255 {
					return ""
				}
				return id
			})
		}},
	{name: "lists everything after what is no id", finds: []string{"persistence id/in a listing may be any text"},
		says: "after a text that is", breaks: func(f *faulty) {
			f.ids = func(ctx context.Context, after string, limit int) ([]string, error) {
				if query.ValidateID(after) != nil {
					after = ""
				}
				return f.memory.PersistenceIDs(ctx, after, limit)
			}
		}},
}
