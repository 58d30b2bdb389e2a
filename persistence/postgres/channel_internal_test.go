package postgres

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestEachJournalHasAChannelOfItsOwn(t *testing.T) {
	names := map[string]bool{}
	for _, opts := range [][]Option{
		nil,
		{WithSchema("a.b")},
		{WithSchema("a"), WithTablePrefix("b.")}, // of the same name
		{WithSchema(strings.Repeat("s", 63))},
		{WithSchema(strings.Repeat("s", 63)), WithTablePrefix("p")},
		{WithSchema(strings.Repeat("€", 21))},
		{WithSchema(strings.Repeat("€", 20) + "a")},
	} {
		tables, err := newTables(opts)
		require.NoError(t, err)
		name := channelOf(tables)
		require.LessOrEqual(t, len(name), 63)
		require.True(t, utf8.ValidString(name), name)
		require.False(t, names[name], name)
		names[name] = true
	}
	require.Contains(t, names, "outbox.journal/24c912f920622dfc", "programs of other versions use it")
}
