package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/asynkron/protoactor-go/persistence"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/gate"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/internal/subscribers"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var (
	_ persistence.Provider = (*Journal)(nil)
	_ query.Journal        = (*Journal)(nil)
	_ query.SnapshotStore  = (*Journal)(nil)
	_ query.Notifier       = (*Journal)(nil)
	_ query.PersistenceIDs = (*Journal)(nil)
	_ query.Pinger         = (*Journal)(nil)
	_ query.TimeFinder     = (*Journal)(nil)
	_ journal.Store        = (*Journal)(nil)
	_ journal.Appender     = (*Journal)(nil)
	_ journal.Trimmer      = (*Journal)(nil)
)

// Journal is a journal in a PostgreSQL database; see [Open]. Its methods may be called concurrently.
type Journal struct {
	tables     tables
	pool       *pgxpool.Pool
	statements statements
	mode       pgx.QueryExecMode
	batches    bool // the pool's connections take batches of statements with all kinds of parameters
	identity   string

	nonce                string // by which this process knows its own notifications
	notifySQL, listenSQL string
	listenTimes          listenTimes

	provider      persistence.Provider
	appends       appendQueue
	subscribers   subscribers.Set
	announcements announcements
	listener      listener
	gate          gate.Gate
	gaps          gapWatch

	mu       sync.Mutex
	server   server // where the newest connection led to
	horizon  horizon
	gap      Gap
	searches map[search]int64 // up to which number there is nothing of the time
}

// GetState implements persistence.Provider. Applications give the journal to journal.Using rather than using this.
func (j *Journal) GetState() persistence.ProviderState { return j.provider.GetState() }

// Close ends the use of the pool, which it leaves open. It waits for the calls under way, and for what they have
// to tell other processes; later ones return query.ErrClosed. Closing twice is no error.
func (j *Journal) Close() error {
	if j.gate.Close() {
		j.gaps.stop()
		j.listener.close()
	}
	return nil
}

// Ping asks the server.
func (j *Journal) Ping(ctx context.Context) error {
	return j.do(ctx, "ping", func(conn *pgx.Conn) error {
		_, err := j.head(ctx, conn)
		return err
	})
}

// do runs fn with a connection to a server that is fit for the journal.
func (j *Journal) do(ctx context.Context, op string, fn func(*pgx.Conn) error) error {
	if !j.gate.Enter() {
		return j.wrap(op, query.ErrClosed)
	}
	defer j.gate.Leave()
	err := ctx.Err()
	if err == nil {
		err = j.use(ctx, fn)
	}
	if err == nil {
		return nil
	}
	// Depending on the moment at which the context ended, the driver names it or one of its consequences.
	if ctxErr := ctx.Err(); ctxErr != nil && !isAnswer(err) {
		err = ctxErr
	}
	return j.wrap(op, err)
}

// serverKey is where a connection keeps what was found out about it, for the journal of that name.
type serverKey struct {
	server   server
	instance string // its name for readers
}

func (j *Journal) connectionKey() string { return "protoactor-outbox " + j.tables.name }

// instance names the server that a connection leads to, for query.Page.
func (j *Journal) instance(conn *pgx.Conn) string {
	known, _ := conn.PgConn().CustomData()[j.connectionKey()].(serverKey)
	return known.instance
}

// use runs fn with a connection. One that was never used for the journal is looked at first. One that leads to another
// server than the newest one is closed, and another is taken: after a failover, those to the old server may live on.
func (j *Journal) use(ctx context.Context, fn func(*pgx.Conn) error) error {
	for {
		conn, err := j.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		at, err := j.inspect(ctx, conn.Conn())
		if err == nil && at {
			err = fn(conn.Conn())
			conn.Release()
			return err
		}
		// What was refused may not be so on a new connection, for example after a failover.
		_ = conn.Hijack().Close(ctx)
		if err != nil {
			return err
		}
	}
}

// inspect reports whether the connection leads to the server that the newest one leads to.
func (j *Journal) inspect(ctx context.Context, conn *pgx.Conn) (current bool, err error) {
	data, key := conn.PgConn().CustomData(), j.connectionKey()
	known, ok := data[key].(serverKey)
	if !ok {
		s, err := serverAt(ctx, conn, j.tables)
		if err != nil {
			return false, err
		}
		known = serverKey{s, fmt.Sprintf("%d/%d/%d", s.system, s.database, s.started)}
		data[key] = known
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if ok && known.server != j.server && j.server != (server{}) {
		return false, nil
	}
	if known.server != j.server {
		j.server = known.server
		j.horizon.reset()
	}
	return true, nil
}

// errBusy says that nothing was appended because somebody else was at work on the same id.
var errBusy = errors.New("somebody else is appending to the same persistence id")
