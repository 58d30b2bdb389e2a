package journal_test

// One subject: a Provider over a store, and what it does about each thing that a store can fail in.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/persistence"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var errDown = errors.New("the database is down")

func provide(store journal.Store, opts ...journal.ProviderOption) persistence.ProviderState {
	return journal.NewProvider(store, opts...).GetState()
}

// failure is the error that fn panics with.
func failure(t *testing.T, fn func()) (err *journal.Error) {
	t.Helper()
	defer func() {
		r := recover()
		require.IsType(t, err, r, "what it panics with")
		err = r.(*journal.Error)
	}()
	fn()
	return nil
}

func persistThree(p persistence.ProviderState) {
	for i, name := range []string{"one", "two", "three"} {
		p.PersistEvent("a", i, event(name))
	}
}

func replayed(p persistence.ProviderState, start, end int) []string {
	var names []string
	p.GetEvents("a", start, end, func(e any) { names = append(names, e.(*wrapperspb.StringValue).Value) })
	return names
}

func TestProviderStoresWhatWasPersisted(t *testing.T) {
	j := newJournal(t)
	p := provide(j)
	persistThree(p)

	events := stored(t, j, "a")
	require.Len(t, events, 3)
	uids := map[[16]byte]bool{}
	for i, e := range events {
		require.Equal(t, int64(i+1), e.SequenceNumber)
		require.Equal(t, "google.protobuf.StringValue", e.Type)
		require.Equal(t, "application/protobuf", e.ContentType)
		require.Nil(t, e.Tags)
		require.Nil(t, e.Metadata)
		uids[e.UID] = true
	}
	require.Len(t, uids, 3, "each has a UID of its own")
	var m wrapperspb.StringValue
	require.NoError(t, proto.Unmarshal(events[1].Data, &m))
	require.Equal(t, "two", m.Value)

	require.Equal(t, []string{"one", "two", "three"}, replayed(p, 0, 0))
	require.Equal(t, []string{"two", "three"}, replayed(p, 1, 0))
	require.Equal(t, []string{"one", "two"}, replayed(p, 0, 2))
	require.Empty(t, replayed(p, 3, 0))
}

func TestProviderReplaysInPages(t *testing.T) {
	t.Run("many events", func(t *testing.T) {
		p := provide(newJournal(t))
		const n = 600
		for i := range n {
			p.PersistEvent("a", i, event(fmt.Sprint(i)))
		}
		names := replayed(p, 0, 0)
		require.Len(t, names, n)
		for i, name := range names {
			require.Equal(t, fmt.Sprint(i), name)
		}
	})
	t.Run("large events", func(t *testing.T) {
		p := provide(newJournal(t))
		for i := range 3 {
			p.PersistEvent("a", i, event(strings.Repeat("x", 2<<20)))
		}
		require.Len(t, replayed(p, 0, 0), 3)
	})
	t.Run("the actor may persist meanwhile", func(t *testing.T) {
		p := provide(newJournal(t))
		persistThree(p)
		p.GetEvents("a", 0, 0, func(e any) { p.PersistEvent(e.(*wrapperspb.StringValue).Value, 0, e.(proto.Message)) })
	})
}

func TestProviderRefusesWhatCannotBeStored(t *testing.T) {
	for name, e := range map[string]proto.Message{
		"invalid UTF-8":     event("\xff"),
		"nil":               nil,
		"nil of a type":     (*wrapperspb.StringValue)(nil),
		"tagged nil":        journal.Tag(nil, "tag"),
		"required missing":  &descriptorpb.UninterpretedOption_NamePart{},
		"tag invalid UTF-8": journal.Tag(event("x"), "\xff"),
		"tag with NUL":      journal.Tag(event("x"), "a\x00b"),
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{Store: newJournal(t)}
			err := failure(t, func() { provide(f).PersistEvent("a", 4, e) })
			require.ErrorIs(t, err, journal.ErrNotEncodable)
			require.True(t, journal.IsFinal(err))
			require.Equal(t, "a", err.PersistenceID)
			require.Equal(t, int64(5), err.SequenceNumber)
			require.ErrorContains(t, err, `persist event 5 of "a"`)
			require.Zero(t, f.attemptsOf("append"), "nothing is written")
		})
	}
	t.Run("a snapshot", func(t *testing.T) {
		f := &faulty{Store: newJournal(t)}
		err := failure(t, func() { provide(f).PersistSnapshot("a", 4, event("\xff")) })
		require.ErrorIs(t, err, journal.ErrNotEncodable)
		require.Zero(t, f.attemptsOf("save"))
	})
}

func TestProviderRefusesInvalidIDs(t *testing.T) {
	for name, id := range map[string]string{
		"empty": "", "10 kB": strings.Repeat("x", 10_000), "NUL": "a\x00b", "invalid UTF-8": "a\xff",
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal(t)
			p := provide(j)
			for _, call := range []func(){
				func() { p.PersistEvent(id, 0, event("x")) },
				func() { p.GetEvents(id, 0, 0, func(any) {}) },
				func() { p.GetSnapshot(id) },
				func() { p.PersistSnapshot(id, 0, event("x")) },
				func() { p.DeleteSnapshots(id, 0) },
				func() { p.DeleteEvents(id, 0) },
			} {
				err := failure(t, call)
				require.ErrorIs(t, err, query.ErrInvalidID)
				require.True(t, journal.IsFinal(err))
				require.Less(t, len(err.Error()), 500, "the message is readable")
			}
			head, err := j.Head(t.Context())
			require.NoError(t, err)
			require.Zero(t, head.Offset)
		})
	}
}

func TestProviderRefusesAConflictAtOnce(t *testing.T) {
	f := &faulty{Store: newJournal(t)}
	p := provide(f)
	persistThree(p)
	f.fail(nil)
	for _, index := range []int{1, 2, 4} {
		err := failure(t, func() { p.PersistEvent("a", index, event("other")) })
		require.ErrorIs(t, err, journal.ErrSequenceConflict)
		require.True(t, journal.IsFinal(err))
		require.Equal(t, int64(index+1), err.SequenceNumber)
	}
	require.Equal(t, 3, f.attemptsOf("append"))
	require.Equal(t, []string{"one", "two", "three"}, replayed(p, 0, 0))
}

func TestProviderRefusesAClosedJournalAtOnce(t *testing.T) {
	j := memory.New()
	require.NoError(t, j.Close())
	err := failure(t, func() { provide(j).PersistEvent("a", 0, event("x")) })
	require.ErrorIs(t, err, query.ErrClosed)
	require.True(t, journal.IsFinal(err))
}

func TestProviderRetriesUntilTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faulty{Store: newJournal(t)}
		p := provide(f)
		p.PersistEvent("a", 0, event("one"))
		p.PersistSnapshot("a", 1, wrapperspb.Bytes([]byte("one")))

		start := time.Now()
		f.fail(func(string, int) error {
			if time.Since(start) < 25*time.Second {
				return errDown
			}
			return nil
		})
		p.PersistEvent("a", 1, event("two"))
		require.Less(t, time.Since(start), 27*time.Second, "it does not wait longer than it must")
		require.Less(t, f.attemptsOf("append"), 100, "nor hammers on a store that is down")

		for _, c := range []struct {
			op   string
			call func()
		}{
			{"replay", func() { require.Equal(t, []string{"one", "two"}, replayed(p, 0, 0)) }},
			{"load", func() { p.GetSnapshot("a") }},
			{"save", func() { p.PersistSnapshot("a", 1, wrapperspb.Bytes([]byte("one"))) }},
			{"hide", func() { p.DeleteEvents("a", 0) }},
			{"delete", func() { p.DeleteSnapshots("a", 0) }},
		} {
			f.fail(func(_ string, attempt int) error {
				if attempt < 4 {
					return errDown
				}
				return nil
			})
			c.call()
			require.Equal(t, 4, f.attemptsOf(c.op), c.op)
		}
	})
}

func TestProviderGivesUpAfterAWhile(t *testing.T) {
	for name, f := range map[string]*faulty{
		"a store that fails": {before: func(string, int) error { return errDown }},
		"a store that hangs": {hang: true},
	} {
		for _, limit := range []time.Duration{0, time.Second, time.Hour} {
			t.Run(fmt.Sprint(name, limit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := &faulty{Store: newJournal(t), before: f.before, hang: f.hang}
					var opts []journal.ProviderOption
					if limit > 0 {
						opts = append(opts, journal.WithRetryFor(limit))
					} else {
						limit = journal.DefaultRetryFor
					}
					p := provide(f, opts...)
					for op, call := range map[string]func(){
						"append": func() { p.PersistEvent("a", 6, event("x")) },
						"replay": func() { p.GetEvents("a", 0, 0, func(any) {}) },
						"load":   func() { p.GetSnapshot("a") },
						"save":   func() { p.PersistSnapshot("a", 1, event("x")) },
					} {
						start := time.Now()
						err := failure(t, call)
						require.False(t, journal.IsFinal(err), "time may heal it")
						require.ErrorContains(t, err, "given up after")
						require.Equal(t, "a", err.PersistenceID)
						require.LessOrEqual(t, time.Since(start), limit)
						require.GreaterOrEqual(t, time.Since(start), limit-2*time.Second, "it uses the time it has")
						require.Greater(t, f.attemptsOf(op), 2, op)
						if !f.hang {
							require.ErrorIs(t, err, errDown)
						}
					}
				})
			})
		}
	}
}

func TestProviderSettlesAnUnknownCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal(t)
		f := &faulty{Store: j, after: func(op string, attempt int) error {
			if attempt < 3 {
				return errDown // it has taken effect, but nobody heard of it
			}
			return nil
		}}
		provide(f).PersistEvent("a", 0, event("x"))
		require.Equal(t, 3, f.attemptsOf("append"))
		require.Len(t, stored(t, j, "a"), 1)
	})
}

// fragile is a store whose every other replay breaks in the middle.
type fragile struct {
	journal.Store
	replays int
}

func (f *fragile) Replay(ctx context.Context, id string, from, to int64, fn func(query.Event) error) error {
	f.replays++
	left := 100
	return f.Store.Replay(ctx, id, from, to, func(e query.Event) error {
		if left--; left < 0 && f.replays%2 == 1 {
			return errDown
		}
		return fn(e)
	})
}

func TestProviderGoesOnWithAReplayThatBroke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fragile{Store: newJournal(t)}
		p := provide(f)
		const n = 1000
		for i := range n {
			p.PersistEvent("a", i, event(fmt.Sprint(i)))
		}
		names := replayed(p, 0, 0)
		require.Greater(t, f.replays, 6)
		require.Len(t, names, n)
		for i, name := range names {
			require.Equal(t, fmt.Sprint(i), name)
		}
	})
}

func TestProviderDoesNotCountTheActorsTimeAgainstTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := provide(newJournal(t), journal.WithRetryFor(time.Second))
		for i := range 300 {
			p.PersistEvent("a", i, event("x"))
		}
		calls := 0
		p.GetEvents("a", 0, 0, func(any) {
			calls++
			<-time.After(time.Minute) // of the bubble's clock
		})
		require.Equal(t, 300, calls)
	})
}

func TestProviderRefusesToReplayWhatItCannotDecode(t *testing.T) {
	for name, change := range map[string]func(*query.Event){
		"unknown type": func(e *query.Event) { e.Type = "shop.v9.Unknown" },
		"broken data":  func(e *query.Event) { e.Data = []byte{0xff} },
		"not protobuf": func(e *query.Event) { e.ContentType = "application/json" },
		"no type":      func(e *query.Event) { e.Type = "" },
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal(t)
			e := query.Event{PersistenceID: "a", SequenceNumber: 1, UID: [16]byte{1}, Type: "google.protobuf.StringValue", ContentType: "application/protobuf"}
			change(&e)
			require.NoError(t, j.AppendEvent(t.Context(), e))
			f := &faulty{Store: j}
			err := failure(t, func() { provide(f).GetEvents("a", 0, 0, func(any) { t.Error("it was replayed") }) })
			require.ErrorIs(t, err, journal.ErrNotDecodable)
			require.True(t, journal.IsFinal(err))
			require.Equal(t, int64(1), err.SequenceNumber)
			require.Equal(t, 1, f.attemptsOf("replay"))
		})
	}
	t.Run("a snapshot", func(t *testing.T) {
		j := newJournal(t)
		require.NoError(t, j.SaveActorSnapshot(t.Context(), "a", journal.ActorSnapshot{Index: 1, Type: "shop.v9.Unknown"}))
		err := failure(t, func() { provide(j).GetSnapshot("a") })
		require.ErrorIs(t, err, journal.ErrNotDecodable)
		require.ErrorContains(t, err, "shop.v9.Unknown")
	})
}

func TestProviderRefusesToReplayOverAGap(t *testing.T) {
	j := newJournal(t)
	p := provide(j)
	persistThree(p)
	require.NoError(t, j.HideEvents(t.Context(), "a", 1))
	err := failure(t, func() { replayed(p, 0, 0) })
	require.ErrorIs(t, err, journal.ErrEventsMissing)
	require.Equal(t, []string{"two", "three"}, replayed(p, 1, 0))
}

func TestProviderKeepsSnapshots(t *testing.T) {
	p := provide(newJournal(t))
	_, _, ok := p.GetSnapshot("a")
	require.False(t, ok)
	for _, index := range []int{3, 7, 5} {
		p.PersistSnapshot("a", index, wrapperspb.Int64(int64(index)))
	}
	snapshot, index, ok := p.GetSnapshot("a")
	require.True(t, ok)
	require.Equal(t, 7, index)
	require.True(t, proto.Equal(wrapperspb.Int64(7), snapshot.(proto.Message)))

	p.DeleteSnapshots("a", 6)
	_, index, _ = p.GetSnapshot("a")
	require.Equal(t, 7, index)
}

func TestProviderDeletesOnlyWhatASnapshotCovers(t *testing.T) {
	for _, c := range []struct {
		snapshots []int
		through   int
		safe      bool
		left      []string // of what is replayed from the snapshot on
	}{
		{nil, -1, true, []string{"one", "two", "three"}},
		{nil, 0, false, nil},
		{nil, 2, false, nil},
		{[]int{0}, 0, false, nil},
		{[]int{2}, 0, true, []string{"three"}},
		{[]int{2}, 1, true, []string{"three"}},
		{[]int{2}, 2, false, nil},
		{[]int{1, 2}, 1, true, []string{"three"}},
		{[]int{3}, 2, true, nil},
		{[]int{3}, 3, false, nil},
	} {
		t.Run(fmt.Sprintf("snapshots at %v, through %d", c.snapshots, c.through), func(t *testing.T) {
			f := &faulty{Store: newJournal(t)}
			p := provide(f)
			persistThree(p)
			for _, index := range c.snapshots {
				p.PersistSnapshot("a", index, wrapperspb.Bytes(nil))
			}
			if !c.safe {
				err := failure(t, func() { p.DeleteEvents("a", c.through) })
				require.ErrorIs(t, err, journal.ErrUnsafeDelete)
				require.True(t, journal.IsFinal(err))
				require.Zero(t, f.attemptsOf("hide"))
				return
			}
			p.DeleteEvents("a", c.through)
			_, index, _ := p.GetSnapshot("a")
			require.Equal(t, c.left, replayed(p, index, 0))
		})
	}
}

func TestProviderKeepsTheSnapshotThatStandsForDeletedEvents(t *testing.T) {
	p := provide(newJournal(t))
	persistThree(p)
	p.PersistSnapshot("a", 1, wrapperspb.Bytes(nil))
	p.DeleteSnapshots("a", 1)
	_, _, ok := p.GetSnapshot("a")
	require.False(t, ok, "all events are there, so that no snapshot is needed")

	p.PersistSnapshot("a", 1, wrapperspb.Bytes(nil))
	p.PersistSnapshot("a", 2, wrapperspb.Bytes(nil))
	p.DeleteEvents("a", 1)
	p.DeleteSnapshots("a", 1)
	err := failure(t, func() { p.DeleteSnapshots("a", 2) })
	require.ErrorIs(t, err, journal.ErrUnsafeDelete)
	_, index, ok := p.GetSnapshot("a")
	require.True(t, ok)
	require.Equal(t, 2, index)
}

func TestSnapshotIntervalIsNeverZero(t *testing.T) {
	j := newJournal(t)
	require.Positive(t, provide(j).GetSnapshotInterval())
	require.Equal(t, 50, provide(j, journal.WithSnapshotInterval(50)).GetSnapshotInterval())
	require.Positive(t, j.GetState().GetSnapshotInterval())
}

func TestInvalidOptionsPanic(t *testing.T) {
	for name, fn := range map[string]func(){
		"WithRetryFor(0s)":         func() { journal.WithRetryFor(0) },
		"WithSnapshotInterval(0)":  func() { journal.WithSnapshotInterval(0) },
		"WithSnapshotInterval(-5)": func() { journal.WithSnapshotInterval(-5) },
		"WithID":                   func() { journal.WithID(nil) },
		"WithMetadata":             func() { journal.WithMetadata(nil) },
		"store":                    func() { journal.NewProvider(nil) },
	} {
		func() {
			defer func() {
				err, ok := recover().(error)
				require.True(t, ok, name)
				require.ErrorContains(t, err, name)
			}()
			fn()
		}()
	}
	require.Panics(t, func() { journal.Using(nil) })
}
