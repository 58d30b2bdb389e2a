package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// seat is where a member runs, one process at a time: it has the addresses that the others and the customers know.
type seat struct {
	name     string
	program  string // of the member: this one
	settings memberSettings
	log      string // file of what its members complain of

	cmd   *exec.Cmd // nil if nobody sits here
	stdin io.Closer // whose end tells the member to leave
	ended chan struct{}
	err   error // of the process; set before ended is closed
}

// newSeats draws ports for the members: free ones, and at random, because the cluster hashes addresses, and those that differ in
// their last digit only share the shards badly.
func newSeats(program string, names []string, s memberSettings, data string) ([]*seat, error) {
	seats := make([]*seat, len(names))
	var held []net.Listener // so that no port is drawn twice
	defer func() {
		for _, listener := range held {
			_ = listener.Close() // it has served its purpose
		}
	}()
	for i, name := range names {
		seats[i] = &seat{name: name, program: program, settings: s, log: filepath.Join(data, name+".log")}
		for _, port := range []*int{&seats[i].settings.Port, &seats[i].settings.Health, &seats[i].settings.Front} {
			listener, err := listenAnywhere()
			if err != nil {
				return nil, err
			}
			held = append(held, listener)
			*port = listener.Addr().(*net.TCPAddr).Port
		}
	}
	var all []string
	for _, s := range seats {
		all = append(all, net.JoinHostPort(host, fmt.Sprint(s.settings.Health)))
	}
	for _, s := range seats {
		s.settings.Seats = all
	}
	return seats, nil
}

// listenAnywhere listens on a port below those that systems hand out to whoever asks for any. A member listens there later, and
// again when it comes back: nobody must be given its port meanwhile.
func listenAnywhere() (listener net.Listener, err error) {
	for range 100 {
		listener, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(12_000+rand.IntN(20_000))))
		if err == nil {
			return listener, nil
		}
	}
	return nil, fmt.Errorf("find a free port: %w", err)
}

// address of the member in the cluster.
func (s *seat) address() string { return net.JoinHostPort(host, fmt.Sprint(s.settings.Port)) }

// front is the URL for customers.
func (s *seat) front() string {
	return "http://" + net.JoinHostPort(host, fmt.Sprint(s.settings.Front))
}

// sit starts a member. It ends when this process does, whichever way: its stdin is a pipe from here.
func (s *seat) sit() error {
	settings, err := json.Marshal(s.settings)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.program, "member")
	cmd.Env = append(os.Environ(), memberEnv+"="+string(settings))
	cmd.Stderr = log // its stdout is not its own: the provider's HTTP server greets there
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start member %s: %w", s.name, err)
	}
	s.cmd, s.ended = cmd, make(chan struct{})
	go func(ended chan struct{}) {
		s.err = cmd.Wait()
		close(ended)
	}(s.ended)
	return nil
}

// taken reports whether a member sits here.
func (s *seat) taken() bool { return s.cmd != nil }

// pid of the member's process.
func (s *seat) pid() int { return s.cmd.Process.Pid }

// kill is kill -9.
func (s *seat) kill() error {
	err := s.cmd.Process.Kill()
	<-s.ended
	s.cmd = nil
	return err
}

// askToLeave has the member leave in good order.
func (s *seat) askToLeave() error { return s.stdin.Close() }

// left waits until the member has left, and kills it if it takes too long.
func (s *seat) left() error {
	defer func() { s.cmd = nil }()
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill() // it may just have ended
		<-s.ended
		return fmt.Errorf("%s did not leave within %v and was killed; see %s", s.name, patience, s.log)
	}
	if s.err != nil {
		return fmt.Errorf("%s did not leave in good order: %w; see %s", s.name, s.err, s.log)
	}
	return nil
}

// look asks the member how the shards are.
func (s *seat) look() (view clusterView, err error) {
	select {
	case <-s.ended:
		return view, fmt.Errorf("%s has ended: %w; see %s", s.name, errors.Join(errEnded, s.err), s.log)
	default:
	}
	client := http.Client{Timeout: answerWithin + time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(s.front() + "/shards")
	if err != nil {
		return view, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return view, fmt.Errorf("%s: %s", s.front(), response.Status)
	}
	return view, json.NewDecoder(response.Body).Decode(&view)
}

// errEnded is that of a member that has ended by itself.
var errEnded = errors.New("its process is gone")
