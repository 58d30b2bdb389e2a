package ledger

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Environment: OUTBOX_SIM_SEEDS is the number of seeds, OUTBOX_SIM_FROM the first one; OUTBOX_SIM_SEED runs one seed and
// prints its transcript.
const (
	seedsVariable = "OUTBOX_SIM_SEEDS"
	fromVariable  = "OUTBOX_SIM_FROM"
	seedVariable  = "OUTBOX_SIM_SEED"
	defaultSeeds  = 1000
	// randomSeeds are run besides the fixed ones, so that every run looks somewhere new.
	randomSeeds = 20
)

// overSeeds runs a simulation, which returns its transcript, with many seeds, several at a time, until one fails. It returns
// the number of fixed ones, and 0 if it was asked for a single one.
func overSeeds(t *testing.T, simulate func(seed uint64, logging bool) (string, error)) (count int) {
	if one := os.Getenv(seedVariable); one != "" {
		seed, err := strconv.ParseUint(one, 10, 64)
		require.NoError(t, err)
		transcript, err := simulate(seed, true)
		t.Logf("transcript of seed %d:\n%s", seed, transcript)
		require.NoError(t, err)
		return 0
	}
	count, from := number(t, seedsVariable, defaultSeeds), number(t, fromVariable, 1)
	first := rand.Uint64() >> 32 // short enough to be typed
	t.Logf("seeds %d to %d and %d to %d", from, from+count-1, first, first+randomSeeds-1)

	var (
		next   atomic.Int64
		failed atomic.Bool
		wg     sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !failed.Load() {
				n := next.Add(1)
				if n > int64(count)+randomSeeds {
					return
				}
				seed := uint64(from) + uint64(n) - 1
				if n > int64(count) {
					seed = first + uint64(n-int64(count)-1)
				}
				if _, err := simulate(seed, false); err != nil {
					if !failed.Swap(true) {
						transcript, again := simulate(seed, true)
						reportSeed(t, seed, n, transcript, err, again)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	return count
}

// number reads a number from the environment.
func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, variable)
	return n
}

// reportSeed tells of a seed that has failed, the n-th of this test, with the transcript of a second run.
func reportSeed(t *testing.T, seed uint64, n int64, transcript string, err, again error) {
	lines := strings.Split(strings.TrimSuffix(transcript, "\n"), "\n")
	tail := lines[max(0, len(lines)-60):]
	t.Errorf("seed %d, the %d. of this run: %v\n(a second run: %v)\nthe last of %d lines:\n%s\n\nrun it alone: %s=%d go test -run '%s$' -v ./outbox/internal/ledger",
		seed, n, err, again, len(lines), strings.Join(tail, "\n"), seedVariable, seed, t.Name())
}
