package takeover_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// event names one event.
type event struct {
	id  string
	seq int64
}

// receipt is a delivery that was acknowledged.
type receipt struct {
	event
	member string
	epoch  int64
	at     time.Time
}

// world is what the members publish to.
type world struct {
	server *httptest.Server
	mu     sync.Mutex
	all    []receipt
	got    map[event]bool
	wrong  []error
	open   sync.RWMutex // locked while nothing is taken
}

// close has whoever publishes wait; open, which may be called again, has them go on.
func (w *world) close() (open func()) {
	w.open.Lock()
	return sync.OnceFunc(w.open.Unlock)
}

// newWorld listens on all addresses, so that network namespaces reach it, too.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{got: map[event]bool{}}
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	require.NoError(t, err)
	w.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: w}}
	w.server.Start()
	t.Cleanup(w.server.Close)
	return w
}

// url is where a member publishes to that sees the world at this host.
func (w *world) url(host, member string) string {
	_, port, _ := net.SplitHostPort(w.server.Listener.Addr().String())
	return "http://" + net.JoinHostPort(host, port) + "/" + member
}

// ServeHTTP records, then acknowledges.
func (w *world) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	if _, err := io.ReadAll(r.Body); err != nil {
		return // the sender has gone
	}
	w.open.RLock()
	defer w.open.RUnlock()
	got := receipt{event: event{id: r.Header.Get("Ce-Subject")}, member: path.Base(r.URL.Path), at: time.Now()}
	var errs [2]error
	got.seq, errs[0] = strconv.ParseInt(r.Header.Get("Ce-Sequence"), 10, 64)
	got.epoch, errs[1] = strconv.ParseInt(r.Header.Get("Ce-Epoch"), 10, 64)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range errs {
		if err != nil {
			w.wrong = append(w.wrong, err)
			return
		}
	}
	w.all = append(w.all, got)
	w.got[got.event] = true
}

func (w *world) receipts() []receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]receipt(nil), w.all...)
}

// receivedFrom is how many events were received from a member, of a shard in an epoch, since then.
func (w *world) receivedFrom(member *process, key string, epoch int64, since time.Time) int {
	events := map[event]bool{}
	for _, r := range w.receipts() {
		if r.member == member.job.Member && keyOf(r.id) == key && r.epoch == epoch && r.at.After(since) {
			events[r.event] = true
		}
	}
	return len(events)
}

// distinct is how many events were received.
func (w *world) distinct() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.got)
}
