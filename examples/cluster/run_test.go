package main

import (
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// The play itself, in short. The members are processes of their own, and the rest is this one.
func TestAKillALeaveAndAJoinLoseNothing(t *testing.T) {
	for kind, place := range map[string]func(*testing.T) string{
		"SQLite":     func(*testing.T) string { return "" },
		"PostgreSQL": newDatabase,
	} {
		t.Run(kind, func(t *testing.T) {
			data, out := t.TempDir(), &output{}
			err := run(t.Context(), settings{
				program: program, data: data, journal: place(t), shards: 8, customers: 100,
				beat: 400 * time.Millisecond, calm: 100 * time.Millisecond,
			}, out)
			t.Log(out)
			require.NoError(t, err, "%s", logs(t, data))
			said := out.String()
			require.Contains(t, said, "were received, in order, and none is lost")
			killed := regexp.MustCompile(`kill -9 (\w+) \(process \d+\), the owner of (.*)`).FindStringSubmatch(said)
			require.NotNil(t, killed)
			for _, shard := range regexp.MustCompile(`shop-\d`).FindAllString(killed[2], -1) {
				require.Regexp(t, shard+` publishes again, \d+\.\d s after the kill: epoch \d+, after \d+`, said)
			}
			require.Regexp(t, `shop-\d publishes again, after a pause of`, said)
			require.Contains(t, said, killed[1]+" starts again")
			require.Equal(t, 4, strings.Count(said, "every shard has an owner and publishes"), "once in each act")
		})
	}
}

// logs are what the members complain of.
func logs(t *testing.T, data string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range memberNames {
		text, err := os.ReadFile(filepath.Join(data, name+".log"))
		require.NoError(t, err)
		all.WriteString("\n" + name + ":\n" + string(text[max(0, len(text)-4000):]))
	}
	return all.String()
}

// newDatabase makes a database for the test, and returns its URL.
func newDatabase(t *testing.T) string {
	t.Helper()
	url := os.Getenv("OUTBOX_TEST_POSTGRES_URL")
	if url == "" {
		url = "postgres://postgres@127.0.0.1:5432/postgres"
	}
	admin, err := pgx.Connect(context.Background(), url)
	if err != nil && os.Getenv("OUTBOX_REQUIRE_SERVICES") != "1" {
		t.Skipf("SKIPPED: there is no PostgreSQL server (OUTBOX_TEST_POSTGRES_URL, else 127.0.0.1:5432): %v", err)
	}
	require.NoError(t, err)
	name := "outbox_cluster_" + strings.ToLower(rand.Text())
	_, err = admin.Exec(context.Background(), "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		require.NoError(t, err)
		require.NoError(t, admin.Close(context.Background()))
	})
	return regexp.MustCompile(`/[^/?]*(\?|$)`).ReplaceAllString(url, "/"+name+"$1")
}

func TestEveryShardHasCustomers(t *testing.T) {
	had := map[int]int{}
	for _, name := range orderNames("20260102-", 16, 8) {
		had[int(query.SliceOf(orderID(name)))/(query.NumSlices/8)]++
	}
	require.Len(t, had, 8)
	for shard, customers := range had {
		require.Equal(t, 2, customers, "shard %d", shard)
	}
}

func TestASignalStopsInGoodOrder(t *testing.T) {
	data, out := t.TempDir(), &output{}
	cmd := exec.CommandContext(t.Context(), program, "-data", data, "-customers", "40")
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool {
		return strings.Contains(out.String(), "every shard has an owner")
	}, patience))
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	require.Equal(t, 1, cmd.ProcessState.ExitCode(), "%s\n%s", out, logs(t, data))
	said := out.String()
	require.Contains(t, said, "another signal ends it at once")
	require.Contains(t, said, "it was not played to the end")
	require.NotContains(t, said, "LOST")
	require.NotContains(t, said, "did not leave in good order")
}

func TestAMistakeInTheArgumentsIsExplained(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-h"}, 0, "Usage: cluster"},
		{[]string{"-speed", "9"}, 2, "flag provided but not defined: -speed"},
		{[]string{"start"}, 2, `"start" is not a flag`},
		{[]string{"-shards", "0"}, 2, "there must be 1 to 1024 shards"},
		{[]string{"member"}, 2, "a member is started by cluster, not by hand"},
		{[]string{"-journal", "postgres://127.0.0.1:1/none?connect_timeout=1"}, 1, "migrate the journal"},
	} {
		cmd := exec.CommandContext(t.Context(), program, c.args...)
		cmd.Dir = t.TempDir()
		text, _ := cmd.CombinedOutput()
		require.Equal(t, c.code, cmd.ProcessState.ExitCode(), "%v: %s", c.args, text)
		require.Contains(t, string(text), c.says)
	}
}
