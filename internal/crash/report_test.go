package crash_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// report prints the lives, one a line, and how many events were received again after crashes: at each moment, and in
// all.
func report(t *testing.T, histories []*history) {
	t.Helper()
	var (
		b                       strings.Builder
		kills, stored, receipts int
		byMoment                = map[string][]*life{}
		again                   []int
		row                     = func(format string, cells ...any) { fmt.Fprintf(&b, format+"\n", cells...) }
		lifeHead, lifeRow       = "%5s  %-33s%-9s%8s%10s%7s%12s%7s  %s", "%5d  %-33s%-9s%8d%10d%7d%12d%7v  %s"
		momentHead, momentRow   = "%-33s%7s%6s%8s%10s  %s", "%-33s%7d%6d%8d%10d  %s"
	)
	for n, h := range histories {
		row("\nfile %d", n+1)
		row(lifeHead, "crash", "killed", "after", "writes", "received", "again", "MaxUnsaved", "slow", "left")
		for _, l := range h.lives {
			kills++
			row(lifeRow, kills, l.name, l.pause.Round(100*time.Microsecond), len(l.acks), l.received, l.again, l.job.MaxUnsaved, l.slow, l.left)
			byMoment[l.name] = append(byMoment[l.name], l)
			again = append(again, l.again)
		}
		stored += len(h.stored)
		receipts += len(h.receipts)
	}
	row("\nreceived again after a crash, by moment; hit: what was to be hit had begun and had not ended")
	row(momentHead, "killed", "kills", "hit", "median", "greatest", "left")
	for _, m := range append([]moment{opening(0)}, moments...) {
		lives := byMoment[m.name]
		if len(lives) == 0 {
			continue
		}
		var repeats []int
		hits, left := 0, map[string]int{}
		for _, l := range lives {
			repeats = append(repeats, l.again)
			if l.hit() {
				hits++
			}
			if l.left != "" {
				left[l.left]++
			}
		}
		row(momentRow, m.name, len(lives), hits, median(repeats), slices.Max(repeats), counts(left))
	}
	row(momentRow, "all", kills, kills, median(again), slices.Max(again), "")
	t.Logf("\n%s%d files, %d events, %d receipts", &b, len(histories), stored, receipts)
}

func median(numbers []int) int { return slices.Sorted(slices.Values(numbers))[len(numbers)/2] }

// counts prints how often each occurs.
func counts(of map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s %d×", what, of[what]))
	}
	return strings.Join(parts, ", ")
}
