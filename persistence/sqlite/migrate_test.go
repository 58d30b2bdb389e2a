package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// migrating is an application with a hand-written outbox table and its relay, on the way that docs/migrate.md describes.
// An entity has a version, which each of its events carries.
type migrating struct {
	t    *testing.T
	path string
	db   *sql.DB
	j    *sqlite.Journal

	relaying sync.WaitGroup
	relays   atomic.Int64 // rounds of the relay

	mu       sync.Mutex
	got      map[string]bool  // ids, by which consumers deduplicate
	versions map[string][]int // of each entity, as they came first
	repeated int
}

// documentedSQL returns the statements of docs/migrate.md that begin with that comment.
func documentedSQL(t *testing.T, comment string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "migrate.md"))
	require.NoError(t, err)
	_, block, found := strings.Cut(string(page), "-- "+comment+"\n")
	require.True(t, found, "docs/migrate.md has no SQL called %q", comment)
	block, _, _ = strings.Cut(block, "```")
	block, _, _ = strings.Cut(block, "\n\n--")
	return block
}

func newMigrating(t *testing.T) *migrating {
	t.Helper()
	m := &migrating{t: t, path: filepath.Join(t.TempDir(), "shop.db"), got: map[string]bool{}, versions: map[string][]int{}}
	rawSQL(t, m.path, documentedSQL(t, "what there is"), "CREATE TABLE entities (id TEXT PRIMARY KEY, version INTEGER NOT NULL)")
	var err error
	m.db, err = sql.Open("sqlite", "file:"+m.path+immediate)
	require.NoError(t, err)
	m.db.SetMaxOpenConns(1) // database/sql is fair to those who wait for the connection, SQLite to none who waits for its lock
	t.Cleanup(func() { require.NoError(t, m.db.Close()) })
	m.j, err = sqlite.Open(t.Context(), m.path, sqlite.WithExistingDatabase())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.j.Close()) })
	return m
}

func (m *migrating) run(comment string) {
	m.t.Helper()
	_, err := m.db.Exec(documentedSQL(m.t, comment))
	require.NoError(m.t, err, comment)
}

// unpublished is how many rows the old relay has yet to publish.
func (m *migrating) unpublished() (n int) {
	m.t.Helper()
	require.NoError(m.t, m.db.QueryRow(documentedSQL(m.t, "3. still to be published")).Scan(&n))
	return n
}

// change is the business transaction of the version of the program that knows both.
func (m *migrating) change(entity string) error {
	ctx := m.t.Context()
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var (
		version   int
		toJournal bool
	)
	if err := tx.QueryRowContext(ctx, `INSERT INTO entities VALUES (?, 1)
		ON CONFLICT DO UPDATE SET version = version + 1 RETURNING version`, entity).Scan(&version); err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, "SELECT to_journal FROM cut_over").Scan(&toJournal); err != nil {
		return err
	}
	payload := strconv.Itoa(version)
	if toJournal {
		_, err = m.j.AppendTx(ctx, tx, journal.Record{PersistenceID: entity, Type: "Changed", Data: []byte(payload)})
	} else {
		err = oldInsert(ctx, tx, entity, payload)
	}
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	m.j.Notify()
	return nil
}

// oldInsert is all that the old version of the program does.
func oldInsert(ctx context.Context, tx *sql.Tx, entity, payload string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO outbox (aggregate_id, type, payload) VALUES (?, 'Changed', ?)", entity, []byte(payload))
	return err
}

// deliver is the sink.
func (m *migrating) deliver(id, entity string, payload []byte) {
	version, err := strconv.Atoi(string(payload))
	assert.NoError(m.t, err)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.got[id] {
		m.repeated++
		return
	}
	m.got[id] = true
	m.versions[entity] = append(m.versions[entity], version)
}

// startRelay begins the hand-written one. Now and then it dies after it has published, and before it has noted that.
func (m *migrating) startRelay() (stop func()) {
	ctx, cancel := context.WithCancel(m.t.Context())
	m.relaying.Go(func() {
		for ctx.Err() == nil {
			m.relay()
			m.relays.Add(1)
		}
	})
	return func() {
		cancel()
		m.relaying.Wait()
	}
}

func (m *migrating) relay() {
	rows, err := m.db.Query("SELECT id, aggregate_id, payload FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT 7")
	if !assert.NoError(m.t, err) {
		return
	}
	defer rows.Close()
	var published []int64
	for rows.Next() {
		var (
			id      int64
			entity  string
			payload []byte
		)
		if !assert.NoError(m.t, rows.Scan(&id, &entity, &payload)) {
			return
		}
		m.deliver(strconv.FormatInt(id, 10), entity, payload)
		published = append(published, id)
	}
	assert.NoError(m.t, rows.Err())
	assert.NoError(m.t, rows.Close())
	for _, id := range published {
		if m.relays.Load()%5 == 3 && id == published[len(published)/2] {
			m.relays.Add(1)
			return
		}
		_, err := m.db.Exec("UPDATE outbox SET published_at = CURRENT_TIMESTAMP WHERE id = ?", id)
		assert.NoError(m.t, err)
	}
}

func (m *migrating) startOutbox() *outbox.Client {
	m.t.Helper()
	sink := publisher.Func(func(_ context.Context, e publisher.Event) error {
		m.deliver(e.ID(), e.PersistenceID, e.Data)
		return nil
	})
	props, err := outbox.Props("shop", m.j, publisher.Props(sink), outbox.WithPollInterval(5*time.Millisecond))
	require.NoError(m.t, err)
	system := testkit.NewActorSystem(m.t)
	pid := system.Root.Spawn(props)
	m.t.Cleanup(func() { require.NoError(m.t, system.Root.StopFuture(pid).Wait()) })
	return outbox.NewClient(system.Root, pid)
}

// startWriters has many write at once, until they are stopped, and returns how to wait for more of what they write.
func (m *migrating) startWriters() (more func(), stop func()) {
	var (
		wg      sync.WaitGroup
		written atomic.Int64
		end     = make(chan struct{})
	)
	for w := range 6 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-end:
					return
				default:
				}
				if !assert.NoError(m.t, m.change(fmt.Sprintf("entity-%d", (w+n)%10))) {
					return
				}
				written.Add(1)
			}
		})
	}
	more = func() {
		m.t.Helper()
		until := written.Load() + 60
		require.NoError(m.t, testkit.AwaitCondition(m.t.Context(), func() bool { return written.Load() >= until }, patience, "writers go on"))
	}
	return more, func() { close(end); wg.Wait() }
}

func (m *migrating) awaitOldTable() {
	m.t.Helper()
	require.NoError(m.t, testkit.AwaitCondition(m.t.Context(), func() bool { return m.unpublished() == 0 }, patience,
		"the old relay publishes its last rows"))
}

// requireComplete compares what came with what the entities say of themselves.
func (m *migrating) requireComplete() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	rows, err := m.db.Query("SELECT id, version FROM entities")
	require.NoError(m.t, err)
	defer rows.Close()
	entities := 0
	for rows.Next() {
		var (
			id      string
			version int
		)
		require.NoError(m.t, rows.Scan(&id, &version))
		want := make([]int, version)
		for i := range want {
			want[i] = i + 1
		}
		require.Equal(m.t, want, m.versions[id], "the versions of %s, as they came", id)
		entities++
	}
	require.NoError(m.t, rows.Err())
	require.Equal(m.t, 10, entities)
}

// statementsOf splits SQL as SQLite's shell does.
func statementsOf(text string) (statements []string) {
	for part := range strings.SplitAfterSeq(text, ";\n") {
		if last := len(statements) - 1; strings.HasPrefix(part, "\t") || strings.HasPrefix(part, "END") {
			statements[last] += part // of a trigger
		} else if part != "" {
			statements = append(statements, part)
		}
	}
	return statements
}

// Whoever runs the SQL may do so statement by statement, and go on after one that has failed, as SQLite's shell does. While
// others hold the write lock nothing happens, and no event is lost.
func TestTheWayBackIsNotGoneByHalves(t *testing.T) {
	statements := statementsOf(documentedSQL(t, "back: before the outbox was started"))
	for held := range len(statements) + 1 { // so many statements find the lock held
		m := newMigrating(t)
		m.run("1. prepare")
		m.run("2. cut over")
		for range 3 {
			require.NoError(t, m.change("entity-1"))
		}
		withSQL(t, m.path, func(operator *sql.DB) {
			tx, err := m.db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			for i, statement := range statements {
				if i == held {
					require.NoError(t, tx.Rollback())
				}
				_, err = operator.Exec(statement)
			}
			if held == len(statements) {
				require.ErrorContains(t, err, "locked")
				require.NoError(t, tx.Rollback())
			} else {
				require.NoError(t, err)
			}
		})
		var toJournal, rows, events int
		require.NoError(t, m.db.QueryRow("SELECT (SELECT to_journal FROM cut_over), (SELECT count(*) FROM outbox), (SELECT count(*) FROM events)").
			Scan(&toJournal, &rows, &events))
		if held == len(statements) {
			require.Equal(t, []int{1, 0, 3}, []int{toJournal, rows, events}, "nothing has happened")
		} else {
			require.Equal(t, []int{0, 3, 0}, []int{toJournal, rows, events}, "%d statements have found the lock held", held)
		}
	}
}

// The application is taken from the hand-written outbox to the journal, back, and over again, while it writes.
func TestTheCutOverFromAHandWrittenOutbox(t *testing.T) {
	m := newMigrating(t)
	m.run("1. prepare")
	stopRelay := m.startRelay()
	more, stopWriters := m.startWriters()
	more()

	m.run("2. cut over")
	more()
	tx, err := m.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.ErrorContains(t, oldInsert(t.Context(), tx, "entity-1", "0"), "older than the cut-over")
	require.NoError(t, tx.Rollback())

	m.run("back: before the outbox was started")
	more()
	m.run("2. cut over")
	more()
	m.awaitOldTable()
	more()
	require.Zero(t, m.unpublished(), "no row comes any more")
	stopRelay()

	client := m.startOutbox()
	more()
	stopWriters()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, client.Flush(ctx))
	m.requireComplete()
	require.Positive(t, m.repeated, "the old relay has published some twice, and their ids have told")

	var gaps int
	require.NoError(t, m.db.QueryRow("SELECT count(*) FROM ("+strings.TrimRight(documentedSQL(t, "verify: no entity has a gap"), ";\n")+")").Scan(&gaps))
	require.Zero(t, gaps)
	var (
		key    string
		behind int
	)
	require.NoError(t, m.db.QueryRow(documentedSQL(t, "verify: how far each outbox is behind the journal's head")).Scan(&key, &behind))
	require.Equal(t, "outbox/shop", key)
	require.Zero(t, behind)
	m.run("later: tidy up")
	appendTo(t, m.j, "a", 1, 1)
}
