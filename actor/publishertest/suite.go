package publishertest

import (
	"context"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

// Run runs every case as a subtest of t. The cases do not run in parallel, and nothing else should at that time, since
// they look for goroutines that are left.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.New == nil {
		t.Fatal("Harness.New is required")
	}
	for _, g := range groups() {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) { c.on(t, h) })
			}
		})
	}
}

type group struct {
	name  string
	cases []testCase
}

func groups() []group {
	return []group{
		{"capabilities", capabilityCases()},
		{"single event", singleCases()},
		{"batch", batchCases()},
		{"mid-batch failure", failureCases()},
		{"outcome", outcomeCases()},
		{"concurrency", concurrencyCases()},
		{"context", contextCases()},
		{"backpressure", pressureCases()},
		{"large event", largeCases()},
		{"hostile event", hostileCases()},
	}
}

// testCase is one behaviour. It takes a testing.TB, so that the suite's own tests can see it fail.
type testCase struct {
	name string
	// needs says whether the case makes sense; nil means always.
	needs func(f Facts) bool
	run   func(t testing.TB, s *subject)
}

func (c testCase) on(t testing.TB, h Harness) {
	t.Helper()
	if c.needs != nil && !c.needs(h.Facts) {
		t.Skip("the harness states facts under which there is nothing to test")
	}
	c.run(t, newSubject(t, h))
}

// What a case may need of the sink.
func canReject(f Facts) bool   { return !f.CannotReject }
func canBeBusy(f Facts) bool   { return !f.CannotBeBusy }
func canBeSilent(f Facts) bool { return !f.CannotBeSilent }

// can reports whether the sink can do what is planned.
func (f Facts) can(p plan) bool {
	switch p {
	case reject:
		return canReject(f)
	case busy:
		return canBeBusy(f)
	case lose, hang, hold:
		return canBeSilent(f)
	}
	return true
}

// subject is the publisher under test in one case, and the sink behind it.
type subject struct {
	Subject
	h        Harness
	sink     *Sink
	patience time.Duration
	last     []func(t testing.TB) // checks for when everything was closed
}

func newSubject(t testing.TB, h Harness) *subject {
	t.Helper()
	s := &subject{h: h, sink: newSink(), patience: h.patience}
	if s.patience == 0 {
		s.patience = defaultPatience
	}
	before := goleak.IgnoreCurrent()
	// Last of all, when what New has registered is done.
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil {
			t.Errorf("after everything was closed, goroutines are left: %v", err)
		}
		for _, check := range s.last {
			check(t)
		}
	})
	s.Subject = h.New(t, s.sink)
	if s.Publisher == nil {
		t.Fatal("Harness.New has returned no publisher")
	}
	// First of all, so that nothing waits for a sink that hangs.
	t.Cleanup(func() { close(s.sink.over) })
	return s
}

// context returns one that ends long after all that a case does, so that no case hangs.
func (s *subject) context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 6*s.patience)
	t.Cleanup(cancel)
	return ctx
}

func capabilityCases() []testCase {
	return []testCase{
		{"order within a batch is kept, or not, as the harness states", nil, func(t testing.TB, s *subject) {
			o, ok := publisher.As[publisher.BatchOrdering](s.Publisher)
			unordered := ok && !o.OrderedWithinBatch()
			if unordered != s.h.Facts.UnorderedWithinBatch {
				t.Errorf("UnorderedWithinBatch is stated as %v, the publisher's capability says %v",
					s.h.Facts.UnorderedWithinBatch, unordered)
			}
		}},
		{"a destination depends on the event alone", nil, func(t testing.TB, s *subject) {
			d, ok := publisher.As[publisher.Destinations](s.Publisher)
			if !ok {
				t.Skip("the publisher has no destinations")
			}
			for _, e := range s.events("a/1 b/1 a/2") {
				checkDestination(t, d, e)
			}
		}},
	}
}

func checkDestination(t testing.TB, d publisher.Destinations, e publisher.Event) {
	t.Helper()
	const longest = 256
	name := d.Destination(e)
	if again := d.Destination(e); again != name {
		t.Errorf("event %q goes to %q, and asked again to %q", e.ID(), name, again)
	}
	if len(name) > longest {
		t.Errorf("event %q goes to a destination of %d bytes, %d is the most", e.ID(), len(name), longest)
	}
	if !utf8.ValidString(name) {
		t.Errorf("event %q goes to a destination, %q, that is not UTF-8", e.ID(), name)
	}
}
