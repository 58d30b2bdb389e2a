package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// oldestServer is the oldest version of PostgreSQL that is supported, as server_version_num.
const oldestServer = 130000

// serverSQL asks for everything that makes a server, and the tables in it, fit for a journal. It answers for tables that
// are not there, too.
const serverSQL = `WITH
	tables (name) AS (VALUES ({{'meta'}}), ({{'journal'}}), ({{'actor_snapshots'}}), ({{'outbox_snapshots'}})),
	ordering AS (SELECT c.oid AS journal, c.relkind, c.relispartition, a.attidentity, s.*,
			(SELECT format('%I.%I', n.nspname, q.relname) FROM pg_class q JOIN pg_namespace n ON n.oid = q.relnamespace WHERE q.oid = s.seqrelid) AS sequence
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'ordering'
			LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
				AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
			LEFT JOIN pg_sequence s ON s.seqrelid = d.objid
		WHERE c.oid = to_regclass({{'journal'}}))
	SELECT
	current_setting('server_version_num')::int,
	current_setting('server_encoding'),
	current_setting('client_encoding'),
	pg_is_in_recovery(),
	(extract(epoch FROM greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time())) * 1000000)::bigint,
	(SELECT system_identifier FROM pg_control_system()),
	(SELECT oid::bigint FROM pg_database WHERE datname = current_database()),
	current_user::text,
	ARRAY(SELECT name FROM tables WHERE to_regclass(name) IS NULL),
	ARRAY(SELECT privilege || ' ON ' || name FROM (VALUES
			({{'meta'}}, 'SELECT'),
			({{'journal'}}, 'SELECT'), ({{'journal'}}, 'INSERT'), ({{'journal'}}, 'UPDATE'),
			({{'actor_snapshots'}}, 'SELECT'), ({{'actor_snapshots'}}, 'INSERT'), ({{'actor_snapshots'}}, 'UPDATE'), ({{'actor_snapshots'}}, 'DELETE'),
			({{'outbox_snapshots'}}, 'SELECT'), ({{'outbox_snapshots'}}, 'INSERT'), ({{'outbox_snapshots'}}, 'UPDATE')
		) AS p (name, privilege)
		WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(to_regclass(name), privilege)
		UNION ALL SELECT 'SELECT ON SEQUENCE ' || sequence FROM ordering WHERE NOT has_sequence_privilege(seqrelid, 'SELECT')),
	ARRAY(SELECT name FROM tables WHERE row_security_active(to_regclass(name)::oid)),
	coalesce((SELECT sequence FROM ordering), ''),
	coalesce((SELECT CASE
			WHEN relkind <> 'r' THEN 'the table journal is not an ordinary table: a partition can be written without a lock on it'
			WHEN relispartition OR EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = journal OR inhrelid = journal)
				THEN 'the table journal is part of an inheritance tree: its rows can be written without a lock on it'
			WHEN seqrelid IS NULL OR attidentity <> 'a' THEN 'the column ordering of the table journal is not GENERATED ALWAYS AS IDENTITY'
			WHEN seqcache <> 1 THEN 'the sequence of the column ordering has CACHE ' || seqcache || ': run ALTER SEQUENCE ' || sequence || ' CACHE 1, and connect anew'
			WHEN seqincrement <> 1 OR seqcycle THEN 'the sequence of the column ordering must have INCREMENT 1 NO CYCLE'
			WHEN EXISTS (SELECT 1 FROM pg_subscription_rel WHERE srrelid = journal)
				THEN 'a subscription writes to the table journal, with offsets of another server: when nobody writes there any more and all has come, run DROP SUBSCRIPTION'
		END FROM ordering), '')`

// sequenceSQL returns which number is the next one, and the greatest one that is taken. The table is seen as it was before the sequence
// is: the statement's snapshot is older than anything that it reads, and a sequence has no versions. So what others append
// meanwhile cannot make the sequence look as if it was behind.
const sequenceSQL = `SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END, coalesce((SELECT max(ordering) FROM {{journal}}), 0) FROM `

// privilegesSQL asks for the privileges without which [serverSQL] fails.
const privilegesSQL = `SELECT current_user::text, ARRAY(
	SELECT 'USAGE ON SCHEMA ' || {{'schema'}} FROM pg_namespace WHERE oid = to_regnamespace({{'schema'}}) AND NOT has_schema_privilege(oid, 'USAGE')
	UNION ALL
	SELECT 'EXECUTE ON FUNCTION ' || f FROM (VALUES ('pg_control_system()'), ('pg_is_in_recovery()'), ('pg_postmaster_start_time()'),
		('pg_stat_get_bgwriter_stat_reset_time()')) AS v (f) WHERE NOT has_function_privilege(f, 'EXECUTE'))`

// server is what a connection leads to. Two that are equal are the same server, and it was not restarted in between.
type server struct {
	// started is when the server was started, in microseconds since 1970, or its statistics were reset. That they are when it
	// recovers from a process that was killed, for which it is not started anew.
	started  int64
	system   int64 // the cluster's identifier: a copy of its files has the same
	database int64
}

// serverAt looks where the connection leads to, and refuses what is not fit for the journal.
func serverAt(ctx context.Context, conn *pgx.Conn, t tables) (s server, err error) {
	var (
		version                        int
		encoding, clientEncoding, user string
		standby                        bool
		noTables, noRights, hidden     []string
		sequence, unsafeOrder          string
	)
	err = conn.QueryRow(ctx, t.sql(serverSQL), pgx.QueryExecModeExec).
		Scan(&version, &encoding, &clientEncoding, &standby, &s.started, &s.system, &s.database, &user, &noTables, &noRights, &hidden, &sequence, &unsafeOrder)
	switch {
	case sqlState(err) == "42501": // insufficient privilege
		return server{}, whatIsMissing(ctx, conn, t, err)
	case err != nil:
		return server{}, err
	case version < oldestServer:
		return server{}, fmt.Errorf("the server's version is %d, but at least %d is needed", version/10000, oldestServer/10000)
	case encoding != "UTF8":
		return server{}, fmt.Errorf("the database has the encoding %s: persistence ids and types need UTF8", encoding)
	case clientEncoding != "UTF8":
		return server{}, fmt.Errorf("the connection has the client_encoding %s, in which the server would take text for other text: "+
			"it must be UTF8, in the pool's configuration, the user's and the database's settings", clientEncoding)
	case standby:
		return server{}, ErrStandby
	case len(noTables) == 4:
		return server{}, ErrNotMigrated
	case len(noTables) > 0:
		return server{}, fmt.Errorf("%w: %v are missing", ErrNotJournal, noTables)
	case len(noRights) > 0:
		return server{}, &PrivilegeError{User: user, Missing: noRights}
	case len(hidden) > 0:
		return server{}, fmt.Errorf("%w: row-level security may hide rows of %s from the user %q: give him BYPASSRLS, or have the tables without it",
			ErrUnsafeOrder, strings.Join(hidden, ", "), user)
	case unsafeOrder != "":
		return server{}, fmt.Errorf("%w: %s", ErrUnsafeOrder, unsafeOrder)
	case sequence == "":
		return server{}, fmt.Errorf("%w: its table journal has no column ordering", ErrNotJournal)
	}
	return s, checkSequence(ctx, conn, t, sequence)
}

// checkSequence refuses a sequence that would give offsets which readers may have passed.
func checkSequence(ctx context.Context, conn *pgx.Conn, t tables, sequence string) error {
	var next, taken int64
	if err := conn.QueryRow(ctx, t.sql(sequenceSQL)+sequence, pgx.QueryExecModeExec).Scan(&next, &taken); err != nil {
		return err
	}
	if next > taken {
		return nil
	}
	return fmt.Errorf("%w: the sequence %s would give the offset %d next, but the table journal has one of %d, as after logical replication or COPY: "+
		"while nobody appends, run SELECT setval(%s, (SELECT max(ordering) FROM %s))",
		ErrUnsafeOrder, sequence, next, taken, quoteLiteral(sequence), t.sql("{{journal}}"))
}

// whatIsMissing says which privilege a connection lacks that may not even look.
func whatIsMissing(ctx context.Context, conn *pgx.Conn, t tables, cause error) error {
	e := &PrivilegeError{}
	if err := conn.QueryRow(ctx, t.sql(privilegesSQL), pgx.QueryExecModeExec).Scan(&e.User, &e.Missing); err != nil {
		return fmt.Errorf("%w: and what is missing could not be found out: %w", cause, err)
	}
	if len(e.Missing) == 0 {
		return cause // which names it
	}
	return fmt.Errorf("%w: %w", e, cause)
}
