package postgres

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// DefaultSchema is the schema that holds the journal's tables unless [WithSchema] names another.
const DefaultSchema = "outbox"

// maxIdentifier is the longest name that PostgreSQL keeps whole, in bytes.
const maxIdentifier = 63

// Option says where in the database a journal is. All calls for one journal are given the same.
type Option func(*options)

// WithSchema names the schema that holds the journal's tables, as it is: no quotes, no folding to lower case. The default
// is [DefaultSchema]. [Migrate] makes it if there is none.
func WithSchema(name string) Option { return func(o *options) { o.schema = name } }

// WithTablePrefix is put before the tables' names, "journal", "actor_snapshots", "outbox_snapshots" and "meta", so that
// they can share a schema with others. The default is none.
func WithTablePrefix(prefix string) Option { return func(o *options) { o.prefix = prefix } }

type options struct{ schema, prefix string }

// tables are the journal's tables as they are written in SQL.
type tables struct {
	schema string // quoted
	// sql puts the names into a statement that has {{journal}} for the table "journal", and so on; {{'journal'}} for its
	// name as a string.
	sql func(statement string) string
	// name is the journal's table, for errors and as a key.
	name string
}

func newTables(opts []Option) (tables, error) {
	o := options{schema: DefaultSchema}
	for _, opt := range opts {
		opt(&o)
	}
	if err := checkIdentifier(o.schema); err != nil {
		return tables{}, fmt.Errorf("WithSchema(%.80q): %w", o.schema, err)
	}
	if o.schema == "pg_temp" || strings.HasPrefix(o.schema, "pg_") {
		return tables{}, fmt.Errorf("WithSchema(%q): PostgreSQL keeps names with pg_ to itself", o.schema)
	}
	var pairs []string
	for _, table := range []string{"journal", "actor_snapshots", "outbox_snapshots", "meta"} {
		if err := checkIdentifier(o.prefix + table); err != nil {
			return tables{}, fmt.Errorf("WithTablePrefix(%.80q): with the table's name %s: %w", o.prefix, table, err)
		}
		quoted := pgx.Identifier{o.schema, o.prefix + table}.Sanitize()
		pairs = append(pairs, "{{"+table+"}}", quoted, "{{'"+table+"'}}", quoteLiteral(quoted))
	}
	schema := pgx.Identifier{o.schema}.Sanitize()
	pairs = append(pairs, "{{schema}}", schema, "{{'schema'}}", quoteLiteral(schema))
	return tables{schema: schema, sql: strings.NewReplacer(pairs...).Replace, name: o.schema + "." + o.prefix + "journal"}, nil
}

func checkIdentifier(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the name is empty")
	case len(name) > maxIdentifier:
		return fmt.Errorf("the name has %d bytes, at most %d are allowed", len(name), maxIdentifier)
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return fmt.Errorf("the name is not valid UTF-8 without NUL")
	}
	return nil
}

// quoteLiteral is for text that is no parameter. Backslashes mean themselves in an E string only when doubled.
func quoteLiteral(s string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
}
