package crash_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
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
		lifeHead, lifeRow       = "%5s  %-36s%-9s%8s%10s%7s%12s%7s  %s", "%5d  %-36s%-9s%8d%10d%7d%12d%7v  %s"
		momentHead, momentRow   = "%-36s%7s%6s%8s%10s  %s", "%-36s%7d%6d%8d%10d  %s"
	)
	for n, h := range histories {
		row("\njournal %d", n+1)
		row(lifeHead, "crash", "killed", "after", "writes", "received", "again", "MaxUnsaved", "slow", "left; outage")
		for _, l := range h.lives {
			kills++
			row(lifeRow, kills, l.name, l.pause.Round(100*time.Microsecond), len(l.acks), l.received, l.again, l.job.MaxUnsaved, l.slow, l.notes())
			byMoment[l.name] = append(byMoment[l.name], l)
			again = append(again, l.again)
		}
		stored += len(h.stored)
		receipts += len(h.receipts)
	}
	row("\nreceived again after a crash, by moment; hit: what was to be hit had begun and had not ended")
	row(momentHead, "killed", "kills", "hit", "median", "greatest", "left")
	all := append([]moment{opening(0)}, moments...)
	for _, o := range []outage{outlived, killedDuring, cut} {
		m, _ := o.moment()
		all = append(all, m)
	}
	for _, m := range all {
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
	t.Logf("\n%s%d journals, %d events, %d receipts", &b, len(histories), stored, receipts)
}

// notes are what else there is to say of a life.
func (l *life) notes() string {
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if l.left != "" {
		note("%s", l.left)
	}
	if l.outage != "" {
		amid := make([]string, len(l.struck))
		for i, u := range l.struck {
			amid[i] = u.String()
		}
		note("%s (amid %s)", l.outage, strings.Join(amid, "; "))
	}
	if l.down > 0 {
		note("down %v", l.down.Round(time.Millisecond))
	}
	if l.healed > 0 {
		note("healed in %v", l.healed.Round(time.Millisecond))
	}
	for _, failed := range []crash.Place{crash.OpenFailed, crash.AppendFailed, crash.GivenUp, crash.SaveFailed} {
		if n := times(l.steps, failed); n > 0 {
			note("%d× %s", n, failed)
		}
	}
	return strings.Join(notes, ", ")
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
