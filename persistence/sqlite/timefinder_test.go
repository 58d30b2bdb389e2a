package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func TestAClockThatWasSetBackHidesNoEventFromASearchByTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, path)
	for seq := int64(1); seq <= 4; seq++ {
		require.NoError(t, j.AppendEvent(t.Context(), event("a", seq)))
	}
	rawSQL(t, path, "UPDATE events SET time = CASE offset WHEN 1 THEN 100 WHEN 2 THEN 110 WHEN 3 THEN 105 ELSE 115 END")
	for micros, want := range map[int64]query.Offset{100: 0, 101: 1, 105: 1, 110: 1, 111: 3, 115: 3, 116: 4} {
		offset, err := j.OffsetAt(t.Context(), time.UnixMicro(micros))
		require.NoError(t, err)
		require.Equal(t, want, offset, "%d µs", micros)
	}
}
