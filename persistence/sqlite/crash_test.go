package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

// crowdEnv makes the test binary append to the journal at that path, from many goroutines, until it is killed.
const crowdEnv = "SQLITE_TEST_CROWD_AT"

// crowdUntilKilled says on its output what it was told: a line with the id of each event that is stored.
func crowdUntilKilled(path string) int {
	j, err := sqlite.Open(context.Background(), path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var wg sync.WaitGroup
	run := os.Getpid()
	for n := range 24 {
		wg.Go(func() {
			for seq := int64(1); ; seq++ {
				e := event(fmt.Sprintf("%d-actor-%d", run, n), seq)
				if err := j.AppendEvent(context.Background(), e); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				fmt.Println(e.ID())
			}
		})
		wg.Go(func() {
			r := journal.Record{PersistenceID: fmt.Sprintf("%d-records-%d", run, n%4), Type: "T"}
			for {
				pointers, err := j.Append(context.Background(), r, r, r)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				for _, p := range pointers {
					fmt.Printf("%s/%d\n", p.PersistenceID, p.SequenceNumber)
				}
			}
		})
	}
	wg.Wait()
	return 1
}

// Whatever a process was told to be stored is there after it was killed in the middle of it, and records of one call are
// there together.
func TestAKilledProcessLosesNothingThatItWasTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	binary, err := os.Executable()
	require.NoError(t, err)
	told := map[string]bool{}
	for kill := range 4 {
		cmd := exec.CommandContext(t.Context(), binary)
		cmd.Env = append(os.Environ(), crowdEnv+"="+path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 300+100*kill {
				require.NoError(t, cmd.Process.Kill())
			}
			if id := lines.Text(); strings.Count(id, "/") == 1 { // the last line may be cut short
				told[id] = true
			}
		}
		require.Error(t, cmd.Wait(), "it was killed")

		j := open(t, path)
		last := map[string]int64{}
		for _, e := range all(t, j) {
			require.Equal(t, last[e.PersistenceID]+1, e.SequenceNumber, "%s comes in order", e.PersistenceID)
			last[e.PersistenceID]++
			delete(told, e.ID())
		}
		require.Empty(t, told, "these were said to be stored")
		for id, n := range last {
			if strings.Contains(id, "-records-") {
				require.Zero(t, n%3, "the records of a call to %s are not all there", id)
			}
		}
		require.NoError(t, j.Close())
		require.Equal(t, "ok", integrity(t, path))
	}
}
