package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tiny is a scale at which every case is over at once, and says nothing about speed.
const tiny = "0.0005"

func TestEveryCaseRunsAndIsJudged(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, run(t.Context(), []string{"-run=^" + c.name + "$", "-scale=" + tiny, "-dir=" + t.TempDir()}, &out), out.String())
			if strings.Contains(out.String(), "SKIPPED "+c.name+":") {
				t.Skip(out.String())
			}
			assert.Regexp(t, `(?m)^BENCH `+c.name+`( [a-z0-9_]+=\S+)+$`, out.String())
			assert.Regexp(t, `(?m)^`+c.name+`: .*(goal|must|MISS)$`, out.String())
			assert.Contains(t, out.String(), "The bars are for -scale 1")
		})
	}
}

func TestArguments(t *testing.T) {
	for _, args := range []string{"-scale=0", "-scale=x", "-run=(", "-dir=/does/not/exist", "-unknown"} {
		assert.Error(t, run(t.Context(), strings.Fields(args), new(bytes.Buffer)), args)
	}
}

func TestVerdicts(t *testing.T) {
	most, least := atMost("a", "ms", 10, 2), atLeast("b", "×", 2, 10)
	assert.Equal(t, []string{"goal", "must", "must", "MISS"},
		[]string{most.verdict(2), most.verdict(3), most.verdict(10), most.verdict(11)})
	assert.Equal(t, []string{"goal", "must", "must", "MISS"},
		[]string{least.verdict(10), least.verdict(9), least.verdict(2), least.verdict(1)})

	var out bytes.Buffer
	b := newBench(&out, t.TempDir(), 1)
	b.claim(most, 11)
	b.claim(least, 11)
	assert.Equal(t, 1, b.missed())
	b.table()
	assert.Regexp(t, `a +≤ 10 +≤ 2 +11 ms +MISS\nb +≥ 2 +≥ 10 +11 × +goal\n`, out.String())
}

func TestOriginalPublishesEachEventOnceAndRemembersIt(t *testing.T) {
	s := shape{ids: 3, events: 10, size: 4}
	j, err := s.inMemory(t.Context())
	require.NoError(t, err)
	w := newWorld()
	defer w.close()
	for _, limit := range []int{1, allOfThem} {
		key := strings.Repeat("k", limit%10+1)
		a := newArrivals(s.event(0, nil).PersistenceID)
		o, err := startOriginal(t.Context(), w, key, j, a, limit)
		require.NoError(t, err)
		require.NoError(t, o.run(t.Context(), s.events))
		assert.Len(t, a.at, 4)
		assert.Equal(t, map[string]int64{"entity-0000000": 4, "entity-0000001": 3, "entity-0000002": 3}, o.offsets)

		again, err := startOriginal(t.Context(), w, key, j, a, limit)
		require.NoError(t, err)
		n, err := again.look(t.Context())
		require.NoError(t, err)
		assert.Zero(t, n, "all of it was saved")
		require.NoError(t, errors.Join(o.stop(), again.stop()))
	}
}

func TestQuantiles(t *testing.T) {
	s := sample{5, 1, 4, 2, 3}
	assert.Equal(t, []float64{1, 3, 5, 5}, []float64{s.quantile(0), s.median(), s.quantile(0.99), s.quantile(1)})
	assert.Equal(t, sample{5, 0.5}, sample{5, 1}.over(sample{1, 2}))
}
