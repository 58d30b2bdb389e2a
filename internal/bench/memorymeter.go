package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

const mebibyte = 1 << 20

// meter watches how much memory the process takes up while something runs, in MiB.
type meter struct {
	before footprint
	peak   footprint
	stop   chan struct{}
	done   chan struct{}
}

// footprint is the memory that the process takes up: what the operating system says, which includes what SQLite takes
// past Go's heap, and what is on that heap, garbage included.
type footprint struct{ resident, heap float64 }

// startMeter begins with a clean heap.
func startMeter() *meter {
	m := &meter{before: settled(), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(m.done)
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				m.look()
			case <-m.stop:
				m.look()
				return
			}
		}
	}()
	return m
}

func (m *meter) look() {
	now := measure()
	m.peak.resident, m.peak.heap = max(m.peak.resident, now.resident), max(m.peak.heap, now.heap)
}

// end stops watching.
func (m *meter) end() {
	close(m.stop)
	<-m.done
}

// settled is what is left once all garbage is collected, and given back to the operating system.
func settled() footprint {
	debug.FreeOSMemory()
	return measure()
}

func measure() footprint {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	f := footprint{resident: float64(s.Sys-s.HeapReleased) / mebibyte, heap: float64(s.HeapAlloc) / mebibyte}
	// Where there is no /proc, what the runtime took from the operating system has to do.
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := bytes.Fields(statm); len(fields) > 1 {
			if pages, err := strconv.Atoi(string(fields[1])); err == nil {
				f.resident = float64(pages*os.Getpagesize()) / mebibyte
			}
		}
	}
	return f
}
