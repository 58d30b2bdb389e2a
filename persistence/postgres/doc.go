// Package postgres is the journal for production: events and snapshots of persistent actors in a PostgreSQL database,
// served as a feed in which no late commit is missed, with the snapshots of the outboxes that read it.
//
// It owns its tables, and their migrations: [Migrate] makes them, [MigrationSQL] prints how. [Open] gives a [Journal], which
// is a Proto.Actor persistence provider and a query.Journal in one, over a pgx pool that stays the caller's.
//
// It promises that an append that returned nil was committed by the server, and that a reader of the feed never passes an
// event that commits later, whatever its filter: see below. It promises this for every program that writes to the table
// journal by INSERT or COPY without naming the column ordering, also without this package.
//
// How to run it in production, from roles to failover, is told in docs/postgres.md.
//
// # Order
//
// An offset is taken before its transaction commits, so that a lower one can become visible behind a greater one. Readers
// wait where an offset is missing, until it is there or is proven never to come: when all transactions that held a lock on the
// table, as each writer does, have ended (horizon.go). They do not wait for transactions that write to other tables, nor by
// a clock. [Journal.Gap] shows where and since when they wait.
//
// # Waking
//
// An append wakes the subscribers of its own process at once, and those of others by NOTIFY: after the commit, in no transaction of
// an append, at most once in 5 ms. Nothing is lost with a notification, and no append waits for one: subscribers poll all the
// same, an outbox once a second. [Journal.Waking] says whether notifications are sent and heard, and why not.
//
// It costs each process one connection while it has subscribers, beyond those of the pool, and on it a LISTEN every 30 seconds;
// and for each NOTIFY, one round trip with a connection of the pool, whose commit is not synced to disk. A connection that has just begun
// to listen is tried by a NOTIFY of its own.
//
// # Limits
//
//   - One transaction that writes to the table journal and stays open, even if only to update it, holds back what was
//     appended after it began, and a program that starts meanwhile the history behind rolled back transactions, until it
//     ends.
//   - The server has to be a primary: see [ErrStandby]. The journal can be read only where it is written.
//   - With synchronous standbys, a commit whose wait for them is cancelled by an administrator (pg_cancel_backend) passes for
//     one that they have: PostgreSQL says otherwise in a warning only. After a failed try, the journal waits for them again.
//   - Whoever writes the column ordering himself (OVERRIDING SYSTEM VALUE, COPY with that column, values taken from the
//     sequence earlier) breaks the order.
//   - Logical replication copies offsets as they are, in an order of its own, and no sequence. A journal that a subscription
//     writes to is refused, and so is one whose sequence is behind its table, by [Open] and on each new connection. To move a
//     journal that way: stop all who append at the old place, wait until all has come, DROP SUBSCRIPTION, run the setval that
//     the error shows, open it there. For its outboxes it is another journal, which an operator accepts.
//   - PgBouncer has to be in session mode. In others nobody is woken, and what another process appends is found by polling;
//     Waking says so.
//   - What programs without this package append wakes nobody, and is found by polling.
//   - The last event of each persistence id must stay: it says which sequence number comes next. Use [Journal.Trim], and no
//     statement of your own, to remove events.
package postgres
