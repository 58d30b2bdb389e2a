package takeover_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// relayed is a TCP relay.
type relayed struct {
	listener    net.Listener
	network, to string
	mu          sync.Mutex
	open        map[net.Conn]bool
	ended       bool
	isCut       bool
	refused     int // connections, while it was cut
	running     sync.WaitGroup
	frozen      sync.RWMutex // locked while nothing passes
}

// cut ends all connections, and refuses new ones.
func (r *relayed) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isCut = true
	for c := range r.open {
		_ = c.Close()
	}
}

// refusals is how many connections it has refused.
func (r *relayed) refusals() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
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

// relay listens at an address, and passes on to another one of any network.
func relay(t *testing.T, at, network, to string) *relayed {
	t.Helper()
	l, err := net.Listen("tcp", at)
	require.NoError(t, err)
	r := &relayed{listener: l, network: network, to: to, open: map[net.Conn]bool{}}
	r.running.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

// relayTo is a relay to the database of a URL.
func relayTo(t *testing.T, at, place string) *relayed {
	t.Helper()
	config, err := pgx.ParseConfig(place)
	require.NoError(t, err)
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	return relay(t, at, network, address)
}

func (r *relayed) address() string { return r.listener.Addr().String() }

func (r *relayed) accept() {
	for {
		in, err := r.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial(r.network, r.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		if !r.keep(in, out) {
			continue
		}
		r.running.Go(func() { r.pass(in, out) })
		r.running.Go(func() { r.pass(out, in) })
	}
}

// keep notes two connections; false if it passes nothing on, and then they have ended.
func (r *relayed) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isCut {
		r.refused++
	}
	for _, c := range conns {
		if r.ended || r.isCut {
			_ = c.Close()
			continue
		}
		r.open[c] = true
	}
	return !r.ended && !r.isCut
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
