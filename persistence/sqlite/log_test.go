package sqlite_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/memory"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// seedEnv repeats the run of one seed.
const seedEnv = "SQLITE_TEST_SEED"

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if given := os.Getenv(seedEnv); given != "" {
		var err error
		seed, err = strconv.ParseUint(given, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("repeat with %s=%d", seedEnv, seed)
	return seed
}

// A power cut on storage that lies about syncs leaves any part of the write-ahead log. Whatever is left of it, the
// journal opens with the beginning of its history, and goes on from there.
func TestALogCutShortLeavesTheBeginningOfTheHistory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.db")
	j := open(t, path)
	for seq := int64(1); seq <= 6; seq++ {
		appendTo(t, j, "a", seq, seq)
		appendTo(t, j, fmt.Sprintf("b-%d", seq), 1, 1)
	}
	history := all(t, j)
	db, err := os.ReadFile(path)
	require.NoError(t, err)
	log, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)

	random := rand.New(rand.NewPCG(seedOf(t), 0))
	const header, frameHeader = 32, 24
	frame := frameHeader + int(binary.BigEndian.Uint32(log[8:]))
	var cuts []int
	for at := header; at <= len(log); at += frame {
		cuts = append(cuts, at)
	}
	require.Equal(t, len(log), cuts[len(cuts)-1], "the log ends with a frame")
	for range 5 {
		cuts = append(cuts, random.IntN(len(log)))
	}
	slices.Sort(cuts)

	longest := 0
	for i, at := range cuts {
		copied := filepath.Join(dir, fmt.Sprintf("cut-%d.db", i))
		require.NoError(t, os.WriteFile(copied, db, 0o600))
		require.NoError(t, os.WriteFile(copied+"-wal", log[:at], 0o600))
		cut, err := sqlite.Open(t.Context(), copied)
		require.NoError(t, err, "cut at byte %d", at)
		left := all(t, cut)
		require.Equal(t, ids(history)[:len(left)], ids(left), "cut at byte %d", at)
		require.GreaterOrEqual(t, len(left), longest, "more of the log is more of the history")
		longest = len(left)

		last, err := cut.LastSequenceNumber(t.Context(), "a")
		require.NoError(t, err)
		appendTo(t, cut, "a", last+1, last+1)
		appendTo(t, cut, "new", 1, 1)
		require.Len(t, all(t, cut), len(left)+2)
		require.NoError(t, cut.Close())
		require.Equal(t, "ok", integrity(t, copied))
		if at == cuts[0] {
			require.Empty(t, left)
		}
	}
	require.Len(t, history, longest, "the whole log is the whole history")
}

// Offsets that are kept elsewhere do not lose their tail together with the journal.
func TestAnOutboxWhoseOffsetsAreBeyondALogCutShortSaysSo(t *testing.T) {
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "journal.db"), filepath.Join(dir, "cut.db")
	offsets := memory.New()
	t.Cleanup(func() { require.NoError(t, offsets.Close()) })
	j := open(t, path)
	appendTo(t, j, "a", 1, 5)
	log, err := os.ReadFile(path + "-wal")
	require.NoError(t, err)
	db, err := os.ReadFile(path)
	require.NoError(t, err)
	appendTo(t, j, "a", 6, 10)
	p := publish(t, j, outbox.WithSnapshots(offsets))
	p.flush(t)
	p.stop(t)

	require.NoError(t, os.WriteFile(copied, db, 0o600))
	require.NoError(t, os.WriteFile(copied+"-wal", log, 0o600))
	cut := open(t, copied)
	require.Len(t, all(t, cut), 5)
	again := publish(t, cut, outbox.WithSnapshots(offsets))
	require.ErrorIs(t, again.why(t), outbox.ErrJournalChanged)
	require.Empty(t, again.published())
}
