// Package sqlite is the embedded journal: one SQLite file that holds the events and snapshots of persistent
// actors, serves them as a feed, and keeps the snapshots of the outboxes that read it. It needs no cgo and no
// server.
//
// It owns the file: its schema, the migration of older files, and the connections to it. [Open] gives a
// [Journal], which is a Proto.Actor persistence provider and a query.Journal in one.
//
// It promises that an append that returned nil survives the end of the process and, since every commit is
// synced (synchronous=FULL), a power cut on storage that honours syncs; that readers never wait for writers; and
// that the feed is in commit order: SQLite has one writer at a time, and an offset is never used twice.
//
// Appends that come at the same time share a transaction and its sync: what one costs alone, a hundred cost together. One
// that comes alone does not wait for company.
//
// [Journal.Append] and [Journal.AppendTx] take events of code that is no actor, AppendTx in a transaction of the
// application's own tables in the same file: the classic outbox.
//
// It never changes a file that is not its own: a foreign database is refused, unless it is the application's and
// [WithExistingDatabase] says so, and so is a file written by a newer version of this package.
//
// # Limits
//
//   - One host, local disk. Several processes of one host may open the file, but locks on network file systems
//     cannot be trusted. An append in another process does not notify this one; its events are found by polling.
//   - One writer at a time: while a transaction of the application writes, appends and the saves of outboxes wait. SQLite's
//     lock is not fair: whoever writes in a tight loop starves others. An application does well to have its own writers
//     share one connection (SetMaxOpenConns(1)), and to keep their transactions short.
//   - A file that is removed, replaced, or set back through SQLite while it is open is noticed: see [ErrFileChanged]. Its
//     bytes being overwritten in place, as cp does, is not always: SQLite itself cannot tell.
//   - A file that was copied or restored while nobody had it open, together with the snapshots in it, is a
//     consistent older journal. Nothing in it can tell, so events that were appended after the copy was made are
//     gone unnoticed, and their sequence numbers and offsets are given out again.
//   - Beside the file SQLite keeps a -wal and a -shm file while it is open, and after a crash. They belong to it:
//     never move, copy or delete one without the others.
package sqlite
