package main

import (
	"runtime"
	"slices"
	"time"
)

// sample is what was measured several times.
type sample []float64

func (s sample) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (s sample) median() float64 { return s.quantile(0.5) }

// over divides round by round: those of one round were measured side by side.
func (s sample) over(other sample) sample {
	ratios := make(sample, len(s))
	for i := range s {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

// speed is how many per second fn gets done, which does n of them. It begins with a clean heap.
func speed(n int, fn func() error) (float64, error) {
	runtime.GC()
	begun := time.Now()
	err := fn()
	return float64(n) / time.Since(begun).Seconds(), err
}

// contender is one of those that are compared; it does the same work in each round.
type contender struct {
	n   int // of events
	run func(round int) error
}

// compare has the contenders take turns, and returns the speeds of each.
func compare(rounds int, contenders ...contender) ([]sample, error) {
	speeds := make([]sample, len(contenders))
	for round := range rounds {
		for i, c := range contenders {
			v, err := speed(c.n, func() error { return c.run(round) })
			if err != nil {
				return nil, err
			}
			speeds[i] = append(speeds[i], v)
		}
	}
	return speeds, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
