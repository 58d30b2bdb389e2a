package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	errDeaf = errors.New("a NOTIFY that was sent did not come back: PgBouncer must be in session mode, and all connections must lead to one server")

	errServerLeft = errors.New("the connection leads to another server than the journal's newest one")
)

// listenOnce has one connection listen until it ends, or ctx. heard says whether it has worked. There is no error if its time was
// over.
func (j *Journal) listenOnce(ctx context.Context) (heard bool, err error) {
	config := j.pool.Config()
	began := time.Now()
	connecting, cancel := context.WithTimeout(ctx, j.listenTimes.connect)
	defer cancel()
	conn, err := j.connectListener(connecting, config)
	if err != nil {
		return false, err
	}
	defer j.closeListener(conn)
	if config.BeforeClose != nil {
		defer config.BeforeClose(conn)
	}
	at, err := j.beginToListen(connecting, conn)
	if err != nil {
		return false, err
	}
	ear := ear{listening: time.Now(), checked: time.Now()}
	// What was committed before it listened, nobody has told of.
	j.subscribers.Notify()
	for {
		if !ear.heard() && !j.announcements.sent().begun.After(ear.listening) {
			j.announceFromOutside()
		}
		n, err := waitForNotification(ctx, conn, j.listenTimes.quiet)
		now := time.Now()
		switch {
		case err != nil:
			return ear.heard(), err
		case n != nil:
			if !ear.heard() {
				j.listener.report(ctx, true, nil)
			}
			ear.last = now
			if n.Payload != j.nonce { // those of this process were called when it appended
				j.subscribers.Notify()
			}
		case ear.deaf(j.announcements.sent(), now.Add(-j.listenTimes.quiet)):
			return ear.heard(), errDeaf
		}
		if now.Sub(ear.checked) < j.listenTimes.check {
			continue
		}
		ear.checked = now
		if now.Sub(began) > config.MaxConnLifetime {
			return ear.heard(), nil
		}
		if err := j.checkListener(ctx, conn, at); err != nil {
			return ear.heard(), err
		}
	}
}

// ear is what is known of a connection that listens.
type ear struct {
	listening time.Time // since when
	last      time.Time // when something was heard; zero: never
	checked   time.Time
}

func (e *ear) heard() bool { return !e.last.IsZero() }

// deaf reports whether what was sent should have been heard at a time, and nothing was.
func (e *ear) deaf(sent announcement, at time.Time) bool {
	return sent.begun.After(e.listening) && sent.begun.After(e.last) && sent.done.Before(at)
}

// connectListener makes a connection as the pool makes its own.
func (j *Journal) connectListener(ctx context.Context, config *pgxpool.Config) (*pgx.Conn, error) {
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, config.ConnConfig); err != nil {
			return nil, err
		}
	}
	// The application's would keep the notifications from us, and might close the connection when a wait ends.
	config.ConnConfig.OnNotification = nil
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, err
	}
	if config.AfterConnect != nil {
		if err := config.AfterConnect(ctx, conn); err != nil {
			j.closeListener(conn)
			return nil, err
		}
	}
	return conn, nil
}

// beginToListen has the connection listen, and says where it leads to.
func (j *Journal) beginToListen(ctx context.Context, conn *pgx.Conn) (at server, err error) {
	if at, err = serverAt(ctx, conn, j.tables); err != nil {
		return server{}, err
	}
	// Servers before version 14 have no idle_session_timeout.
	_, err = conn.Exec(ctx, `SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'`, pgx.QueryExecModeExec)
	if err != nil {
		return server{}, err
	}
	return at, j.sendListen(ctx, conn)
}

func (j *Journal) sendListen(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, j.listenSQL, pgx.QueryExecModeSimpleProtocol)
	return err
}

func (j *Journal) closeListener(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
	// If the server did not answer, the driver still waits for it in the background, and asks it, by another connection, to
	// cancel what it was asked last. The next connection waits for neither; closing the journal waits for the latter.
	_ = conn.PgConn().Conn().Close()
	j.listener.goroutines.Go(func() { <-conn.PgConn().CleanupDone() })
}

// waitForNotification returns nil if none came for a while.
func waitForNotification(ctx context.Context, conn *pgx.Conn, quiet time.Duration) (*pgconn.Notification, error) {
	wait, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	n, err := conn.WaitForNotification(wait)
	if n != nil {
		return n, nil
	}
	if wait.Err() != nil && ctx.Err() == nil && !conn.IsClosed() {
		return nil, nil //nolint:nilnil // silence is an answer
	}
	return nil, err
}

// checkListener notices that the server is gone without a word, or that the journal is elsewhere now.
func (j *Journal) checkListener(ctx context.Context, conn *pgx.Conn, at server) error {
	ctx, cancel := context.WithTimeout(ctx, j.listenTimes.quiet)
	defer cancel()
	if err := j.sendListen(ctx, conn); err != nil { // again: whoever looks at pg_stat_activity sees what the connection is for
		return fmt.Errorf("the connection does not answer: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.server != at {
		return errServerLeft
	}
	return nil
}

// announceFromOutside sends an announcement that must come back.
func (j *Journal) announceFromOutside() {
	if !j.gate.Enter() {
		return // it is being closed
	}
	defer j.gate.Leave()
	j.announce()
}
