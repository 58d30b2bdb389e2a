package postgres_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
)

// network is what is between a pool and its server, with everything that can happen there. Its zero value lets all pass.
type network struct {
	cut     atomic.Bool // nobody can connect
	unheard atomic.Bool // notifications are lost, as in a pooler that gives a connection to others between transactions

	mu    sync.Mutex
	conns []*networkConn
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

// freeze has the server be gone without a word, for all connections that there are.
func (n *network) freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		c.frozen.Store(true)
	}
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
