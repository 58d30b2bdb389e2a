package postgres_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// network is what is between a pool and its server, with everything that can happen there. Its zero value lets all pass.
type network struct {
	cut     atomic.Bool // nobody can connect
	unheard atomic.Bool // notifications are lost, as in a pooler that gives a connection to others between transactions

	mu    sync.Mutex
	conns []*networkConn
	hole  chan struct{} // closed when what was lost in it can be found again; nil: nothing is lost
	dials atomic.Int64
}

func (n *network) use(c *pgxpool.Config) {
	c.ConnConfig.DialFunc = n.dial
	c.ConnConfig.TLSConfig, c.ConnConfig.Fallbacks = nil, nil // it reads what the server says
}

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.dials.Add(1)
	if n.cut.Load() {
		return nil, errors.New("the network is cut")
	}
	select {
	case <-n.healed():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &networkConn{Conn: conn, network: n}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, c)
	return c, nil
}

// freeze has the server be gone without a word, for all connections that there are. It returns how many that has changed.
func (n *network) freeze() (frozen int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		if c.frozen.CompareAndSwap(false, true) {
			frozen++
		}
	}
	return frozen
}

// isolate has the server be gone without a word until it is healed: nothing arrives from either side, no end either, and whoever
// connects waits. The connections that there are stay silent for good; then the server learns that those that were closed are.
func (n *network) isolate() (heal func()) {
	hole := make(chan struct{})
	n.mu.Lock()
	n.hole = hole
	n.mu.Unlock()
	n.freeze()
	return func() { close(hole) }
}

// healed is closed once packets arrive.
func (n *network) healed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hole == nil {
		n.hole = make(chan struct{})
		close(n.hole)
	}
	return n.hole
}

type networkConn struct {
	net.Conn
	network *network
	frozen  atomic.Bool

	message []byte // what was read of one
	rest    []byte // what was not passed on yet of another
}

func (c *networkConn) Write(b []byte) (int, error) {
	if c.frozen.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *networkConn) Close() error {
	select {
	case <-c.network.healed():
		return c.Conn.Close()
	default:
	}
	_ = c.SetDeadline(time.Unix(1, 0)) // on this side it is closed
	go func() {
		<-c.network.healed()
		_ = c.Conn.Close()
	}()
	return nil
}

func (c *networkConn) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		message, err := c.receive()
		if err != nil {
			return 0, err
		}
		const notification = 'A'
		if !c.frozen.Load() && !(message[0] == notification && c.network.unheard.Load()) {
			c.rest = message
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// receive returns the server's next message. After a deadline it goes on where it was.
func (c *networkConn) receive() ([]byte, error) {
	const header = 5 // its type, and its length without that
	for {
		size := header
		if len(c.message) >= header {
			size = 1 + int(binary.BigEndian.Uint32(c.message[1:]))
			if len(c.message) == size {
				message := c.message
				c.message = nil
				return message, nil
			}
		}
		more := make([]byte, size-len(c.message))
		n, err := c.Conn.Read(more)
		c.message = append(c.message, more[:n]...)
		if err != nil {
			return nil, err
		}
	}
}
