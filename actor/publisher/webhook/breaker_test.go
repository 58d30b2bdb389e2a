package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// A story of one destination, a step a line: "at 0s miss" and so on, and what the breaker says to a request then.
func TestBreaker(t *testing.T) {
	const story = `
0s   miss           pass
0s   miss           pass
0s   answered       pass
0s   miss           pass
0s   miss           pass
10s  miss           wait 1s
10.5s miss          wait 500ms
11s  -              probe 1s
11s  -              wait 1s
11s  answered       pass
12s  miss           pass
12s  miss           pass
12s  miss           wait 1s
13s  -              probe 1s
14s  probe-miss     wait 2s
14s  miss           wait 2s
16s  -              probe 2s
18s  probe-miss     wait 4s
22s  -              probe 4s
22s  withdrawn      probe 4s
26s  probe-miss     wait 8s
34s  -              probe 8s
42s  probe-miss     wait 16s
58s  -              probe 16s
68s  probe-miss     wait 32s
100s -              probe 32s
110s probe-miss     wait 1m0s
170s -              probe 1m0s
180s probe-miss     wait 1m0s
180s answered       pass
`
	var b breaker
	start := time.Unix(0, 0)
	for line := range strings.Lines(strings.TrimSpace(story)) {
		words := strings.Fields(line)
		after, err := time.ParseDuration(words[0])
		assert.NoError(t, err)
		now := start.Add(after)
		switch words[1] {
		case "miss":
			b.unanswered(now, false)
		case "probe-miss":
			b.unanswered(now, true)
		case "answered":
			b.answered()
		case "withdrawn":
			b.withdrawn(true)
		}
		got := "pass"
		switch r := b.admit(now); {
		case r.probe:
			got = fmt.Sprint("probe ", r.wait)
		case !r.pass:
			got = fmt.Sprint("wait ", r.wait)
		}
		assert.Equal(t, strings.Join(words[2:], " "), got, line)
	}
}

// Whatever happens, an open breaker has one probe under way at most, a destination that answers is let through, and
// one that does not is asked again within a minute.
func TestBreakerInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b breaker
		now := time.Unix(0, 0)
		probing := 0
		t.Repeat(map[string]func(*rapid.T){
			"request": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(t, "ms")) * time.Millisecond)
				r := b.admit(now)
				if r.probe {
					probing++
				}
				if !r.pass && (r.wait <= 0 || r.wait > maxPause) {
					t.Fatalf("a wait of %v", r.wait)
				}
				if probing == 0 && !b.admit(now.Add(maxPause)).pass {
					t.Fatal("nobody will ever ask again")
				} else if probing == 0 && b.open() {
					b.withdrawn(true) // what was asked above
				}
			},
			"miss":     func(*rapid.T) { b.unanswered(now, false) },
			"answered": func(*rapid.T) { b.answered(); probing = 0 },
			"probe ends": func(t *rapid.T) {
				if probing == 0 {
					t.Skip("there is none")
				}
				probing--
				if rapid.Bool().Draw(t, "withdrawn") {
					b.withdrawn(true)
				} else {
					b.unanswered(now, true)
				}
			},
			"": func(t *rapid.T) {
				if b.open() && probing > 1 {
					t.Fatalf("%d probes at once", probing)
				}
			},
		})
	})
}
