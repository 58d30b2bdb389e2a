package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// receiverProcess keeps a receiver running in a process of its own until it is stopped. One that ends by itself,
// because somebody kills it, is started again at the same address.
type receiverProcess struct {
	url   string
	state string
	quit  chan struct{}
	// done is closed when no receiver is kept running any more; err then says why.
	done chan struct{}
	err  error
}

// startReceiver returns once the receiver listens. It appends its receipts to the file named state.
func startReceiver(state string) (*receiverProcess, error) {
	first, err := launchReceiver(state, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return keepReceiver(first, state), nil
}

func keepReceiver(r *receiverChild, state string) *receiverProcess {
	p := &receiverProcess{url: r.url, state: state, quit: make(chan struct{}), done: make(chan struct{})}
	go p.keep(r)
	return p
}

func (p *receiverProcess) keep(r *receiverChild) {
	defer close(p.done)
	for {
		select {
		case <-p.quit:
			p.err = r.stdin.Close()
			<-r.ended
			return
		case <-r.ended:
		}
		var err error
		if r, err = launchReceiver(p.state, strings.TrimPrefix(p.url, "http://")); err != nil {
			p.err = fmt.Errorf("the receiver has ended and could not be started again: %w", err)
			return
		}
	}
}

// stop ends the receiver, once. It returns when the receiver has written its last receipt.
func (p *receiverProcess) stop() error {
	close(p.quit)
	<-p.done
	return p.err
}

// receiverChild is one process. It ends when its stdin does, and so when this process ends, whichever way: stdin is
// a pipe from here, and the operating system closes it.
type receiverChild struct {
	url     string
	process *os.Process
	stdin   io.Closer
	ended   chan struct{}
}

func launchReceiver(state, listen string) (*receiverChild, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to start the receiver: %w", err)
	}
	cmd := exec.Command(self, "receiver", "-listen", listen, "-state", state, "-until-eof")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the receiver: %w", err)
	}
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, errors.Join(errors.New("the receiver did not start"), stdin.Close(), cmd.Wait())
	}
	r := &receiverChild{url: strings.TrimSpace(url), process: cmd.Process, stdin: stdin, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		_ = cmd.Wait() // however it ended: it is started again, or was told to
	}()
	return r, nil
}
