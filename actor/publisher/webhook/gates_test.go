package webhook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

var errSilent = errors.New("no answer")

// request passes and leaves again.
func request(t *testing.T, g *gates, name string, c conclusion) {
	t.Helper()
	p, err := g.enter(t.Context(), name)
	require.NoError(t, err)
	g.leave(p, c, errSilent)
}

func TestDestinationsThatAreIdleAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates(16, 4)
		for i := range 10_000 {
			request(t, g, fmt.Sprintf("healthy-%d", i), hasAnswered)
			request(t, g, fmt.Sprintf("unknown-%d", i), tellsNothing)
		}
		assert.Empty(t, g.byName)

		for i := range 1000 {
			request(t, g, fmt.Sprintf("dead-%d", i), hasNotAnswered)
		}
		assert.Len(t, g.byName, 1000, "those in trouble are remembered")
		time.Sleep(forgetAfter) //nolint:forbidigo // virtual time
		for i := range 2000 {
			request(t, g, fmt.Sprintf("others-%d", i), hasNotAnswered)
			assert.LessOrEqual(t, len(g.byName), max(2000, 1000+i+1))
		}
		assert.NotContains(t, g.byName, "dead-0", "but not for ever")
		request(t, g, "others-0", hasAnswered)
		assert.Len(t, g.byName, 1999)
	})
}

// However requests end, every place is given back, no destination has more than its own, and nobody waits for ever.
func TestPlacesAreGivenBack(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) { giveBack(t, seed) })
	}
}

func giveBack(t *testing.T, seed uint64) {
	const all, each = 8, 3
	g := newGates(all, each)
	var mu sync.Mutex
	inAll, in := 0, map[string]int{}
	var running sync.WaitGroup
	for worker := range 60 {
		random := rand.New(rand.NewPCG(seed, uint64(worker)))
		running.Go(func() {
			for range 100 {
				name := fmt.Sprint(random.IntN(4))
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(3000))*time.Millisecond)
				p, err := g.enter(ctx, name)
				cancel()
				if err != nil {
					time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond) //nolint:forbidigo // virtual time
					continue
				}
				mu.Lock()
				inAll++
				if !p.probe {
					in[name]++
				}
				assert.LessOrEqual(t, inAll, all)
				assert.LessOrEqual(t, in[name], each)
				mu.Unlock()
				time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond) //nolint:forbidigo // virtual time
				mu.Lock()
				inAll--
				if !p.probe {
					in[name]--
				}
				mu.Unlock()
				g.leave(p, []conclusion{tellsNothing, hasAnswered, hasNotAnswered, hasNotAnswered}[random.IntN(4)], errSilent)
			}
		})
	}
	running.Wait()
	assert.Empty(t, g.all)
	assert.Empty(t, g.probes)
	for _, one := range g.byName {
		assert.Zero(t, one.users, one.name)
		assert.Zero(t, one.withheld, one.name)
		assert.Empty(t, one.places, one.name)
		assert.Positive(t, one.breaker.misses, one.name)
		assert.False(t, one.breaker.probing, one.name)
	}
}

// What a proxy connects to, a filter would not see.
func TestWhatATransportIsMadeOf(t *testing.T) {
	s := &settings{concurrency: 1, timeout: time.Second}
	assert.NotNil(t, newTransport(s, 1).Proxy)
	assert.Equal(t, pingAfter, newTransport(s, 1).HTTP2.SendPingTimeout, "else a dead connection would take all requests")
	s.filter = PublicOnly
	assert.Nil(t, newTransport(s, 1).Proxy)
}

// somethingElse stands in for http.DefaultTransport, as an application's tracing does.
type somethingElse struct{ http.RoundTripper }

func TestTheApplicationMayReplaceGosTransport(t *testing.T) {
	gos := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = gos })
	http.DefaultTransport = somethingElse{gos}
	hook, err := New("https://example.com")
	require.NoError(t, err)
	own := hook.settings.transport.(*http.Transport)
	assert.NotNil(t, own.Proxy)
	assert.True(t, own.ForceAttemptHTTP2)
}

// Where the application has Go's transport connect in a way of its own, the filter is still asked.
func TestAFilterIsNotPassedBy(t *testing.T) {
	gos := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = gos })
	dial := func(string, string) (net.Conn, error) { return nil, errors.New("past the filter") }
	dialContext := func(context.Context, string, string) (net.Conn, error) { return dial("", "") }
	http.DefaultTransport = &http.Transport{Dial: dial, DialContext: dialContext, DialTLS: dial, DialTLSContext: dialContext} //nolint:staticcheck // deprecated, and used all the same
	for _, scheme := range []string{"http", "https"} {
		hook, err := New(scheme+"://127.0.0.1:1", WithAddressFilter(PublicOnly))
		require.NoError(t, err)
		e := publisher.Event{Event: query.Event{PersistenceID: "a", SequenceNumber: 1, Type: "t"}}
		assert.ErrorContains(t, hook.Publish(t.Context(), []publisher.Event{e}), "is no public address", scheme)
	}
}

// A verdict may have counted as delivered what was not answered by the receiver itself.
func TestADestinationMayBeDownWithoutAReason(t *testing.T) {
	g := newGates(8, 2)
	for range breakAfter {
		p, err := g.enter(t.Context(), "a")
		require.NoError(t, err)
		g.leave(p, hasNotAnswered, nil)
	}
	_, err := g.enter(t.Context(), "a")
	assert.EqualError(t, err, `destination "a" has not answered 3 times in a row, and is asked again in 1s`)
}
