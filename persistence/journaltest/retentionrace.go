package journaltest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Others use the journal while it is trimmed.
var trimRaceCases = []testCase{
	{"removes nothing from an outbox that registers meanwhile", trimmer, func(t *testing.T, s *subject) {
		s.keepsFrom(t, func(key string) error {
			_, err := s.store().Acquire(s.ctx, key, 0, 0)
			return err
		})
	}},
	{"removes nothing from an outbox that goes back meanwhile", trimmer, func(t *testing.T, s *subject) {
		epoch, index := s.acquire(t, outboxKey).Epoch, int64(0)
		s.keepsFrom(t, func(string) error {
			index += 1000
			return s.store().Save(s.ctx, outboxKey, query.Saved{Epoch: epoch, Index: index, Data: []byte("back")})
		}, func() {
			index++
			require.NoError(t, s.store().Save(s.ctx, outboxKey, query.Saved{Epoch: epoch, Index: index, Data: []byte("on"), Keep: query.Keep{Watermark: s.head(t)}}))
		})
	}},
	{"disturbs no reader", trimmer, func(t *testing.T, s *subject) {
		const rounds, each = 4, 28
		for round := range rounds {
			kept, gone := fmt.Sprintf("kept-%d", round), fmt.Sprintf("gone-%d", round)
			s.write(t, kept, 1, each/4)
			s.deleted(t, gone, each)
			s.write(t, kept, each/4+1, each/2)
			s.saveKeep(t, outboxKey, query.Keep{Watermark: s.head(t)})
			done := make(chan error, 1)
			go func() {
				_, err := s.trimmer().Trim(s.ctx, journal.Retention{})
				done <- err
			}()
			for range 3 {
				last := map[string]int64{}
				for _, e := range s.feed(t, query.Filter{}, query.Limits{Events: 7}) {
					if strings.HasPrefix(e.PersistenceID, "kept") {
						require.Equal(t, last[e.PersistenceID]+1, e.SequenceNumber, "%s loses nothing", e.PersistenceID)
						last[e.PersistenceID]++
					}
				}
				require.EqualValues(t, each/2, last[kept])
				require.Len(t, s.replayed(t, kept, 1, 0), each/2)
			}
			require.NoError(t, <-done)
			require.Equal(t, []string{newID(gone, each)}, ids(s.stream(t, gone)))
		}
	}},
	{"may be called by several, beside those who append, delete and publish", trimmer, manyTrims},
}

// keepsFrom trims while an outbox calls claim, with which it claims everything. What is there when claim has returned must
// stay. before is done before each round.
func (s *subject) keepsFrom(t *testing.T, claim func(key string) error, before ...func()) {
	t.Helper()
	const rounds, each = 8, 15
	for round := range rounds {
		id := fmt.Sprintf("id-%d", round)
		s.deleted(t, id, each)
		s.saveKeep(t, "outbox/all", query.Keep{Watermark: s.head(t)})
		for _, fn := range before {
			fn()
		}
		started, done := make(chan struct{}), make(chan error, 1)
		go func() {
			close(started)
			_, err := s.trimmer().Trim(s.ctx, journal.Retention{})
			done <- err
		}()
		key := fmt.Sprintf("outbox/%d", round)
		<-started
		<-time.After(time.Duration(round) * 300 * time.Microsecond) // another moment of the removal each time
		require.NoError(t, claim(key))
		claimed := ids(s.stream(t, id))
		require.NoError(t, <-done)
		require.Equal(t, claimed, ids(s.stream(t, id)), "what was there when the outbox had claimed it")
		require.NoError(t, s.store().Unregister(s.ctx, key))
	}
}

// manyTrims has actors append and delete, others append records, and an outbox publish and save, all while several trim.
func manyTrims(t *testing.T, s *subject) {
	const writers, each, trimmers = 4, 40, 3
	epoch := s.acquire(t, outboxKey).Epoch
	var (
		writing, others sync.WaitGroup
		written         = make(chan struct{})
		removed         [trimmers]int64
	)
	for w := range writers {
		writing.Go(func() {
			id := fmt.Sprintf("actor-%d", w)
			for seq := int64(1); seq <= each; seq++ {
				if !assert.NoError(t, s.AppendEvent(s.ctx, newEvent(id, seq))) {
					return
				}
				if seq%10 == 0 {
					assert.NoError(t, s.HideEvents(s.ctx, id, seq-5))
				}
			}
		})
		if s.h.Capabilities.Appender {
			writing.Go(func() {
				for i := range each {
					_, err := s.appender().Append(s.ctx, newRecord("records", i), newRecord(fmt.Sprintf("records-%d", w), i))
					assert.NoError(t, err)
				}
			})
		}
	}
	for i := range trimmers {
		others.Go(func() {
			for more := true; more; {
				select {
				case <-written:
					more = false
				default:
				}
				trimmed, err := s.trimmer().Trim(s.ctx, journal.Retention{})
				assert.NoError(t, err)
				removed[i] += trimmed.Events
			}
		})
	}
	seen := map[string]int64{}
	publish := func(after query.Offset, index int64) (query.Offset, bool) {
		page, err := s.Events(s.ctx, after, query.Filter{}, query.Limits{Events: 50})
		if !assert.NoError(t, err) {
			return after, false
		}
		for _, e := range page.Events {
			assert.Equal(t, seen[e.PersistenceID]+1, e.SequenceNumber, "of %s, as published", e.PersistenceID)
			seen[e.PersistenceID] = e.SequenceNumber
		}
		assert.NoError(t, s.store().Save(s.ctx, outboxKey, query.Saved{Epoch: epoch, Index: index, Keep: query.Keep{Watermark: page.Next}}))
		return page.Next, page.More || len(page.Events) > 0
	}
	others.Go(func() {
		after, index, ended := query.Offset(0), int64(0), false
		for more := true; more || !ended; {
			select {
			case <-written:
				ended = true
			default:
			}
			index++
			after, more = publish(after, index)
		}
	})
	writing.Wait()
	close(written)
	others.Wait()

	removed[0] += s.trim(t).Events
	for w := range writers {
		id := fmt.Sprintf("actor-%d", w)
		require.Len(t, s.stream(t, id), 5, "what %s has not deleted", id)
		require.Len(t, s.replayed(t, id, each-4, 0), 5)
		require.NoError(t, s.HideEvents(s.ctx, id, each))
	}
	for i := range trimmers { // all of them find the same
		others.Go(func() {
			trimmed, err := s.trimmer().Trim(s.ctx, journal.Retention{})
			assert.NoError(t, err)
			removed[i] += trimmed.Events
		})
	}
	others.Wait()
	total := s.trim(t).Events
	for _, n := range removed {
		total += n
	}
	published := int64(0)
	for id, last := range seen {
		published += last
		n, err := s.LastSequenceNumber(s.ctx, id)
		require.NoError(t, err)
		require.Equal(t, n, last, "all of %s was published", id)
	}
	left := s.all(t)
	require.Equal(t, published, total+int64(len(left)), "each event is either there or was removed, once")
	require.Len(t, left, len(seen), "the last event of each id")
	for _, e := range left {
		require.Equal(t, seen[e.PersistenceID], e.SequenceNumber, "of %s", e.PersistenceID)
	}
}
