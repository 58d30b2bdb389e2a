package takeover_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// relayed is a TCP relay.
type relayed struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	open     map[net.Conn]bool
	ended    bool
	running  sync.WaitGroup
	frozen   sync.RWMutex // locked while nothing passes
}

// freeze lets nothing pass, and ends nothing; thaw, which may be called again, has what is on its way go on.
func (r *relayed) freeze() (thaw func()) {
	r.frozen.Lock()
	return sync.OnceFunc(r.frozen.Unlock)
}

// flow is the writer at one end.
type flow struct {
	net.Conn
	relay *relayed
}

func (f flow) Write(p []byte) (int, error) {
	f.relay.frozen.RLock()
	defer f.relay.frozen.RUnlock()
	return f.Conn.Write(p)
}

func relay(t *testing.T, at, to string) *relayed {
	t.Helper()
	l, err := net.Listen("tcp", at)
	require.NoError(t, err)
	r := &relayed{listener: l, to: to, open: map[net.Conn]bool{}}
	r.running.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

func (r *relayed) address() string { return r.listener.Addr().String() }

func (r *relayed) accept() {
	for {
		in, err := r.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		if !r.keep(in, out) {
			return
		}
		r.running.Go(func() { r.pass(in, out) })
		r.running.Go(func() { r.pass(out, in) })
	}
}

// keep notes two connections; false if it has ended, which they have then, too.
func (r *relayed) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		if r.ended {
			_ = c.Close()
			continue
		}
		r.open[c] = true
	}
	return !r.ended
}

func (r *relayed) pass(from, to net.Conn) {
	_, _ = io.Copy(flow{to, r}, from)
	_, _ = from.Close(), to.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, from)
}

func (r *relayed) close() {
	r.mu.Lock()
	r.ended = true
	_ = r.listener.Close()
	for c := range r.open {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}
