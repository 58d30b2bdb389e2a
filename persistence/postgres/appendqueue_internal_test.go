package postgres

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func eventOf(id string) *appendCall { return &appendCall{rows: []row{{id: id}}} }

func recordsOf(ids ...string) *appendCall {
	call := &appendCall{records: true}
	for _, id := range ids {
		call.rows = append(call.rows, row{id: id})
	}
	return call
}

// begin prepares for a transaction and takes its calls.
func (q *appendQueue) begin(t *testing.T) []*appendCall {
	t.Helper()
	ctx, cancel, _, more := q.prepare()
	require.True(t, more)
	defer cancel()
	return q.take(ctx)
}

// Who comes after the last one of those has left for whom a connection was waited for has no part in the end of that wait, even if there
// is a connection all the same.
func TestWhoComesAfterAllHaveLeftHasAContextOfHisOwn(t *testing.T) {
	var q appendQueue
	first := recordsOf("a")
	require.True(t, q.add(first))
	ended, cancel, _, more := q.prepare()
	require.True(t, more)
	defer cancel()
	q.drop(first)
	require.False(t, q.add(recordsOf("b")))
	require.Error(t, ended.Err())
	require.Empty(t, q.take(ended))
	require.True(t, q.done(nil), "the worker goes on")
	require.Len(t, q.begin(t), 1)
}

func TestTheNextTransactionIsAsLarge(t *testing.T) {
	var q appendQueue
	require.True(t, q.add(eventOf("a")), "one that comes alone waits for nobody")
	require.False(t, q.add(eventOf("b")), "it comes along, once there is a connection")
	require.False(t, q.add(eventOf("c")))
	first := q.begin(t)
	require.Len(t, first, 3)

	require.False(t, q.add(eventOf("d")))
	require.False(t, q.add(eventOf("a")), "whose id is under way")
	require.False(t, q.add(eventOf("e")))
	require.True(t, q.add(eventOf("f")))
	second := q.begin(t)
	require.Len(t, second, 3)
	for i := range 10 {
		require.False(t, q.add(eventOf(fmt.Sprint(i))), "two are enough")
	}
	require.True(t, q.done(first))
	require.False(t, q.add(eventOf("g")), "it comes along")
	third := q.begin(t)
	require.Len(t, third, 12)
	require.False(t, q.done(second))
	require.True(t, q.done(third), "those who are answered may come again")
	require.False(t, q.add(eventOf("b")))
	require.Len(t, q.begin(t), 1)
}

func TestAWorkerEndsWhenNobodyComes(t *testing.T) {
	var q appendQueue
	require.True(t, q.add(eventOf("a")))
	require.True(t, q.done(q.begin(t)))
	_, _, _, more := q.prepare()
	require.False(t, more)
	require.True(t, q.add(eventOf("b")))
}

func TestRecordsHaveATransactionAlone(t *testing.T) {
	var q appendQueue
	require.True(t, q.add(eventOf("a")))
	first := q.begin(t)
	require.False(t, q.add(recordsOf("r", "s")), "there is one under way")
	require.False(t, q.add(eventOf("b")), "nobody overtakes")
	require.True(t, q.done(first))
	require.False(t, q.add(recordsOf("r")))
	second := q.begin(t)
	require.Len(t, second, 2)
	require.False(t, q.add(eventOf("c")))
	require.False(t, q.add(eventOf("d")), "events wait, too")
	require.True(t, q.done(second))
	require.Len(t, q.begin(t), 3)
}

// Whatever calls come and go, each is taken once, by a transaction that it may be part of, and none is left behind.
func TestNoCallIsLeftBehind(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("POSTGRES_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("POSTGRES_TEST_SEED=%d", seed)
	for round := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, round))
		var (
			q          appendQueue
			connecting bool // a worker has its turn
			underWay   [][]*appendCall
			open       = map[*appendCall]bool{} // neither answered nor gone
		)
		turn := func(has bool) {
			require.False(t, has && connecting, "one worker waits for a connection at a time")
			connecting = connecting || has
		}
		check := func() {
			ids, alone := map[string]bool{}, false
			for _, group := range underWay {
				alone = alone || group[0].records
				for _, call := range group {
					require.Equal(t, group[0].records, call.records)
					if !call.records {
						require.False(t, ids[call.rows[0].id], "an id is in two places")
						ids[call.rows[0].id] = true
					}
				}
			}
			require.LessOrEqual(t, len(underWay), maxGroups)
			require.True(t, !alone || len(underWay) == 1, "records are not alone")
			require.True(t, len(q.waiting) == 0 || connecting || len(underWay) > 0, "nobody will come for those who wait")
		}
		for step := 0; step < 60 || len(open) > 0; step++ {
			switch action := random.IntN(10); {
			case action < 5 && step < 60:
				call := eventOf(fmt.Sprint(random.IntN(8)))
				if random.IntN(6) == 0 {
					call = recordsOf("r", "s")
				}
				call.bytes = random.IntN(maxGroupBytes)
				open[call] = true
				turn(q.add(call))
			case action == 5 && len(q.waiting) > 0 && step < 60:
				call := q.waiting[random.IntN(len(q.waiting))]
				q.drop(call)
				delete(open, call)
			case action == 6 && connecting && step < 60: // no connection
				connecting = false
				if _, cancel, last, more := q.prepare(); more {
					for _, call := range q.takeThrough(last) {
						require.True(t, open[call])
						delete(open, call)
					}
					cancel()
					turn(q.done(nil))
				}
			case action < 8 && connecting:
				connecting = false
				_, cancel, _, more := q.prepare()
				if !more {
					continue
				}
				cancel()
				if group := q.take(t.Context()); len(group) > 0 {
					underWay = append(underWay, group)
				} else {
					turn(q.done(nil))
				}
			case len(underWay) > 0:
				i := random.IntN(len(underWay))
				group := underWay[i]
				underWay = append(underWay[:i], underWay[i+1:]...)
				for _, call := range group {
					require.True(t, open[call], "a call was taken twice, or after it had left")
					delete(open, call)
				}
				turn(q.done(group))
			}
			check()
		}
		require.Empty(t, q.waiting)
		require.Empty(t, q.ids)
		require.Zero(t, q.calls)
	}
}
