package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// bar is what a measure is judged by.
type bar struct {
	what, unit string
	must, goal float64
	atMost     bool // the smaller the better
}

func atLeast(what, unit string, must, goal float64) bar { return bar{what, unit, must, goal, false} }

func atMost(what, unit string, must, goal float64) bar { return bar{what, unit, must, goal, true} }

// reaches reports whether a measure comes up to a limit.
func (r bar) reaches(measured, limit float64) bool {
	if r.atMost {
		return measured <= limit
	}
	return measured >= limit
}

func (r bar) verdict(measured float64) string {
	switch {
	case r.reaches(measured, r.goal):
		return "goal"
	case r.reaches(measured, r.must):
		return "must"
	default:
		return "MISS"
	}
}

// claim is a measure that is judged.
type claim struct {
	bar
	measured float64
}

func (b *bench) claim(r bar, measured float64) { b.claims = append(b.claims, claim{r, measured}) }

// missed is the number of musts that were not reached.
func (b *bench) missed() (n int) {
	for _, c := range b.claims {
		if !c.reaches(c.measured, c.must) {
			n++
		}
	}
	return n
}

// table prints what was claimed.
func (b *bench) table() {
	t := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "\nbar\tmust\tgoal\tmeasured\tverdict")
	for _, c := range b.claims {
		sign := "≥"
		if c.atMost {
			sign = "≤"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s %s\t%s %s\t%s %s\t%s\n",
			c.what, sign, figure(c.must), sign, figure(c.goal), figure(c.measured), c.unit, c.verdict(c.measured))
	}
	_ = t.Flush()
	if len(b.skipped) > 0 {
		_, _ = fmt.Fprintf(b.out, "SKIPPED, and not judged: %s.\n", strings.Join(b.skipped, ", "))
	}
	if b.scale != 1 {
		_, _ = fmt.Fprintf(b.out, "The bars are for -scale 1; this was %v.\n", b.scale)
	}
}
