package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// What is in the data folder. Each journal has a receipt log of its own, so that a journal that was removed by hand
// does not make the receipts of another one look like duplicates.
const (
	journalFile = "shop.db"
	lockFile    = "lock"
)

func receiptFile(journalIdentity string) string { return "received-" + journalIdentity + ".log" }

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

// emptyFolder removes what earlier runs left, and nothing else.
func emptyFolder(folder string) error {
	for _, pattern := range []string{journalFile, journalFile + "-wal", journalFile + "-shm", receiptFile("*")} {
		names, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				return fmt.Errorf("begin anew: %w", err)
			}
		}
	}
	return nil
}
