package webhook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
func TestAFilterLeavesNoPlaceForAProxy(t *testing.T) {
	s := &settings{concurrency: 1, timeout: time.Second}
	assert.NotNil(t, newTransport(s, 1).Proxy)
	s.filter = PublicOnly
	assert.Nil(t, newTransport(s, 1).Proxy)
}
