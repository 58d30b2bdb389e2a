package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// oldestServer is the oldest version of PostgreSQL that is supported, as server_version_num.
const oldestServer = 130000

// serverSQL asks for everything that makes a server, and the tables in it, fit for a journal. It answers for tables that
// are not there, too.
const serverSQL = `SELECT
	current_setting('server_version_num')::int,
	current_setting('server_encoding'),
	pg_is_in_recovery(),
	(extract(epoch FROM greatest(pg_postmaster_start_time(), pg_stat_get_bgwriter_stat_reset_time())) * 1000000)::bigint,
	(SELECT system_identifier FROM pg_control_system()),
	(SELECT oid::bigint FROM pg_database WHERE datname = current_database()),
	current_user::text,
	ARRAY(SELECT name FROM (VALUES ({{'meta'}}), ({{'journal'}}), ({{'actor_snapshots'}}), ({{'outbox_snapshots'}})) AS t (name)
		WHERE to_regclass(name) IS NULL),
	ARRAY(SELECT privilege || ' ON ' || name FROM (VALUES
			({{'meta'}}, 'SELECT'),
			({{'journal'}}, 'SELECT'), ({{'journal'}}, 'INSERT'), ({{'journal'}}, 'UPDATE'),
			({{'actor_snapshots'}}, 'SELECT'), ({{'actor_snapshots'}}, 'INSERT'), ({{'actor_snapshots'}}, 'UPDATE'), ({{'actor_snapshots'}}, 'DELETE'),
			({{'outbox_snapshots'}}, 'SELECT'), ({{'outbox_snapshots'}}, 'INSERT'), ({{'outbox_snapshots'}}, 'UPDATE')
		) AS p (name, privilege)
		WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(to_regclass(name), privilege)),
	coalesce((SELECT CASE
			WHEN c.relkind <> 'r' THEN 'the table journal is not an ordinary table: a partition can be written without a lock on it'
			WHEN c.relispartition OR EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = c.oid OR inhrelid = c.oid)
				THEN 'the table journal is part of an inheritance tree: its rows can be written without a lock on it'
			WHEN s.seqrelid IS NULL OR a.attidentity <> 'a' THEN 'the column ordering of the table journal is not GENERATED ALWAYS AS IDENTITY'
			WHEN s.seqcache <> 1 THEN 'the sequence of the column ordering has CACHE ' || s.seqcache || ': run ALTER SEQUENCE ' || s.seqrelid::regclass || ' CACHE 1, and connect anew'
			WHEN s.seqincrement <> 1 OR s.seqcycle THEN 'the sequence of the column ordering must have INCREMENT 1 NO CYCLE'
		END
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'ordering'
			LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
				AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
			LEFT JOIN pg_sequence s ON s.seqrelid = d.objid
		WHERE c.oid = to_regclass({{'journal'}})), '')`

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
		version            int
		encoding, user     string
		standby            bool
		noTables, noRights []string
		unsafeOrder        string
	)
	err = conn.QueryRow(ctx, t.sql(serverSQL), pgx.QueryExecModeExec).
		Scan(&version, &encoding, &standby, &s.started, &s.system, &s.database, &user, &noTables, &noRights, &unsafeOrder)
	switch {
	case sqlState(err) == "42501": // insufficient privilege: names in a schema that may not be used cannot be looked up
		if whose := conn.QueryRow(ctx, "SELECT current_user::text", pgx.QueryExecModeExec).Scan(&user); whose != nil {
			return server{}, whose
		}
		return server{}, fmt.Errorf("%w: %w", &PrivilegeError{User: user, Missing: []string{"USAGE ON SCHEMA " + t.schema}}, err)
	case err != nil:
		return server{}, err
	case version < oldestServer:
		return server{}, fmt.Errorf("the server's version is %d, but at least %d is needed", version/10000, oldestServer/10000)
	case encoding != "UTF8":
		return server{}, fmt.Errorf("the database has the encoding %s: persistence ids and types need UTF8", encoding)
	case standby:
		return server{}, ErrStandby
	case len(noTables) == 4:
		return server{}, ErrNotMigrated
	case len(noTables) > 0:
		return server{}, fmt.Errorf("%w: %v are missing", ErrNotJournal, noTables)
	case len(noRights) > 0:
		return server{}, &PrivilegeError{User: user, Missing: noRights}
	case unsafeOrder != "":
		return server{}, fmt.Errorf("%w: %s", ErrUnsafeOrder, unsafeOrder)
	}
	return s, nil
}
