package postgres_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// wire is a proxy before a server: it counts the protocol's messages of all connections, in both directions, and cuts a
// connection after one of them. It can also lead to another server from some moment on, as an address does that moves.
type wire struct {
	listener net.Listener
	running  sync.WaitGroup

	mu       sync.Mutex
	target   string
	messages int
	cutAt    int // messages at which a connection is cut; 0: none
	cuts     int
	closed   bool
	open     map[net.Conn]bool
}

// newWire makes a proxy that leads to an address.
func newWire(t testing.TB, target string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{listener: listener, target: target, open: map[net.Conn]bool{}}
	w.running.Go(w.accept)
	t.Cleanup(w.close)
	return w
}

// through has a pool connect through the proxy, in clear text.
func (w *wire) through(c *pgxpool.Config) {
	address := w.listener.Addr().(*net.TCPAddr)
	c.ConnConfig.Host, c.ConnConfig.Port = "127.0.0.1", uint16(address.Port)
	c.ConnConfig.TLSConfig, c.ConnConfig.Fallbacks = nil, nil
}

// cutAfter has the connection cut on which the nth message from now on passes, right after that message.
func (w *wire) cutAfter(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages, w.cutAt = 0, n
}

// heal cuts nothing any more. It returns how many messages have passed since cutAfter, and how many connections were ever cut.
func (w *wire) heal() (messages, cuts int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutAt = 0
	return w.messages, w.cuts
}

// moveTo leads to another server from now on. Connections to the old one stay, if they can.
func (w *wire) moveTo(target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = target
}

// cutAll cuts every connection.
func (w *wire) cutAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.open {
		_ = conn.Close()
	}
}

func (w *wire) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	_ = w.listener.Close()
	w.cutAll()
	w.running.Wait()
}

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.running.Go(func() { w.serve(client) })
	}
}

// keep notes a connection, to be able to cut it. It reports false if the proxy is closed.
func (w *wire) keep(conn net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[conn] = true
	return !w.closed
}

func (w *wire) drop(conn net.Conn) {
	_ = conn.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, conn)
}

func (w *wire) serve(client net.Conn) {
	defer w.drop(client)
	w.mu.Lock()
	target := w.target
	w.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer w.drop(server)
	if !w.keep(client) || !w.keep(server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		w.pass(client, server, true)
		// The server gets all that was sent, and then learns that the client is gone.
		_ = server.(*net.TCPConn).CloseWrite()
	})
	both.Go(func() {
		w.pass(server, client, false)
		_ = client.Close()
		_, _ = io.Copy(io.Discard, server)
	})
	both.Wait()
}

// pass passes on messages, until an end is closed or the connection is cut.
func (w *wire) pass(from, to net.Conn, fromClient bool) {
	in := bufio.NewReader(from)
	for first := fromClient; ; first = false {
		header := 5 // type and length
		if first {
			header = 4 // the first message of a client has no type
		}
		start, err := in.Peek(header)
		if err != nil {
			return
		}
		message := make([]byte, header-4+int(binary.BigEndian.Uint32(start[header-4:])))
		if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		cut := w.count()
		if _, err := to.Write(message); err != nil {
			return
		}
		if cut {
			if fromClient {
				_ = from.(*net.TCPConn).SetLinger(0) // a reset, rather than an end
				_ = from.Close()
			}
			return
		}
	}
}

func (w *wire) count() (cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages++
	if w.cutAt == 0 || w.messages != w.cutAt {
		return false
	}
	w.cuts++
	return true
}
