package postgres_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/postgres"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func record(id string) journal.Record {
	return journal.Record{
		PersistenceID: id, Type: "shop.v1.Changed", ContentType: "application/json", Data: []byte(`{"a": 1}`),
		Tags: []string{`"quoted"`, "b", "a", `back\slash`, "b", "NULL", "{}", ""}, Metadata: map[string]string{"traceparent": "00-1", "é": `"\`},
	}
}

// appendInTx appends records in a transaction of the application, as pgx or database/sql has it.
type appendInTx func(t *testing.T, j *postgres.Journal, commit bool, records ...journal.Record) ([]query.Pointer, error)

func kindsOfTransaction(t *testing.T) (*postgres.Journal, map[string]appendInTx) {
	pool := migrated(t)
	exec(t, pool, "CREATE TABLE orders (id text)")
	db := stdlib.OpenDBFromPool(pool)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return open(t, pool), map[string]appendInTx{
		"pgx": func(t *testing.T, j *postgres.Journal, commit bool, records ...journal.Record) (pointers []query.Pointer, err error) {
			tx := begin(t, pool, "INSERT INTO orders VALUES ('o')")
			if pointers, err = j.AppendTx(t.Context(), tx, records...); err != nil || !commit {
				return pointers, tx.Rollback(t.Context())
			}
			return pointers, tx.Commit(t.Context())
		},
		"database/sql": func(t *testing.T, j *postgres.Journal, commit bool, records ...journal.Record) (pointers []query.Pointer, err error) {
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = tx.Exec("INSERT INTO orders VALUES ('o')")
			require.NoError(t, err)
			if pointers, err = j.AppendSQLTx(t.Context(), tx, records...); err != nil || !commit {
				return pointers, tx.Rollback()
			}
			return pointers, tx.Commit()
		},
	}
}

func TestRecordsInATransactionOfTheApplication(t *testing.T) {
	j, kinds := kindsOfTransaction(t)
	var want []query.Pointer
	for name, do := range kinds {
		pointers, err := do(t, j, true, record(name), record("shared"), record(name))
		require.NoError(t, err)
		next := int64(1 + len(want)/3)
		require.Equal(t, []query.Pointer{{PersistenceID: name, SequenceNumber: 1}, {PersistenceID: "shared", SequenceNumber: next}, {PersistenceID: name, SequenceNumber: 2}}, pointers)
		want = append(want, pointers...)
		_, err = do(t, j, false, record(name), record("gone"))
		require.NoError(t, err)
		pointers, err = do(t, j, true)
		require.NoError(t, err)
		require.Empty(t, pointers, "no records are no error")
	}
	r := record("appended")
	_, err := j.Append(t.Context(), r)
	require.NoError(t, err)
	events := all(t, j)
	require.Len(t, events, len(want)+1)
	for i, e := range events[:len(want)] {
		p := query.Pointer{PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber}
		require.Equal(t, want[i], p)
		require.Equal(t, r.Data, e.Data)
		require.Equal(t, r.Metadata, e.Metadata)
		require.Equal(t, events[len(want)].Tags, e.Tags)
		require.Equal(t, []string{"", `"quoted"`, "NULL", "a", "b", `back\slash`, "{}"}, e.Tags)
	}
}

// However they meet, each record gets a number of its own, also the first ones of a new id.
func TestRecordsOfOneIDFromEverywhere(t *testing.T) {
	const each = 15
	j, kinds := kindsOfTransaction(t)
	var wg sync.WaitGroup
	for _, do := range kinds {
		for range 3 {
			wg.Go(func() {
				for n := range each {
					if _, err := do(t, j, n%3 != 0, record("a"), record("b")); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Go(func() {
		for range each {
			if _, err := j.Append(t.Context(), record("b"), record("a")); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	for _, id := range []string{"a", "b"} {
		events, _, err := j.EventsByPersistenceID(t.Context(), id, 1, query.Limits{Events: 1000})
		require.NoError(t, err)
		require.Len(t, events, 6*each*2/3+each)
		last := query.Offset(0)
		for i, e := range events {
			require.EqualValues(t, i+1, e.SequenceNumber)
			require.Greater(t, e.Offset, last, "offsets rise with the sequence number")
			last = e.Offset
		}
	}
}

func TestATransactionOfAnotherDatabaseIsRefused(t *testing.T) {
	j := open(t, migrated(t))
	other := migrated(t)
	_, err := j.AppendTx(t.Context(), begin(t, other), record("a"))
	require.ErrorIs(t, err, postgres.ErrForeignTransaction)
	db := stdlib.OpenDBFromPool(other)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = j.AppendSQLTx(t.Context(), tx, record("a"))
	require.ErrorIs(t, err, postgres.ErrForeignTransaction)

	_, err = j.AppendTx(t.Context(), nil, record("a"))
	require.ErrorContains(t, err, "nil")
	_, err = j.AppendSQLTx(t.Context(), (*sql.Tx)(nil), record("a"))
	require.ErrorContains(t, err, "nil")
}

// A transaction that has read before another one committed cannot know which number comes next.
func TestAStricterTransactionIsToBeRunAgain(t *testing.T) {
	pool := migrated(t)
	j := open(t, pool)
	tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), "SELECT count(*) FROM outbox.journal")
	require.NoError(t, err)
	_, err = j.Append(t.Context(), record("a"))
	require.NoError(t, err)
	_, err = j.AppendTx(t.Context(), tx, record("a"))
	require.Error(t, err)
	require.False(t, journal.IsFinal(err))
	require.NoError(t, tx.Rollback(t.Context()))
	require.Len(t, all(t, j), 1)
}
