package postgres_test

// One test: who writes, reads and publishes in it at the same time is of use to no other.

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// stressFor is how long the stress of order lasts: 3 s, or what OUTBOX_STRESS says.
func stressFor(t *testing.T) time.Duration {
	d := 3 * time.Second
	if text := os.Getenv("OUTBOX_STRESS"); text != "" {
		var err error
		d, err = time.ParseDuration(text)
		require.NoError(t, err, "OUTBOX_STRESS is a duration, such as 60s")
	}
	return d
}

// seedOf is the seed of the test's random plan, printed for another run: POSTGRES_TEST_SEED.
func seedOf(t *testing.T) uint64 {
	seed := rand.Uint64()
	if text := os.Getenv("POSTGRES_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("POSTGRES_TEST_SEED=%d", seed)
	return seed
}

// stress is a number of writers who write to the table in every way in which a program may, and readers who follow.
type stress struct {
	t    *testing.T
	pool *pgxpool.Pool
	j    *postgres.Journal
	stop atomic.Bool
}

// writer is one of them, with ids of its own.
type writer struct {
	*stress
	random *rand.Rand
	name   string
	ids    int
	hold   time.Duration // transactions are held open up to so long
}

const insertSQL = `INSERT INTO outbox.journal (persistence_id, sequence_number, slice, uid, type, content_type, tags, data)
	VALUES ($1, $2, $3, gen_random_uuid(), $4, 'text/plain', $5, $6)`

// args are an event's values, of one of two types and with one of two tags.
func (w *writer) args(id string, seq int64) []any {
	return []any{
		id, seq, int16(query.SliceOf(id)), fmt.Sprintf("type-%d", w.random.IntN(2)), []string{fmt.Sprintf("tag-%d", w.random.IntN(2))}, []byte(id),
	}
}

func (w *writer) newID() string {
	w.ids++
	return fmt.Sprintf("%s-%d", w.name, w.ids)
}

func (w *writer) wait(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SELECT pg_sleep($1)", (time.Duration(w.random.Int64N(int64(w.hold) + 1))).Seconds())
	return err
}

func (w *writer) insert(ctx context.Context, tx pgx.Tx, id string, from, to int64) error {
	for seq := from; seq <= to; seq++ {
		if _, err := tx.Exec(ctx, insertSQL, w.args(id, seq)...); err != nil {
			return err
		}
	}
	return nil
}

// transaction runs do in a transaction, which is held open, and rolled back now and then.
func (w *writer) transaction(ctx context.Context, do func(pgx.Tx) error) error {
	tx, err := w.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if w.random.IntN(3) == 0 { // an early xid
		if _, err := tx.Exec(ctx, "SELECT pg_current_xact_id()"); err != nil {
			return err
		}
		if err := w.wait(ctx, tx); err != nil {
			return err
		}
	}
	if err := do(tx); err != nil {
		return err
	}
	if err := w.wait(ctx, tx); err != nil {
		return err
	}
	if w.random.IntN(4) == 0 {
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}

func (w *writer) several(ctx context.Context) error {
	return w.transaction(ctx, func(tx pgx.Tx) error {
		for range 1 + w.random.IntN(3) {
			if err := w.insert(ctx, tx, w.newID(), 1, 1+w.random.Int64N(3)); err != nil {
				return err
			}
			if err := w.wait(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *writer) savepoints(ctx context.Context) error {
	return w.transaction(ctx, func(tx pgx.Tx) error {
		for range 3 {
			nested, err := tx.Begin(ctx)
			if err != nil {
				return err
			}
			if err := w.insert(ctx, nested, w.newID(), 1, 2); err != nil {
				return err
			}
			if w.random.IntN(2) == 0 {
				err = nested.Rollback(ctx)
			} else {
				err = nested.Commit(ctx)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *writer) copies(ctx context.Context) error {
	return w.transaction(ctx, func(tx pgx.Tx) error {
		id := w.newID()
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"outbox", "journal"},
			[]string{"persistence_id", "sequence_number", "slice", "uid", "type", "content_type", "tags"},
			pgx.CopyFromSlice(1+w.random.IntN(20), func(i int) ([]any, error) {
				return []any{id, int64(i + 1), int16(query.SliceOf(id)), [16]byte{1}, "type-0", "text/plain", []string{"tag-1"}}, nil
			}))
		return err
	})
}

func (w *writer) single(ctx context.Context) error {
	_, err := w.pool.Exec(ctx, insertSQL, w.args(w.newID(), 1)...)
	return err
}

func (w *writer) actor(ctx context.Context) error {
	id := w.newID()
	for seq := int64(1); seq <= 5; seq++ {
		e := event(id, seq)
		e.Type, e.Tags = "type-1", []string{"tag-0"}
		if err := w.j.AppendEvent(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) records(ctx context.Context) error {
	shared := journal.Record{PersistenceID: fmt.Sprintf("shared-%d", w.random.IntN(3)), Type: "type-0", Tags: []string{"tag-1"}}
	own := journal.Record{PersistenceID: w.newID(), Type: "type-1"}
	if w.random.IntN(2) == 0 {
		_, err := w.j.Append(ctx, shared, own, shared)
		return err
	}
	return w.transaction(ctx, func(tx pgx.Tx) error {
		_, err := w.j.AppendTx(ctx, tx, own, shared)
		return err
	})
}

// stressReader follows the feed through a filter.
type stressReader struct {
	filter query.Filter
	limits query.Limits
	after  query.Offset
	read   []string
}

func nameOf(offset query.Offset, id string, seq int64) string {
	return fmt.Sprintf("%d: %s/%d", offset, id, seq)
}

func (r *stressReader) page(t *testing.T, j query.Journal) bool {
	page, err := j.Events(t.Context(), r.after, r.filter, r.limits)
	if !assert.NoError(t, err) {
		return false
	}
	for i := range page.Events {
		e := &page.Events[i]
		r.read = append(r.read, nameOf(e.Offset, e.PersistenceID, e.SequenceNumber))
	}
	r.after = page.Next
	return true
}

// Whatever writers do and however long they take, each reader gets every event that is committed in the end, in the order
// of the journal, and none before one that comes earlier in it.
func TestOrderUnderStress(t *testing.T) {
	for name, holds := range map[string][]time.Duration{
		"transactions are held open for up to 50 ms": {50 * time.Millisecond, time.Millisecond},
		// So many end at the moment at which readers look who is at work.
		"transactions are held open for up to 1 ms": {time.Millisecond, time.Millisecond, time.Millisecond / 4},
	} {
		t.Run(name, func(t *testing.T) { orderUnderStress(t, holds) })
	}
}

func orderUnderStress(t *testing.T, holds []time.Duration) {
	s := &stress{t: t, pool: connect(t, newDatabase(t, ""), func(c *pgxpool.Config) { c.MaxConns = 30 })}
	require.NoError(t, postgres.Migrate(t.Context(), s.pool))
	s.j = open(t, s.pool)
	exec(t, s.pool, "CREATE TABLE orders (id int)")
	unrelated, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = unrelated.Rollback(context.Background()) })
	_, err = unrelated.Exec(t.Context(), "INSERT INTO orders VALUES (1)")
	require.NoError(t, err)

	seed := seedOf(t)
	var writing sync.WaitGroup
	start := func(name string, hold time.Duration, do func(*writer, context.Context) error) {
		w := &writer{stress: s, name: name, hold: hold, random: rand.New(rand.NewPCG(seed, numberOf(name)))}
		writing.Go(func() {
			for !s.stop.Load() {
				if !assert.NoError(t, do(w, t.Context()), name) {
					return
				}
			}
		})
	}
	for i, hold := range holds {
		name := fmt.Sprint("writer-", i)
		start(name+"-several", hold, (*writer).several)
		start(name+"-savepoints", hold, (*writer).savepoints)
		start(name+"-copies", hold, (*writer).copies)
		start(name+"-records", hold, (*writer).records)
	}
	start("several-at-once", 0, (*writer).several)
	start("single", 0, (*writer).single)
	start("actor", 0, (*writer).actor)
	start("actor-too", 0, (*writer).actor)

	readers := []*stressReader{
		{limits: query.Limits{Events: 1}},
		{limits: query.Limits{Events: 3, Bytes: 700}},
		{limits: query.Limits{Events: 1000}},
		{filter: query.Filter{Slices: query.SliceRange{To: 512}}, limits: query.Limits{Events: 7}},
		{filter: query.Filter{Types: []string{"type-1"}}, limits: query.Limits{Events: 500}},
		{filter: query.Filter{Tags: []string{"tag-1"}}, limits: query.Limits{Events: 2}},
		{filter: query.Filter{Types: []string{"none"}}, limits: query.Limits{Events: 100}},
	}
	other := open(t, connect(t, s.pool.Config().ConnConfig.Database))
	var reading sync.WaitGroup
	for i, r := range readers {
		j := []*postgres.Journal{s.j, other}[i%2]
		reading.Go(func() {
			for !s.stop.Load() && r.page(t, j) {
			}
		})
	}
	var outboxes []*stressOutbox
	for _, filter := range []query.Filter{{}, {Types: []string{"type-1"}}, {Slices: query.SliceRange{From: 512, To: 1024}}} {
		outboxes = append(outboxes, startStressOutbox(t, other, len(outboxes), filter))
	}
	select {
	case <-time.After(stressFor(t)):
	case <-t.Context().Done():
	}
	s.stop.Store(true)
	writing.Wait()
	reading.Wait()

	head, err := s.j.Head(t.Context())
	require.NoError(t, err)
	stored := map[*stressReader][]string{}
	ofIDs := map[*stressOutbox]map[string][]int64{}
	for _, o := range outboxes {
		ofIDs[o] = map[string][]int64{}
	}
	total := 0
	rows, err := s.pool.Query(t.Context(), "SELECT ordering, persistence_id, sequence_number, slice, type, tags FROM outbox.journal ORDER BY ordering")
	require.NoError(t, err)
	var e query.Event
	_, err = pgx.ForEachRow(rows, []any{&e.Offset, &e.PersistenceID, &e.SequenceNumber, &e.Slice, &e.Type, &e.Tags}, func() error {
		total++
		for _, r := range readers {
			if r.filter.Matches(&e) {
				stored[r] = append(stored[r], nameOf(e.Offset, e.PersistenceID, e.SequenceNumber))
			}
		}
		for _, o := range outboxes {
			if o.filter.Matches(&e) {
				ofIDs[o][e.PersistenceID] = append(ofIDs[o][e.PersistenceID], e.SequenceNumber)
			}
		}
		e.Tags = nil
		return nil
	})
	require.NoError(t, err)
	for i, r := range readers {
		behind := len(stored[r]) - len(r.read)
		r.limits = query.Limits{Events: 1000}
		for r.after < head.Offset {
			require.True(t, r.page(t, s.j))
		}
		requireSame(t, stored[r], r.read, "reader %d, %+v", i, r.filter)
		t.Logf("reader %d of %+v was %d behind when the writers stopped", i, r.filter, behind)
	}
	for _, o := range outboxes {
		o.flush(t)
		require.Len(t, o.published, len(ofIDs[o]), "ids that the outbox of %+v has published", o.filter)
		for id, numbers := range ofIDs[o] {
			require.Equal(t, numbers, o.published[id], "what the outbox of %+v has published of %s", o.filter, id)
		}
	}
	t.Logf("%d events of %d offsets", total, head.Offset)
}

// stressOutbox is an outbox, and what it has published of each id.
type stressOutbox struct {
	*outbox.Client
	filter    query.Filter
	mu        sync.Mutex
	published map[string][]int64
}

func startStressOutbox(t *testing.T, j *postgres.Journal, n int, filter query.Filter) *stressOutbox {
	t.Helper()
	o := &stressOutbox{filter: filter, published: map[string][]int64{}}
	props, err := outbox.Props(fmt.Sprint("stress-", n), j, publisher.Props(publisher.Func(func(_ context.Context, e publisher.Event) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.published[e.PersistenceID] = append(o.published[e.PersistenceID], e.SequenceNumber)
		return nil
	})), outbox.WithFilter(filter))
	require.NoError(t, err)
	system := testkit.NewActorSystem(t)
	pid := system.Root.Spawn(props)
	t.Cleanup(func() { require.NoError(t, system.Root.StopFuture(pid).Wait()) })
	o.Client = outbox.NewClient(system.Root, pid)
	return o
}

func (o *stressOutbox) flush(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	require.NoError(t, o.Flush(ctx))
}

// requireSame compares long lists. What they differ in would take long to find, and to read.
func requireSame(t *testing.T, want, got []string, msgAndArgs ...any) {
	t.Helper()
	missed := map[string]bool{}
	for _, name := range want {
		missed[name] = true
	}
	for i, name := range got {
		require.True(t, missed[name], append([]any{fmt.Sprintf("%s was read twice, or out of nothing, as number %d: ", name, i) + msgAndArgs[0].(string)}, msgAndArgs[1:]...)...)
		delete(missed, name)
	}
	require.Zero(t, len(missed), "events that were missed")
	require.True(t, slices.Equal(want, got), "the order differs")
}

// numberOf gives each name a number.
func numberOf(name string) (n uint64) {
	for _, c := range name {
		n = n*31 + uint64(c)
	}
	return n
}
