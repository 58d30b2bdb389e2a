package outbox

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/ledger"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// backlog is a journal with events at the offsets from 1 on.
type backlog struct {
	query.Journal
	mu     sync.Mutex
	events int
	size   int // of each event's data
	reads  int
	err    error // of the next read
}

func (b *backlog) Events(_ context.Context, after query.Offset, _ query.Filter, limits query.Limits) (page query.Page, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	if err, b.err = b.err, nil; err != nil {
		return query.Page{}, err
	}
	page.Next = after
	for bytes := 0; int(page.Next) < b.events; {
		e := query.Event{Offset: page.Next + 1, Data: make([]byte, b.size)}
		bytes += e.Size()
		if n := len(page.Events); n == limits.Events || n > 0 && bytes > limits.Bytes {
			page.More = true
			break
		}
		page.Events = append(page.Events, e)
		page.Next = e.Offset
	}
	return page, nil
}

var plenty = query.Limits{Events: 10, Bytes: 8000}

// reader reads a backlog as an outbox does.
type reader struct {
	*outbox
	ahead *readAhead
}

func newReader(b *backlog) *reader {
	s := defaults()
	s.ledger.Page = plenty
	return &reader{outbox: &outbox{definition: &definition{settings: s, journal: b}, background: newBackground()}}
}

func (r *reader) read(after query.Offset, limits query.Limits, d doubt) (query.Page, bool, error) {
	page, rest, doubtful, err := r.nextPage(context.Background(), ledger.ReadFeed{After: after, Limits: limits}, r.ahead, d)
	r.ahead = rest
	synctest.Wait() // until as much was read ahead as may be
	return page, doubtful, err
}

// reading runs a test with a reader that must have nothing running when it has ended.
func reading(t *testing.T, b *backlog, test func(*testing.T, *reader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newReader(b)
		defer func() { require.Zero(t, r.background.end(time.Second)) }()
		test(t, r)
	})
}

// However it is asked, it answers what the journal would, as far as the limits go.
func TestReadingAheadShowsTheJournal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := &backlog{
			events: rapid.IntRange(0, 200).Draw(rt, "events"),
			size:   rapid.SampledFrom([]int{1, 100, 500, 3000, 9000}).Draw(rt, "size"),
		}
		reading(t, b, func(t *testing.T, r *reader) {
			var at query.Offset
			var d doubt
			for range rapid.IntRange(1, 60).Draw(rt, "reads") {
				switch rapid.IntRange(0, 20).Draw(rt, "before") {
				case 0:
					at = query.Offset(rapid.IntRange(0, int(at)).Draw(rt, "back to"))
				case 1:
					d.failures++
				case 2:
					d.allayed = d.failures
				case 3:
					b.events += rapid.IntRange(1, 30).Draw(rt, "appended")
				}
				limits := query.Limits{Events: rapid.IntRange(1, 12).Draw(rt, "limit"), Bytes: rapid.IntRange(1, 12000).Draw(rt, "bytes")}
				page, doubtful, err := r.read(at, limits, d)
				require.NoError(t, err)
				require.True(t, doubtful || d.failures == d.allayed)
				require.LessOrEqual(t, len(page.Events), limits.Events)
				require.True(t, len(page.Events) <= 1 || sizeOf(page.Events) <= limits.Bytes, "%d bytes of %d", sizeOf(page.Events), limits.Bytes)
				for i := range page.Events {
					require.Equal(t, at+query.Offset(i+1), page.Events[i].Offset)
				}
				require.Equal(t, at+query.Offset(len(page.Events)), page.Next)
				require.True(t, page.More || int(page.Next) == b.events, "the end is at %d, not %d", b.events, page.Next)
				require.True(t, len(page.Events) > 0 || page.More || int(at) == b.events)
				at = page.Next
			}
		})
	})
}

func sizeOf(events []query.Event) (n int) {
	for i := range events {
		n += events[i].Size()
	}
	return n
}

func TestItReadsAheadWhatTheLedgerWillAskForAndNotMore(t *testing.T) {
	b := &backlog{events: 100, size: 1}
	reading(t, b, func(t *testing.T, r *reader) {
		_, _, err := r.read(0, plenty, doubt{})
		require.NoError(t, err)
		require.Equal(t, 3, b.reads, "one that it was asked for, one that waits, one that is ready to wait")
		_, _, err = r.read(10, plenty, doubt{})
		require.NoError(t, err)
		require.Equal(t, 4, b.reads)
		for at := query.Offset(20); at < 25; at++ {
			_, _, err = r.read(at, query.Limits{Events: 1, Bytes: plenty.Bytes}, doubt{})
			require.NoError(t, err)
		}
		require.Equal(t, 5, b.reads, "what is left of a page is kept")
	})
}

func TestWithoutABacklogNothingIsReadAhead(t *testing.T) {
	b := &backlog{events: 10, size: 1}
	reading(t, b, func(t *testing.T, r *reader) {
		page, _, err := r.read(0, plenty, doubt{})
		require.NoError(t, err)
		require.False(t, page.More)
		require.Equal(t, 1, b.reads)
		require.Nil(t, r.ahead)
	})
}

// All that is kept besides the window has fewer bytes than what one read may bring.
func TestWhatIsReadAheadIsBoundedInBytes(t *testing.T) {
	b := &backlog{events: 1000, size: 500}
	reading(t, b, func(t *testing.T, r *reader) {
		page, _, err := r.read(0, plenty, doubt{})
		require.NoError(t, err)
		at, kept := page.Next, 0
		require.NotNil(t, r.ahead)
		for range 2 {
			p := <-r.ahead.pages
			require.Equal(t, at, p.page.Events[0].Offset-1)
			at, kept = p.page.Next, kept+sizeOf(p.page.Events)
		}
		require.Less(t, kept, plenty.Bytes)
	})
}

func TestAFailureToReadAheadIsAFailureToRead(t *testing.T) {
	b := &backlog{events: 100, size: 1}
	down := errors.New("down")
	reading(t, b, func(t *testing.T, r *reader) {
		_, _, err := r.read(0, plenty, doubt{})
		require.NoError(t, err)
		b.err = down
		_, _, err = r.read(10, plenty, doubt{})
		require.NoError(t, err)
		_, _, err = r.read(20, plenty, doubt{})
		require.NoError(t, err)
		_, _, err = r.read(30, plenty, doubt{})
		require.ErrorIs(t, err, down)
	})
}

// What is thrown away may have an error, which nobody has seen.
func TestWhatIsReadInsteadOfSomethingOlderIsDoubtful(t *testing.T) {
	for name, c := range map[string]struct {
		after query.Offset
		d     doubt
		wait  time.Duration
	}{
		"a read has failed since":           {10, doubt{failures: 1, allayed: 1}, 0},
		"a read has failed just now":        {10, doubt{failures: 1}, 0},
		"it is older than a read may take":  {10, doubt{}, defaults().ledger.ReadTimeout + time.Nanosecond},
		"the ledger goes on somewhere else": {5, doubt{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := &backlog{events: 100, size: 1}
			reading(t, b, func(t *testing.T, r *reader) {
				_, _, err := r.read(0, plenty, doubt{})
				require.NoError(t, err)
				old := r.ahead
				<-time.After(c.wait) // simulated time
				page, doubtful, err := r.read(c.after, plenty, c.d)
				require.NoError(t, err)
				require.True(t, doubtful)
				require.Equal(t, c.after+1, page.Events[0].Offset)
				require.NotSame(t, old, r.ahead)
				require.Empty(t, old.rest.page.Events)
				_, open := <-old.pages
				require.True(t, open, "what had been read")
				_, open = <-old.pages
				require.False(t, open, "it has ended")
			})
		})
	}
}

func TestTheEndOfABacklogIsNotDoubtful(t *testing.T) {
	b := &backlog{events: 25, size: 1}
	reading(t, b, func(t *testing.T, r *reader) {
		for _, after := range []query.Offset{0, 10, 20} {
			page, _, err := r.read(after, plenty, doubt{})
			require.NoError(t, err)
			require.True(t, page.More, "there may have been a wake since it was read")
		}
		reads := b.reads
		page, doubtful, err := r.read(25, plenty, doubt{})
		require.NoError(t, err)
		require.False(t, page.More)
		require.False(t, doubtful)
		require.Equal(t, reads+1, b.reads)
	})
}
