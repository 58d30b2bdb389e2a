package main

import (
	"io"
	"os"
	"sync"
)

// console is stderr: lines that stay, and below them, on a terminal, one that changes.
type console struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	status   string
}

func newConsole(out *os.File) *console {
	info, err := out.Stat()
	return &console{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

const eraseLine = "\r\x1b[K"

// Write writes whole lines above the status. It is safe for concurrent use.
func (c *console) Write(lines []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status == "" {
		return c.out.Write(lines)
	}
	_, err := io.WriteString(c.out, eraseLine+string(lines)+c.status)
	return len(lines), err
}

// show replaces the status; "" removes it. Away from a terminal, where it could not be replaced, it becomes a line.
func (c *console) show(status string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.terminal:
		_, _ = io.WriteString(c.out, eraseLine+status)
		c.status = status
	case status != "":
		_, _ = io.WriteString(c.out, status+"\n")
	}
}
