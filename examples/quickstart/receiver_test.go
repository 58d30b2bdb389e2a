package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/testkit"
)

func post(url, subject, sequence string) (int, error) {
	r, err := http.NewRequest(http.MethodPost, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Ce-Subject", subject)
	r.Header.Set("Ce-Sequence", sequence)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func TestAReceiverThatIsKilledComesBackAtTheSameAddress(t *testing.T) {
	t.Setenv(mainEnv, "1")
	log := filepath.Join(t.TempDir(), "received.log")
	child, err := launchReceiver(log, "127.0.0.1:0")
	require.NoError(t, err)
	p := keepReceiver(child, log)
	code, err := post(p.url, "o%20%22%3A%22", "1")
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, code)

	require.NoError(t, child.process.Kill())
	require.NoError(t, testkit.AwaitCondition(t.Context(), func() bool {
		code, err := post(p.url, "o%20%22%3A%22", "2")
		return err == nil && code == http.StatusNoContent
	}, 0))
	require.NoError(t, p.stop())

	r, err := readReceipts(log)
	require.NoError(t, err)
	require.Equal(t, int64(2), r.distinct())
	require.Equal(t, int64(2), r.streams[`o ":"`].last)
}

func TestTheReceiverRefusesWhatIsNoEvent(t *testing.T) {
	t.Setenv(mainEnv, "1")
	log := filepath.Join(t.TempDir(), "received.log")
	p, err := startReceiver(log)
	require.NoError(t, err)
	for _, c := range []struct{ subject, sequence string }{{"", "1"}, {"o-1", ""}, {"o-1", "one"}, {"%", "1"}} {
		code, err := post(p.url, c.subject, c.sequence)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, code, "%+v", c)
	}
	require.NoError(t, p.stop())
	r, err := readReceipts(log)
	require.NoError(t, err)
	require.Zero(t, r.total)
}

func TestReceiptsTellDuplicatesAndOrder(t *testing.T) {
	r := receipts{streams: map[string]*stream{}}
	for _, n := range []int64{1, 2, 2, 4, 3, 4, 5} { // 4 came before 3
		r.add("a", n)
	}
	r.add("b", 1)
	require.Equal(t, int64(8), r.total)
	require.Equal(t, int64(2), r.duplicates)
	require.Equal(t, int64(1), r.outOfOrder)
	require.Equal(t, int64(5), r.streams["a"].last)
	require.True(t, r.streams["b"].has(1))
	require.False(t, r.streams["b"].has(2))
	require.False(t, r.streams["c"].has(1))
}

func TestAReceiptThatWasCutOffIsNone(t *testing.T) {
	log := filepath.Join(t.TempDir(), "received.log")
	require.NoError(t, os.WriteFile(log, []byte("2026-01-02T03:04:05.000000Z 1 \"o-1\"\n2026-01-02T03:04:05.000000Z 12 \"o-1"), 0o600))
	l, err := openReceiptLog(log)
	require.NoError(t, err)
	require.NoError(t, l.close())
	r, err := readReceipts(log)
	require.NoError(t, err)
	require.Equal(t, int64(1), r.total)
}
