package sqlite

// One subject: appends that share a transaction, and who of them fails, leaves or comes late.

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// grouping is a journal whose appends wait, while another connection holds the file's write lock.
type grouping struct {
	*Journal
	t       *testing.T
	other   *sql.DB
	holding *sql.Tx
	groups  atomic.Int64 // transactions that appended something, or could have
}

func newGrouping(t *testing.T) *grouping {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	g := &grouping{Journal: j, t: t}
	t.Cleanup(j.Subscribe(func() { g.groups.Add(1) }))
	g.other, err = connect(path, 1, "_txlock", "immediate")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.other.Close()) })
	return g
}

func (g *grouping) exec(statements ...string) {
	g.t.Helper()
	for _, s := range statements {
		_, err := g.other.ExecContext(g.t.Context(), s)
		require.NoError(g.t, err, s)
	}
}

// hold takes the write lock; release gives it back.
func (g *grouping) hold() {
	g.t.Helper()
	tx, err := g.other.BeginTx(g.t.Context(), nil)
	require.NoError(g.t, err)
	g.holding = tx
}

func (g *grouping) release() {
	g.t.Helper()
	require.NoError(g.t, g.holding.Rollback())
}

func (g *grouping) waiting() int {
	g.appends.mu.Lock()
	defer g.appends.mu.Unlock()
	return len(g.appends.waiting)
}

func (g *grouping) await(condition func() bool, what string) {
	g.t.Helper()
	require.NoError(g.t, testkit.AwaitCondition(g.t.Context(), condition, 30*time.Second, what))
}

// start begins an append, and returns when it waits.
func (g *grouping) start(ctx context.Context, e query.Event) (answer <-chan error) {
	g.t.Helper()
	before, done := g.waiting(), make(chan error, 1)
	go func() { done <- g.AppendEvent(ctx, e) }()
	g.await(func() bool { return g.waiting() == before+1 }, "the append waits")
	return done
}

func (g *grouping) stored() (ids []string) {
	g.t.Helper()
	page, err := g.Events(g.t.Context(), 0, query.Filter{}, query.Limits{Events: 10_000})
	require.NoError(g.t, err)
	for i := range page.Events {
		ids = append(ids, page.Events[i].ID())
	}
	return ids
}

func numbered(id string, seq int64) query.Event {
	e := query.Event{PersistenceID: id, SequenceNumber: seq, Type: "T", Data: []byte("data")}
	copy(e.UID[:], e.ID())
	return e
}

func TestAppendsThatWaitShareATransactionFirstComeFirstServed(t *testing.T) {
	g := newGrouping(t)
	g.hold()
	var (
		answers []<-chan error
		want    []string
	)
	for n := range 40 {
		e := numbered(fmt.Sprintf("actor-%d", n*7%40), 1)
		answers, want = append(answers, g.start(t.Context(), e)), append(want, e.ID())
	}
	g.release()
	for _, answer := range answers {
		require.NoError(t, <-answer)
	}
	require.Equal(t, want, g.stored())
	require.EqualValues(t, 1, g.groups.Load())
}

func TestAConflictInAGroupIsItsOwnAlone(t *testing.T) {
	g := newGrouping(t)
	require.NoError(t, g.AppendEvent(t.Context(), numbered("a", 1)))
	require.NoError(t, g.AppendEvent(t.Context(), numbered("b", 1)))
	other := numbered("a", 2)
	other.UID[15]++

	g.hold()
	first := g.start(t.Context(), numbered("a", 2))
	taken := g.start(t.Context(), other)
	gap := g.start(t.Context(), numbered("b", 7))
	again := g.start(t.Context(), numbered("b", 1))
	last := g.start(t.Context(), numbered("c", 1))
	g.release()
	require.NoError(t, <-first)
	require.ErrorIs(t, <-taken, journal.ErrSequenceConflict)
	require.ErrorIs(t, <-gap, journal.ErrSequenceConflict)
	require.NoError(t, <-again)
	require.NoError(t, <-last)
	require.Equal(t, []string{"a/1", "b/1", "a/2", "c/1"}, g.stored())
	require.EqualValues(t, 3, g.groups.Load(), "one transaction was enough")
}

func TestACallerWhoseContextEndsLeavesTheQueue(t *testing.T) {
	g := newGrouping(t)
	g.hold()
	ctx, cancel := context.WithCancel(t.Context())
	before := g.start(t.Context(), numbered("a", 1))
	leaves := g.start(ctx, numbered("b", 1))
	after := g.start(t.Context(), numbered("c", 1))
	cancel()
	require.ErrorIs(t, <-leaves, context.Canceled, "at once, while the lock is not there")
	require.Equal(t, 2, g.waiting())
	g.release()
	require.NoError(t, <-before)
	require.NoError(t, <-after)
	require.Equal(t, []string{"a/1", "c/1"}, g.stored())
}

// Nobody waits for the lock any more when nobody needs it.
func TestTheLastCallerThatLeavesEndsTheWait(t *testing.T) {
	g := newGrouping(t)
	_, err := g.writer.Exec("PRAGMA busy_timeout = 600000") // longer than a test may take
	require.NoError(t, err)
	g.hold()
	for round := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		a := g.start(ctx, numbered("a", 1))
		b := g.start(ctx, numbered("b", 1))
		cancel()
		require.ErrorIs(t, <-a, context.Canceled)
		require.ErrorIs(t, <-b, context.Canceled)
		if round == 0 { // in the others, the next ones come meanwhile
			g.await(func() bool {
				g.appends.mu.Lock()
				defer g.appends.mu.Unlock()
				return !g.appends.working
			}, "the goroutine ends although the lock is held")
		}
	}
	a := g.start(t.Context(), numbered("a", 1))
	g.release()
	require.NoError(t, <-a)
	require.Equal(t, []string{"a/1"}, g.stored())
}

func TestOnePoisonRowFailsAlone(t *testing.T) {
	for _, reaction := range []string{"ABORT", "FAIL", "ROLLBACK"} {
		t.Run(reaction, func(t *testing.T) {
			g := newGrouping(t)
			g.exec(`CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.persistence_id = 'poison'
				BEGIN SELECT RAISE(` + reaction + `, 'poison was refused'); END`)
			g.hold()
			a := g.start(t.Context(), numbered("a", 1))
			poison := g.start(t.Context(), numbered("poison", 1))
			again := g.start(t.Context(), numbered("a", 2))
			records := make(chan error, 1)
			go func() {
				_, err := g.Append(t.Context(), journal.Record{PersistenceID: "b", Type: "T"}, journal.Record{PersistenceID: "poison", Type: "T"})
				records <- err
			}()
			g.await(func() bool { return g.waiting() == 4 }, "the records wait")
			c := g.start(t.Context(), numbered("c", 1))
			g.release()
			for _, refused := range []error{<-poison, <-records} {
				require.ErrorContains(t, refused, "poison was refused")
				require.False(t, journal.IsFinal(refused))
			}
			require.NoError(t, <-a)
			require.NoError(t, <-again)
			require.NoError(t, <-c)
			require.Equal(t, []string{"a/1", "a/2", "c/1"}, g.stored(), "of a call's records there are all or none")

			g.exec("DROP TRIGGER refuse")
			require.NoError(t, g.AppendEvent(t.Context(), numbered("poison", 1)))
		})
	}
}

func TestAPoisonRowCostsItsNeighboursFewTransactions(t *testing.T) {
	g := newGrouping(t)
	g.exec("CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.persistence_id = 'poison' BEGIN SELECT RAISE(ABORT, 'refused'); END")
	g.hold()
	const neighbours = 63
	var (
		answers []<-chan error
		poison  <-chan error
		want    []string
	)
	for n := range neighbours {
		if n == 20 {
			poison = g.start(t.Context(), numbered("poison", 1))
		}
		e := numbered(fmt.Sprintf("actor-%d", n), 1)
		answers, want = append(answers, g.start(t.Context(), e)), append(want, e.ID())
	}
	g.release()
	require.ErrorContains(t, <-poison, "refused")
	for _, answer := range answers {
		require.NoError(t, <-answer)
	}
	require.Equal(t, want, g.stored(), "still first come, first served")
	require.EqualValues(t, 6, g.groups.Load(), "64 calls are halved six times until the one is alone")
}

// A commit that fails leaves it open whether it took effect. All are told, and find out when they try again.
func TestACommitThatFailsIsToldToAll(t *testing.T) {
	g := newGrouping(t)
	_, err := g.writer.Exec("PRAGMA foreign_keys = ON")
	require.NoError(t, err)
	g.exec("CREATE TABLE parent (id TEXT PRIMARY KEY)",
		"CREATE TABLE child (parent TEXT REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
		"CREATE TRIGGER orphan AFTER INSERT ON events WHEN NEW.persistence_id = 'b' BEGIN INSERT INTO child VALUES ('nobody'); END")
	g.hold()
	events := []query.Event{numbered("a", 1), numbered("b", 1), numbered("c", 1), numbered("a", 5)}
	var answers []<-chan error
	for _, e := range events {
		answers = append(answers, g.start(t.Context(), e))
	}
	g.release()
	for _, answer := range answers {
		err := <-answer
		require.ErrorContains(t, err, "FOREIGN KEY")
		require.False(t, journal.IsFinal(err), "also a conflict with what was not committed is none: %v", err)
	}
	require.Empty(t, g.stored())

	g.exec("DROP TRIGGER orphan")
	for _, e := range events[:3] {
		require.NoError(t, g.AppendEvent(t.Context(), e))
	}
	require.Equal(t, []string{"a/1", "b/1", "c/1"}, g.stored())
}

func TestALockThatIsNotToBeHadFailsThoseWhoHaveWaitedForIt(t *testing.T) {
	g := newGrouping(t)
	_, err := g.writer.Exec("PRAGMA busy_timeout = 200")
	require.NoError(t, err)
	g.hold()
	for range 2 {
		err := g.AppendEvent(t.Context(), numbered("a", 1))
		require.ErrorContains(t, err, "locked")
		require.False(t, journal.IsFinal(err))
	}
	g.release()
	require.NoError(t, g.AppendEvent(t.Context(), numbered("a", 1)))
	require.Equal(t, []string{"a/1"}, g.stored())
}

func TestWhoComesWhileOthersWaitForALockDoesNotFailWithThem(t *testing.T) {
	var q appendQueue
	early, late := &appendCall{}, &appendCall{}
	require.True(t, q.add(early))
	_, last, more := q.next()
	require.True(t, more)
	require.False(t, q.add(late))
	require.Equal(t, []*appendCall{early}, q.takeThrough(last))
	require.Equal(t, []*appendCall{late}, q.take(t.Context()))
	_, _, more = q.next()
	require.False(t, more)
	require.True(t, q.add(early), "the goroutine has ended, and is to be started again")
}

// One that comes just before the others fail has its own time.
func TestAnAppendWaitsItsTimeForALock(t *testing.T) {
	g := newGrouping(t)
	_, err := g.writer.Exec("PRAGMA busy_timeout = 1000")
	require.NoError(t, err)
	g.hold()
	early := g.start(t.Context(), numbered("a", 1))
	g.await(func() bool {
		g.appends.mu.Lock()
		defer g.appends.mu.Unlock()
		return g.appends.giveUp != nil
	}, "a transaction begins")
	late := g.start(t.Context(), numbered("b", 1))
	require.ErrorContains(t, <-early, "locked")
	g.release()
	require.NoError(t, <-late)
	require.Equal(t, []string{"b/1"}, g.stored())
}

// A test that fails in a subscriber, for example, ends its goroutine.
func TestASubscriberThatEndsItsGoroutineHoldsUpNobody(t *testing.T) {
	g := newGrouping(t)
	t.Cleanup(g.Subscribe(runtime.Goexit))
	g.exec(`CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.persistence_id = 'poison' BEGIN SELECT RAISE(ABORT, 'refused'); END`)
	g.hold()
	a := g.start(t.Context(), numbered("a", 1))
	poison := g.start(t.Context(), numbered("poison", 1))
	b := g.start(t.Context(), numbered("b", 1))
	g.release()
	require.NoError(t, <-a)
	require.ErrorContains(t, <-poison, "refused")
	require.NoError(t, <-b)
	require.NoError(t, g.AppendEvent(t.Context(), numbered("a", 2)))
}

// The transaction that has just begun is rolled back when its context ends.
func TestATransactionThatWasGivenUpTakesNobody(t *testing.T) {
	var q appendQueue
	gone, comes := &appendCall{}, &appendCall{}
	q.add(gone)
	ctx, _, _ := q.next()
	require.True(t, q.drop(gone))
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	q.add(comes)
	require.Empty(t, q.take(ctx))
	ctx, _, _ = q.next()
	require.Equal(t, []*appendCall{comes}, q.take(ctx))
	require.False(t, q.drop(comes), "it was taken")
	q.add(gone)
	require.True(t, q.drop(gone))
	require.NoError(t, ctx.Err(), "who leaves does not end a transaction of others")
}

func TestARowSharesNothingWithTheCaller(t *testing.T) {
	e := numbered("a", 1)
	e.Tags, e.Metadata = []string{"tag"}, map[string]string{"key": "value"}
	r, err := newRow(e)
	require.NoError(t, err)
	e.Data[0], e.Tags[0], e.Metadata["key"] = 'X', "X", "X"
	require.Equal(t, "data", string(r.data))
	require.JSONEq(t, `["tag"]`, r.tags.String)
	require.JSONEq(t, `{"key":"value"}`, r.metadata.String)
}

// The outcome is unknown to a caller that leaves after its event was taken.
func TestACallerMayLeaveWithoutKnowingTheOutcome(t *testing.T) {
	g := newGrouping(t)
	committed, goOn := make(chan struct{}), make(chan struct{})
	var blocked atomic.Bool
	cancel := g.Subscribe(func() { // which comes after the commit, and before the answer
		if blocked.CompareAndSwap(false, true) {
			close(committed)
			<-goOn
		}
	})
	defer cancel()
	ctx, leave := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	e := numbered("a", 1)
	go func() { answer <- g.AppendEvent(ctx, e) }()
	<-committed
	leave()
	err := <-answer
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, journal.IsFinal(err))
	e.Data[0] = 'X' // it belongs to the caller again

	close(goOn)
	require.NoError(t, g.AppendEvent(t.Context(), numbered("a", 1)), "the same event again")
	require.Equal(t, []string{"a/1"}, g.stored())
}

func TestCloseWaitsForTheAppendsUnderWay(t *testing.T) {
	g := newGrouping(t)
	g.hold()
	a := g.start(t.Context(), numbered("a", 1))
	b := g.start(t.Context(), numbered("b", 1))
	closed := make(chan error, 1)
	go func() { closed <- g.Close() }()
	g.await(g.gate.Closed, "it is being closed")
	require.ErrorIs(t, g.AppendEvent(t.Context(), numbered("c", 1)), query.ErrClosed)
	_, err := g.Append(t.Context(), journal.Record{PersistenceID: "c", Type: "T"})
	require.ErrorIs(t, err, query.ErrClosed)
	select {
	case err := <-closed:
		require.FailNow(t, "closed while appends wait", "%v", err)
	default:
	}
	g.release()
	require.NoError(t, <-a)
	require.NoError(t, <-b)
	require.NoError(t, <-closed)

	g.Journal, err = Open(t.Context(), g.file.path)
	require.NoError(t, err)
	defer g.Close()
	require.Equal(t, []string{"a/1", "b/1"}, g.stored())
}

func TestAGroupIsBounded(t *testing.T) {
	var q appendQueue
	add := func(rows, bytes int) { q.add(&appendCall{rows: make([]row, rows), bytes: bytes}) }
	taken := func() (sizes []int) {
		for _, call := range q.take(t.Context()) {
			sizes = append(sizes, len(call.rows))
		}
		return sizes
	}
	add(2*maxGroupRows, 1)
	add(1, 1)
	add(maxGroupRows-2, 1)
	add(1, 1)
	add(1, 1)
	add(2, 2*maxGroupBytes)
	add(3, maxGroupBytes-1)
	add(4, 1)
	add(5, 1)
	require.Equal(t, []int{2 * maxGroupRows}, taken(), "what is too large alone goes alone")
	require.Equal(t, []int{1, maxGroupRows - 2, 1}, taken())
	require.Equal(t, []int{1}, taken(), "nobody overtakes")
	require.Equal(t, []int{2}, taken())
	require.Equal(t, []int{3, 4}, taken())
	require.Equal(t, []int{5}, taken())
	require.Empty(t, taken())
}

// A group that has set an offset anew is not committed, and nobody is told that it was.
func TestAGroupInAFileThatWasSetBack(t *testing.T) {
	g := newGrouping(t)
	require.NoError(t, g.AppendEvent(t.Context(), numbered("a", 1)))
	g.file.reached(100) // which the file has not
	g.hold()
	b, c := g.start(t.Context(), numbered("b", 1)), g.start(t.Context(), numbered("c", 1))
	g.release()
	for _, answer := range []<-chan error{b, c} {
		err := <-answer
		require.ErrorIs(t, err, ErrFileChanged)
		require.ErrorIs(t, err, query.ErrClosed)
	}
	var n int
	require.NoError(t, g.other.QueryRow("SELECT count(*) FROM events").Scan(&n))
	require.Equal(t, 1, n)
}
