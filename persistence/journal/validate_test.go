package journal_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestARecordThatCannotBeStoredIsNamedWithItsField(t *testing.T) {
	good := journal.Record{PersistenceID: "order-17", Type: "shop.OrderPlaced", Tags: []string{"eu"}, Metadata: map[string]string{"key": "value"}}
	require.NoError(t, journal.ValidateRecords(nil))
	require.NoError(t, journal.ValidateRecords([]journal.Record{good, {PersistenceID: "a", Type: "T"}}))

	for name, c := range map[string]struct {
		spoil func(*journal.Record)
		err   error
		says  string
	}{
		"no id":               {func(r *journal.Record) { r.PersistenceID = "" }, query.ErrInvalidID, "persistence id"},
		"a long id":           {func(r *journal.Record) { r.PersistenceID = strings.Repeat("x", 10_000) }, query.ErrInvalidID, "10000 bytes"},
		"no type":             {func(r *journal.Record) { r.Type = "" }, journal.ErrNotEncodable, "type is empty"},
		"a type of no text":   {func(r *journal.Record) { r.Type = "\xff" }, journal.ErrNotEncodable, `type "\xff"`},
		"a type with NUL":     {func(r *journal.Record) { r.Type = "a\x00b" }, journal.ErrNotEncodable, `type "a\x00b"`},
		"a content type":      {func(r *journal.Record) { r.ContentType = "\xff" }, journal.ErrNotEncodable, `content type "\xff"`},
		"a tag":               {func(r *journal.Record) { r.Tags = []string{"\xff"} }, journal.ErrNotEncodable, `tag "\xff"`},
		"a key of metadata":   {func(r *journal.Record) { r.Metadata = map[string]string{"\xff": ""} }, journal.ErrNotEncodable, `metadata "\xff"`},
		"a value of metadata": {func(r *journal.Record) { r.Metadata = map[string]string{"k": "\xff"} }, journal.ErrNotEncodable, `metadata "k"`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := good
			c.spoil(&bad)
			err := journal.ValidateRecords([]journal.Record{good, bad, good, bad})
			require.ErrorIs(t, err, c.err)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "record 2")
			require.ErrorContains(t, err, "record 4")
			require.NotContains(t, err.Error(), "record 1")
			require.NotContains(t, err.Error(), "record 3")
			require.True(t, journal.IsFinal(err))
		})
	}
}
