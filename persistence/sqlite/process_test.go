package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/sqlite"
)

const (
	// appenderEnv makes the test binary append to the journal at that path instead of testing.
	appenderEnv = "SQLITE_TEST_APPEND_TO"

	ownEvents    = 30 // what each process appends to an id of its own
	sharedEvents = 30 // what all of them together append to the id "shared"
)

func appendFromAnotherProcess(path string) int {
	if err := appendOwnAndShared(context.Background(), path, fmt.Sprint(os.Getpid())); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// appendOwnAndShared opens the journal and appends to the id name, and in turns to "shared", where it competes.
func appendOwnAndShared(ctx context.Context, path, name string) (err error) {
	j, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	for seq := int64(1); seq <= ownEvents; seq++ {
		if err := j.AppendEvent(ctx, event(name, seq)); err != nil {
			return err
		}
	}
	for {
		last, err := j.LastSequenceNumber(ctx, "shared")
		if err != nil || last >= sharedEvents {
			return err
		}
		e := event("shared", last+1)
		copy(e.UID[:], name)
		if err := j.AppendEvent(ctx, e); err != nil && !errors.Is(err, journal.ErrSequenceConflict) {
			return err
		}
	}
}

// Several processes, and several handles within one, create the same file at once and append to it. A reader
// tails it all the while.
func TestProcessesShareAFile(t *testing.T) {
	const processes, handles = 3, 3
	path := filepath.Join(t.TempDir(), "shared.db")
	binary, err := os.Executable()
	require.NoError(t, err)

	var (
		wg    sync.WaitGroup
		fails = make(chan error, processes+handles)
	)
	for range processes {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), binary)
			cmd.Env = append(os.Environ(), appenderEnv+"="+path)
			if out, err := cmd.CombinedOutput(); err != nil {
				fails <- fmt.Errorf("process: %w: %s", err, out)
			}
		})
	}
	for h := range handles {
		wg.Go(func() {
			if err := appendOwnAndShared(t.Context(), path, fmt.Sprintf("handle-%d", h)); err != nil {
				fails <- err
			}
		})
	}
	const want = (processes+handles)*ownEvents + sharedEvents
	j := open(t, path)
	var (
		tailed []query.Event
		after  query.Offset
	)
	for len(tailed) < want && len(fails) == 0 {
		page, err := j.Events(t.Context(), after, query.Filter{}, query.Limits{Events: 7})
		require.NoError(t, err)
		tailed, after = append(tailed, page.Events...), page.Next
	}
	wg.Wait()
	close(fails)
	for err := range fails {
		require.NoError(t, err)
	}

	require.Equal(t, all(t, j), tailed)
	require.Len(t, tailed, want)
	last := map[string]int64{}
	for _, e := range tailed {
		require.Equal(t, last[e.PersistenceID]+1, e.SequenceNumber, "%s comes in order", e.PersistenceID)
		last[e.PersistenceID]++
	}
	require.Len(t, last, processes+handles+1)
}
