package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// patience is how long a test waits for what must happen; what must happen takes milliseconds.
const patience = 30 * time.Second

// publishing is an outbox over a file, and what it has published.
type publishing struct {
	*outbox.Client
	system  *actor.ActorSystem
	pid     *actor.PID
	stopped chan *outbox.Stopped
	blocked chan *outbox.Blocked

	mu  sync.Mutex
	got []string
}

func publish(t *testing.T, j query.Journal, opts ...outbox.Option) *publishing {
	t.Helper()
	return publishIn(t, testkit.NewActorSystem(t), j, opts...)
}

func publishIn(t *testing.T, system *actor.ActorSystem, j query.Journal, opts ...outbox.Option) *publishing {
	t.Helper()
	p := &publishing{system: system, stopped: make(chan *outbox.Stopped, 1), blocked: make(chan *outbox.Blocked, 1)}
	sink := publisher.Func(func(_ context.Context, e publisher.Event) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got = append(p.got, e.ID())
		return nil
	})
	opts = append([]outbox.Option{outbox.WithPollInterval(5 * time.Millisecond), outbox.WithBackoff(time.Millisecond, 20*time.Millisecond)}, opts...)
	props, err := outbox.Props("test", j, publisher.Props(sink), opts...)
	require.NoError(t, err)
	subscription := system.EventStream.Subscribe(func(event any) {
		switch event := event.(type) {
		case *outbox.Stopped:
			select {
			case p.stopped <- event:
			default: // another outbox, later
			}
		case *outbox.Blocked:
			p.blocked <- event
		}
	})
	t.Cleanup(func() { system.EventStream.Unsubscribe(subscription) })
	p.pid = p.system.Root.Spawn(props)
	p.Client = outbox.NewClient(p.system.Root, p.pid)
	t.Cleanup(func() { p.stop(t) })
	return p
}

func (p *publishing) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.system.Root.StopFuture(p.pid).Wait())
}

func (p *publishing) flush(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, p.Flush(ctx))
}

// published returns the events in the order in which they came.
func (p *publishing) published() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.got...)
}

// why waits until the outbox has stopped itself, or reads nothing more, and returns its reason.
func (p *publishing) why(t *testing.T) error {
	t.Helper()
	select {
	case s := <-p.stopped:
		return s.Err
	case b := <-p.blocked:
		return b.Err
	case <-time.After(patience):
		require.FailNow(t, "the outbox has not stopped")
		return nil
	}
}

func ids(events []query.Event) []string {
	all := []string{}
	for i := range events {
		all = append(all, events[i].ID())
	}
	return all
}

func TestAnOutboxNoticesThatItsFileHasChanged(t *testing.T) {
	for _, m := range mishaps {
		t.Run(m.name, func(t *testing.T) {
			dir := t.TempDir()
			path, older := filepath.Join(dir, "journal.db"), filepath.Join(dir, "older.db")
			j, err := sqlite.Open(t.Context(), path)
			require.NoError(t, err)
			defer j.Close()
			p := publish(t, j)
			appendTo(t, j, "a", 1, 5)
			p.flush(t)
			rawSQL(t, path, "VACUUM INTO '"+older+"'")
			appendTo(t, j, "a", 6, 10)
			p.flush(t)

			m.happen(t, path, older)
			require.ErrorIs(t, p.why(t), sqlite.ErrFileChanged, "nobody has told it: it looks by itself")
			p.stop(t)
			require.ErrorIs(t, j.Close(), m.closing)
			if m.remains < 0 {
				return
			}
			now := open(t, path)
			appendTo(t, now, "b", 1, 3)
			again := publish(t, now)
			again.flush(t)
			require.Subset(t, append(p.published(), again.published()...), ids(all(t, now)))
		})
	}
}

// The offsets are kept elsewhere, so that they do not go back with the file.
func TestAFileOfAnOlderCopyIsNotTakenForTheOneThatTheOffsetsBelongTo(t *testing.T) {
	for name, c := range map[string]struct {
		after func(t *testing.T, j *sqlite.Journal)
		says  string
	}{
		"that ends too early": {func(*testing.T, *sqlite.Journal) {}, "ends at offset 5"},
		"that was written again, as far as it was": {func(t *testing.T, j *sqlite.Journal) {
			for seq := int64(6); seq <= 10; seq++ {
				e := event("a", seq)
				e.UID[15]++
				require.NoError(t, j.AppendEvent(t.Context(), e))
			}
		}, "a/10 at offset 10"},
		"that was written again by others, and further": {func(t *testing.T, j *sqlite.Journal) {
			appendTo(t, j, "b", 1, 20)
		}, "a/10 at offset 10"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, older := filepath.Join(dir, "journal.db"), filepath.Join(dir, "older.db")
			offsets := memory.New()
			t.Cleanup(func() { require.NoError(t, offsets.Close()) })
			j := open(t, path)
			p := publish(t, j, outbox.WithSnapshots(offsets))
			appendTo(t, j, "a", 1, 5)
			p.flush(t)
			rawSQL(t, path, "VACUUM INTO '"+older+"'")
			appendTo(t, j, "a", 6, 10)
			p.flush(t)
			p.stop(t)

			restored := open(t, older)
			c.after(t, restored)
			again := publish(t, restored, outbox.WithSnapshots(offsets))
			err := again.why(t)
			require.ErrorIs(t, err, outbox.ErrJournalChanged)
			require.ErrorContains(t, err, c.says)
			require.Empty(t, again.published())
		})
	}
}

// damagedSnapshot is a journal that finds other bytes where it keeps an outbox's snapshot.
type damagedSnapshot struct {
	*sqlite.Journal
	data []byte
}

func (d *damagedSnapshot) Acquire(ctx context.Context, key string, _, _ int64) (query.Saved, error) {
	saved, err := d.Load(ctx, key)
	saved.Data = d.data
	return saved, err
}

// Every single bit of the stored snapshot, and every byte at its end, is wrong once.
func TestNoDamageToAnOutboxsSnapshotHasItStartAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path)
	appendTo(t, j, "a", 1, 3)
	p := publish(t, j)
	p.flush(t)
	p.stop(t)
	saved, err := j.Load(t.Context(), "outbox/test")
	require.NoError(t, err)
	require.NotEmpty(t, saved.Data)

	var damaged [][]byte
	for i := range saved.Data {
		damaged = append(damaged, saved.Data[:i])
		for bit := range 8 {
			flipped := append([]byte(nil), saved.Data...)
			flipped[i] ^= 1 << bit
			damaged = append(damaged, flipped)
		}
	}
	refused := func(j query.Journal, data []byte) {
		again := publishIn(t, p.system, j)
		require.ErrorIs(t, again.why(t), outbox.ErrCorruptSnapshot, "%x", data)
		require.Empty(t, again.published())
		again.stop(t)
	}
	for _, data := range damaged {
		refused(&damagedSnapshot{j, data}, data)
	}
	store := func(data []byte) {
		withSQL(t, path, func(db *sql.DB) {
			_, err := db.Exec("UPDATE outbox_snapshots SET data = ?", data)
			require.NoError(t, err)
		})
	}
	for i := 0; i < len(damaged); i += len(damaged) / 10 { // writing is slow, and the bytes come back as they were
		store(damaged[i])
		refused(j, damaged[i])
	}
	store(saved.Data)
	again := publish(t, j)
	again.flush(t)
	require.Empty(t, again.published(), "the sound one still says that all is published")
}

// An outbox sees nothing missing where its journal was trimmed: not while it runs, nor after a restart, nor for what it holds.
func TestAnOutboxGoesOnWhileItsJournalIsTrimmed(t *testing.T) {
	j := open(t, filepath.Join(t.TempDir(), "journal.db"))
	system := testkit.NewActorSystem(t)
	const rounds, each = 5, 30
	var all []string
	for round := range int64(rounds) {
		p := publishIn(t, system, j)
		ending, stopped := make(chan struct{}), make(chan error, 1)
		go func() {
			for {
				select {
				case <-ending:
					stopped <- nil
					return
				case <-time.After(time.Millisecond):
				}
				if _, err := j.Trim(context.Background(), journal.Retention{}); err != nil && !errors.Is(err, journal.ErrNoOutbox) {
					stopped <- err
					return
				}
			}
		}()
		for seq := round*each + 1; seq <= (round+1)*each; seq++ {
			for _, id := range []string{"a", "b"} {
				appendTo(t, j, id, seq, seq)
			}
			_, err := j.Append(t.Context(), journal.Record{PersistenceID: "records", Type: "T"})
			require.NoError(t, err)
			require.NoError(t, j.HideEvents(t.Context(), "a", seq))
		}
		p.flush(t)
		close(ending)
		require.NoError(t, <-stopped)
		status, err := p.Status(t.Context())
		require.NoError(t, err)
		require.Zero(t, status.GetGaps(), "a removed event is no gap")
		all = append(all, p.published()...)
		p.stop(t)
		_, err = j.Trim(t.Context(), journal.Retention{})
		require.NoError(t, err)
	}
	require.Len(t, all, 3*rounds*each)
	for id, left := range map[string]int{"a": 1, "b": rounds * each, "records": 1} {
		events, _, err := j.EventsByPersistenceID(t.Context(), id, 1, query.Limits{Events: 1000})
		require.NoError(t, err)
		require.InDelta(t, left, len(events), 1, "of %s; the anchor stays, too", id)
		last := int64(0)
		for _, name := range all {
			var seq int64
			if n, _ := fmt.Sscanf(name, id+"/%d", &seq); n == 1 {
				require.Equal(t, last+1, seq, "of %s, in order, once", id)
				last = seq
			}
		}
		require.EqualValues(t, rounds*each, last)
	}
}
