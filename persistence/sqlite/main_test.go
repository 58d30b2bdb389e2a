package sqlite_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(appenderEnv); path != "" {
		os.Exit(appendFromAnotherProcess(path))
	}
	if path := os.Getenv(crowdEnv); path != "" {
		os.Exit(crowdUntilKilled(path))
	}
	goleak.VerifyTestMain(m)
}
