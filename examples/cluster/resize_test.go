package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/shards"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

// What no member has published is, before the number is another.
func TestAResizePublishesWhatIsLeft(t *testing.T) {
	data, out := t.TempDir(), &output{}
	place := filepath.Join(data, journalFile)
	j, err := openStorage(t.Context(), place)
	require.NoError(t, err)
	_, err = j.orders.(journal.Appender).Append(t.Context(), journal.Record{PersistenceID: "a", Type: "x", ContentType: "text/plain", Data: []byte("x")})
	require.NoError(t, err)
	require.NoError(t, j.close())

	for _, change := range []resizing{{from: 0, to: 8}, {from: 8, to: 3}, {from: 8, to: 3}} {
		change.data = data
		require.NoError(t, resize(t.Context(), change, out))
	}
	require.Equal(t, "was left: a/1\n8 shards from now on: start members with -shards 8\n"+
		"3 shards from now on: start members with -shards 3\n3 shards from now on: start members with -shards 3\n", out.String())
	require.ErrorIs(t, resize(t.Context(), resizing{data: data, from: 8, to: 3, abort: true}, out), shards.ErrLayout, "it is complete")
	require.NoError(t, resize(t.Context(), resizing{data: data, from: 3, to: 5, abort: true}, out), "there is none")
	require.Contains(t, out.String(), "3 shards, as before")

	unlock, err := lockFolder(data)
	require.NoError(t, err)
	require.Error(t, resize(t.Context(), resizing{data: data, from: 3, to: 5}, out), "members run")
	require.NoError(t, unlock())
	wrong := (*usageError)(nil)
	require.ErrorAs(t, runResize(t.Context(), []string{"-data", data, "-to", "5"}), &wrong, "from is missing")
	require.ErrorAs(t, runResize(t.Context(), []string{"-data", data, "-from", "5", "-to", "5"}), &wrong)
}
