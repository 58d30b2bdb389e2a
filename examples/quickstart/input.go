package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
)

// maxLine is the longest line of an input, in bytes.
const maxLine = 1 << 20

// sample is what is read where no input is given; "quickstart sample" prints it.
//
//go:embed sample.jsonl
var sample string

// lineError says what is wrong with a line of the input.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }

// openInput opens a file, stdin for "-", or the sample for "".
func openInput(name string) (io.ReadCloser, error) {
	switch name {
	case "":
		return io.NopCloser(strings.NewReader(sample)), nil
	case "-":
		return io.NopCloser(os.Stdin), nil
	default:
		return os.Open(name)
	}
}

// commands reads JSON lines. A line that is no command is a *lineError, after which it goes on; any other error ends
// it. Blank lines are passed over.
func commands(r io.Reader) iter.Seq2[*command, error] {
	return func(yield func(*command, error) bool) {
		lines := bufio.NewReaderSize(r, 64<<10)
		for n := 1; ; n++ {
			text, tooLong, readErr := readLine(lines)
			if text = bytes.TrimSpace(text); len(text) > 0 || tooLong {
				c, err := parseCommand(n, text)
				if tooLong {
					err = fmt.Errorf("it is longer than %d bytes", maxLine)
				}
				if err != nil {
					c, err = nil, &lineError{n, err}
				}
				if !yield(c, err) {
					return
				}
			}
			switch {
			case errors.Is(readErr, io.EOF):
				return
			case readErr != nil:
				yield(nil, fmt.Errorf("read line %d: %w", n, readErr))
				return
			}
		}
	}
}

// readLine returns the next line, or says that it is too long. The last one need not end in a newline, and comes with
// io.EOF.
func readLine(r *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > maxLine; tooLong {
			line = nil
		} else {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}
