package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The server is gone without a word, while everybody reads, appends, saves and listens, and comes back: what was asked last may have
// been done, or not, or be half done and hold locks until the server hears that nobody is there any more. The connections
// that there were stay silent. Each call gives its connection up when its time is over, and goes on with another one.
func TestSilenceWhileEverybodyIsAtWork(t *testing.T) {
	direct := migrated(t)
	n := &network{}
	a := startApp(t, withSecret(t, databaseURL(t, direct.Config().ConnConfig.Database), n.use))
	awaitListening(t, a.j)
	failed := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.errs)
	}
	a.during(func() {
		for range faultRounds(t, 1) {
			a.some(100)
			before := failed()
			heal := n.isolate()
			await(t, "calls fail", func() bool { return failed() >= before+10 })
			heal()
			healed := time.Now()
			a.some(1)
			t.Logf("after %v the first append is acknowledged", time.Since(healed).Round(time.Millisecond))
			a.some(100)
			t.Logf("after %v it is the hundredth", time.Since(healed).Round(time.Millisecond))
		}
	})
	a.check()
	require.Empty(t, a.blocked, "the journal is the same")
	awaitThat(t, func() bool { return a.j.Waking().Listening && a.j.Waking().NotifyErr == nil }, "waking works again")
}
