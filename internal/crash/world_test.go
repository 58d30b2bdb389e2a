package crash_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// event names one event.
type event struct {
	id  string
	seq int64
}

// receipt is a delivery that was acknowledged, as far as we know: the worker may have been killed before it heard.
type receipt struct {
	event
	life    int
	payload string
}

// world is what the events are published to. It outlives the workers.
type world struct {
	*httptest.Server
	mu       sync.Mutex
	receipts []receipt
	strange  []error // what was wrong with requests that are no events of ours
	visits   map[int]*visit
}

// visit is how the world treats one life.
type visit struct {
	// slow is the longest time that a request takes, a part of it before it is recorded and a part before it is
	// acknowledged.
	slow time.Duration
	// first is closed at the first receipt.
	first chan struct{}
	once  sync.Once
	// more is closed when as many more are received as are missing.
	missing int
	more    chan struct{}
}

func newWorld(t *testing.T) *world {
	w := &world{visits: map[int]*visit{}}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

// url is where one life publishes to, so that a request that is handled after its sender was killed is not taken for
// one of the next life. The channel is closed at the first receipt.
func (w *world) url(life int, slow time.Duration) (url string, first <-chan struct{}) {
	v := &visit{slow: slow, first: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.visits[life] = v
	return fmt.Sprintf("%s/%d", w.URL, life), v.first
}

// ServeHTTP records, then acknowledges. Of the requests whose sender is killed meanwhile, it records some all the
// same, as the world does.
func (w *world) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender was killed in the middle
	}
	got, err := parse(r, body)
	v := w.visit(got.life)
	v.pause()
	defer v.pause()
	if r.Context().Err() != nil && rand.IntN(2) == 0 {
		return // lost on the way
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.strange = append(w.strange, err)
		return
	}
	w.receipts = append(w.receipts, got)
	v.once.Do(func() { close(v.first) })
	if v.missing--; v.missing == 0 {
		close(v.more)
	}
}

// receives returns a channel that is closed when a life has delivered n more events.
func (w *world) receives(life, n int) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.visits[life]
	v.missing, v.more = n, make(chan struct{})
	return v.more
}

func (w *world) visit(life int) *visit {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.visits[life]
}

func (v *visit) pause() {
	if v.slow > 0 {
		time.Sleep(rand.N(v.slow / 2))
	}
}

func parse(r *http.Request, body []byte) (receipt, error) {
	var payload wrapperspb.StringValue
	if err := proto.Unmarshal(body, &payload); err != nil {
		return receipt{}, err
	}
	life, err := strconv.Atoi(path.Base(r.URL.Path))
	if err != nil {
		return receipt{}, err
	}
	seq, err := strconv.ParseInt(r.Header.Get("Ce-Sequence"), 10, 64)
	if err != nil {
		return receipt{}, err
	}
	return receipt{event{r.Header.Get("Ce-Subject"), seq}, life, payload.GetValue()}, nil
}

// all returns what was received so far, in order.
func (w *world) all() []receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clip(w.receipts)
}
