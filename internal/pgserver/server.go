package pgserver

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Server is a server of a test's own. Its methods end the test if they fail. It is not safe for concurrent use.
type Server struct {
	t    testing.TB
	dir  string // has the data, the socket and the log
	port int
}

// New makes a server and starts it. Settings are lines for postgresql.conf, such as "max_prepared_transactions = 10".
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := place(t)
	Run(t, "initdb", "--pgdata="+s.data(), "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	s.Configure(settings...)
	s.Start()
	return s
}

// place is a folder and a port for a server.
func place(t testing.TB) *Server {
	t.Helper()
	// The path of a socket may have 107 bytes only, and the folders above it must be open to the server's user.
	dir, err := os.MkdirTemp("", "pgserver") //nolint:usetesting // t.TempDir is neither
	require.NoError(t, err)
	s := &Server{t: t, dir: dir, port: freePort(t)}
	t.Cleanup(func() {
		s.StopImmediately()
		if t.Failed() {
			t.Logf("the log of the server on port %d:\n%s", s.port, s.log())
		}
		require.NoError(t, os.RemoveAll(dir))
	})
	s.Own(dir)
	return s
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *Server) data() string   { return filepath.Join(s.dir, "data") }
func (s *Server) backup() string { return filepath.Join(s.dir, "backup") }

// Configure adds lines to postgresql.conf, for the next start.
func (s *Server) Configure(settings ...string) {
	s.t.Helper()
	lines := append([]string{
		"listen_addresses = '127.0.0.1'", fmt.Sprintf("port = %d", s.port), fmt.Sprintf("unix_socket_directories = '%s'", s.dir),
	}, settings...)
	file, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(s.t, err)
	_, err = file.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	require.NoError(s.t, err)
	require.NoError(s.t, file.Close())
}

// Start starts the server, and returns when it takes connections.
func (s *Server) Start() {
	s.t.Helper()
	Run(s.t, "pg_ctl", "start", "--wait", "--silent", "--pgdata="+s.data(), "--log="+filepath.Join(s.dir, "log"))
}

// StopImmediately ends the server as a crash does: nothing is written any more, and the next start recovers from the log. It
// does nothing if the server does not run.
func (s *Server) StopImmediately() {
	s.t.Helper()
	s.stop("immediate")
}

// Stop ends the server in good order; open transactions are rolled back. It does nothing if the server does not run.
func (s *Server) Stop() {
	s.t.Helper()
	s.stop("fast")
}

func (s *Server) stop(mode string) {
	s.t.Helper()
	if _, err := os.Stat(filepath.Join(s.data(), "postmaster.pid")); err != nil {
		return
	}
	Run(s.t, "pg_ctl", "stop", "--wait", "--silent", "--pgdata="+s.data(), "--mode="+mode)
}

// Backup copies the files of a server that is stopped, for [Server.Restore].
func (s *Server) Backup() {
	s.t.Helper()
	Run(s.t, "cp", "--archive", s.data(), s.backup())
}

// Restore puts a server that is stopped back to what it was at its last Backup.
func (s *Server) Restore() {
	s.t.Helper()
	require.NoError(s.t, os.RemoveAll(s.data()))
	Run(s.t, "cp", "--archive", s.backup(), s.data())
}

// Standby makes a server that follows this one, from a copy of its files.
func (s *Server) Standby() *Server {
	s.t.Helper()
	standby := place(s.t)
	Run(s.t, "pg_basebackup", "--pgdata="+standby.data(), "--dbname="+s.URL("postgres"),
		"--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	standby.Configure()
	standby.Start()
	return standby
}

// Promote makes a standby a primary.
func (s *Server) Promote() {
	s.t.Helper()
	Run(s.t, "pg_ctl", "promote", "--wait", "--silent", "--pgdata="+s.data())
}

// Folder makes a folder beside the server's data, for a file system to be mounted on.
func (s *Server) Folder(name string) (path string) {
	s.t.Helper()
	path = filepath.Join(s.dir, name)
	require.NoError(s.t, os.Mkdir(path, 0o700))
	s.Own(path)
	return path
}

// Own gives a folder to the server's user.
func (s *Server) Own(path string) {
	s.t.Helper()
	if os.Getuid() == 0 {
		uid, gid := serverUser(s.t)
		require.NoError(s.t, os.Chown(path, uid, gid))
	}
}

// MoveLog moves the write-ahead log of a server that is stopped into a folder.
func (s *Server) MoveLog(folder string) {
	s.t.Helper()
	from, to := filepath.Join(s.data(), "pg_wal"), filepath.Join(folder, "pg_wal")
	Run(s.t, "cp", "--archive", from, to)
	require.NoError(s.t, os.RemoveAll(from))
	require.NoError(s.t, os.Symlink(to, from))
}

// Address is host:port.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// URL is that of a database of the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", s.Address(), database)
}

// log is what the server has logged.
func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}
