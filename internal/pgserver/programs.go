package pgserver

import (
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// programTimeout bounds what one of PostgreSQL's programs may take, other than the server.
const programTimeout = time.Minute

// Run carries out one of PostgreSQL's programs, as the user of the servers, and returns what it prints. A program that fails ends the test.
func Run(t testing.TB, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, find(t, program), args...)
	cmd.Dir = os.TempDir() // the user of the server may not be let into the current one
	cmd.SysProcAttr = asServer(t)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", program, strings.Join(args, " "), out)
	return string(out)
}

// find returns the program's path: the one in PATH, or that of the newest version that Debian has installed. Without it the
// test is skipped, unless OUTBOX_REQUIRE_SERVICES=1.
func find(t testing.TB, program string) string {
	t.Helper()
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	require.NoError(t, err)
	best, version := "", 0
	for _, path := range installed {
		if v, err := strconv.Atoi(strings.Split(path, "/")[4]); err == nil && v > version {
			best, version = path, v
		}
	}
	if best != "" {
		return best
	}
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if os.Getenv("OUTBOX_REQUIRE_SERVICES") == "1" {
		require.FailNow(t, "OUTBOX_REQUIRE_SERVICES=1, but PostgreSQL's program "+program+" is not installed")
	}
	t.Skipf("SKIPPED: PostgreSQL's program %s is not installed", program)
	return ""
}

// asServer has a program run as the user that a server is run as: not as root, which PostgreSQL refuses.
func asServer(t testing.TB) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	uid, gid := serverUser(t)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func serverUser(t testing.TB) (uid, gid int) {
	t.Helper()
	u, err := user.Lookup("postgres")
	require.NoError(t, err, "PostgreSQL does not run as root, and there is no user postgres")
	uid, err = strconv.Atoi(u.Uid)
	require.NoError(t, err)
	gid, err = strconv.Atoi(u.Gid)
	require.NoError(t, err)
	return uid, gid
}
