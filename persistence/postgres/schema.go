package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed schema/001.sql
var schema001 string

// migrations[i] brings a schema from version i to i+1. What is released here never changes. One only adds what programs
// of the version before can ignore (expand); what they use is removed no earlier than one release later (contract), and
// that migration raises oldestReader.
var migrations = []migration{{sql: schema001, oldestReader: 1}}

type migration struct {
	sql string
	// oldestReader is the oldest schema version that a program may have been written for to work with this one.
	oldestReader int
}

const versionsSQL = `INSERT INTO {{meta}} (key, value) VALUES ('version', '%d'), ('oldest_reader', '%d')
	ON CONFLICT (key) DO UPDATE SET value = excluded.value;
`

// identitySQL leaves an identity that is there.
const identitySQL = `INSERT INTO {{meta}} (key, value) VALUES ('identity', replace(gen_random_uuid()::text, '-', '')) ON CONFLICT DO NOTHING;
`

const createSchemaSQL = `CREATE SCHEMA IF NOT EXISTS {{schema}};
`

// Migrate makes the journal's schema and tables, or brings those of an older version up to date. It changes nothing if
// there is nothing to do, and everything or nothing otherwise. Programs of this version and of the one before can go on
// using the journal meanwhile, and afterwards: migrate first, then deploy.
//
// It needs the privilege to create in the database, or in the schema if that exists. Those who only open the journal need
// less: [Open] says what to grant.
func Migrate(ctx context.Context, pool *pgxpool.Pool, opts ...Option) error {
	t, err := newTables(opts)
	if err != nil {
		return fmt.Errorf("migrate the journal: %w", err)
	}
	if pool == nil {
		return errors.New("migrate the journal: the pool is nil")
	}
	// A stricter isolation would show, after the wait for somebody else who migrates, what there was before it.
	options := pgx.TxOptions{IsoLevel: pgx.ReadCommitted}
	if err := pgx.BeginTxFunc(ctx, pool, options, func(tx pgx.Tx) error { return migrate(ctx, tx, t) }); err != nil {
		return fmt.Errorf("migrate the journal %s: %w", t.name, withoutCredentials(err))
	}
	return nil
}

// MigrationSQL returns what [Migrate] does where there is no journal yet, as a script for psql and the like.
func MigrationSQL(opts ...Option) (string, error) {
	t, err := newTables(opts)
	if err != nil {
		return "", fmt.Errorf("print the journal's migrations: %w", err)
	}
	var script strings.Builder
	script.WriteString("BEGIN;\n" + t.sql(createSchemaSQL))
	for version := range migrations {
		script.WriteString(t.sql(step(version)))
	}
	script.WriteString("COMMIT;\n")
	return script.String(), nil
}

// step is the SQL that brings version to the next one.
func step(version int) string {
	sql := migrations[version].sql
	if version == 0 {
		sql += identitySQL
	}
	return sql + fmt.Sprintf(versionsSQL, version+1, migrations[version].oldestReader)
}

func migrate(ctx context.Context, tx pgx.Tx, t tables) error {
	// Only one migrates at a time. Names that are not there yet cannot be locked.
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", pgx.QueryExecModeExec, advisoryKey("migrate", t.name)); err != nil {
		return err
	}
	var hasSchema, hasMeta bool
	err := tx.QueryRow(ctx, t.sql(`SELECT to_regnamespace({{'schema'}}) IS NOT NULL, to_regclass({{'meta'}}) IS NOT NULL`), pgx.QueryExecModeExec).Scan(&hasSchema, &hasMeta)
	if err != nil {
		return err
	}
	if !hasSchema { // whoever may not create schemas can have one made for him
		if _, err := tx.Exec(ctx, t.sql(createSchemaSQL)); err != nil {
			return err
		}
	}
	version := 0
	if hasMeta {
		m, err := readMeta(ctx, tx, t)
		if err != nil {
			return err
		}
		version = m.version
		if err := m.check(t); err != nil && version >= len(migrations) {
			return err
		}
	}
	for ; version < len(migrations); version++ {
		if _, err := tx.Exec(ctx, t.sql(step(version))); err != nil {
			return fmt.Errorf("from version %d to %d: %w", version, version+1, err)
		}
	}
	return nil
}

// meta is what a journal says of itself.
type meta struct {
	identity              string
	version, oldestReader int
}

type queryer interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func readMeta(ctx context.Context, q queryer, t tables) (m meta, err error) {
	var key, value string
	values := map[string]string{}
	rows, err := q.Query(ctx, t.sql(`SELECT key, value FROM {{meta}}`), pgx.QueryExecModeExec)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error { values[key] = value; return nil })
	}
	switch {
	case sqlState(err) == "42703": // undefined column
		return meta{}, fmt.Errorf("%w: %w", ErrNotJournal, err)
	case err != nil:
		return meta{}, err
	}
	m.identity = values["identity"]
	for name, field := range map[string]*int{"version": &m.version, "oldest_reader": &m.oldestReader} {
		if *field, err = strconv.Atoi(values[name]); err != nil {
			return meta{}, fmt.Errorf("%w: its table meta has the %s %q", ErrNotJournal, name, values[name])
		}
	}
	if m.identity == "" {
		return meta{}, fmt.Errorf("%w: its table meta has no identity", ErrNotJournal)
	}
	return m, nil
}

// check refuses a schema that this version of the package cannot work with.
func (m meta) check(t tables) error {
	if known := len(migrations); m.version < known || m.oldestReader > known {
		return &SchemaError{Journal: t.name, Found: m.version, OldestReader: m.oldestReader, Known: known}
	}
	return nil
}

// advisoryKey is the key of an advisory lock. It is shared by all programs that use the journal, so it never changes.
func advisoryKey(parts ...string) int64 {
	h := fnv.New64a()
	for _, part := range parts {
		_, _ = h.Write([]byte(part))
		_, _ = h.Write([]byte{0})
	}
	return int64(h.Sum64())
}
