package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// receiptLog is what the receiver has received, duplicates included: one line per receipt, which is only ever
// appended, so that it tells across any number of kills what arrived in which order.
//
// A receipt that was written survives the end of the process, by kill -9 too. It is not synced for each event, so a
// power cut is another matter.
type receiptLog struct{ file *os.File }

// openReceiptLog opens the log for appending, and makes it if there is none.
func openReceiptLog(name string) (*receiptLog, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	// If the receiver before us was killed in the middle of a line, that line is no receipt and ours is a new one.
	if _, err := file.WriteString("\n"); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &receiptLog{file}, nil
}

// record writes one receipt, by a single call, so that several processes may append.
func (l *receiptLog) record(persistenceID string, sequenceNumber int64, at time.Time) error {
	_, err := fmt.Fprintf(l.file, "%s %d %q\n", at.UTC().Format("2006-01-02T15:04:05.000000Z"), sequenceNumber, persistenceID)
	return err
}

func (l *receiptLog) close() error { return l.file.Close() }

// receipts is what a receipt log says.
type receipts struct {
	// total counts all, duplicates those of events that had been received before.
	total, duplicates int64
	// outOfOrder counts events that were first received while one before them had not been.
	outOfOrder int64
	streams    map[string]*stream
}

// stream is what was received of one persistence id.
type stream struct {
	// last is the sequence number through which everything was received.
	last int64
	// beyond are the events received beyond a gap.
	beyond map[int64]bool
}

// readReceipts reads the log; there may be none yet.
func readReceipts(name string) (receipts, error) {
	r := receipts{streams: map[string]*stream{}}
	file, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	} else if err != nil {
		return r, err
	}
	defer file.Close()
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadString('\n')
		var (
			at, id string
			number int64
		)
		// What is cut off has no closing quote, and was never acknowledged.
		if n, _ := fmt.Sscanf(strings.TrimSuffix(line, "\n"), "%s %d %q", &at, &number, &id); n == 3 {
			r.add(id, number)
		}
		if errors.Is(err, io.EOF) {
			return r, nil
		} else if err != nil {
			return r, err
		}
	}
}

func (r *receipts) add(persistenceID string, sequenceNumber int64) {
	s := r.streams[persistenceID]
	if s == nil {
		s = &stream{beyond: map[int64]bool{}}
		r.streams[persistenceID] = s
	}
	r.total++
	switch {
	case s.has(sequenceNumber):
		r.duplicates++
		return
	case sequenceNumber > s.last+1:
		r.outOfOrder++
	}
	s.beyond[sequenceNumber] = true
	for s.beyond[s.last+1] {
		delete(s.beyond, s.last+1)
		s.last++
	}
}

// has reports whether the event was received.
func (s *stream) has(sequenceNumber int64) bool {
	return s != nil && (sequenceNumber <= s.last || s.beyond[sequenceNumber])
}

// distinct is the number of events that were received at least once.
func (r *receipts) distinct() int64 { return r.total - r.duplicates }
