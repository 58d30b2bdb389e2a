package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// What is in the data folder, besides the members' logs.
const (
	journalFile = "shop.db"
	lockFile    = "lock"
)

// lockFolder makes the data folder and takes it for this process. The operating system releases it when the process
// ends, whichever way.
func lockFolder(folder string) (unlock func() error, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock := flock.New(filepath.Join(folder, lockFile))
	locked, err := lock.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("lock the data folder: %w", err)
	case !locked:
		return nil, fmt.Errorf("another run is at work in %q: stop it, or choose another folder by -data", folder)
	}
	return lock.Unlock, nil
}

// emptyLogs begins the members' logs anew.
func emptyLogs(seats []*seat) error {
	for _, s := range seats {
		if err := os.WriteFile(s.log, nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}
