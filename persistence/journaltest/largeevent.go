package journaltest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

const mebibyte = 1 << 20

var largeEventCases = []testCase{
	{"of 1 MiB and more is kept exactly", anything, func(t *testing.T, s *subject) {
		for seq, size := range []int{mebibyte - 1, mebibyte, mebibyte + 1, 4 * mebibyte} {
			e := largeEvent("big", int64(seq+1), size)
			require.NoError(t, s.AppendEvent(s.ctx, e))
			for where, read := range s.everywhere(t, "big", int64(seq+1)) {
				require.True(t, bytes.Equal(e.Data, read.Data), "the %d bytes of data that are read by %s differ", size, where)
			}
		}
	}},
	{"comes alone where the limit of bytes is smaller", anything, func(t *testing.T, s *subject) {
		want := s.writeLarge(t, 4)
		for _, limit := range []int{1, mebibyte, mebibyte + mebibyte/2} {
			require.Equal(t, want, ids(s.feed(t, query.Filter{}, query.Limits{Events: 1000, Bytes: limit})))
			for seq := int64(1); seq <= 4; seq++ {
				events, more, err := s.EventsByPersistenceID(s.ctx, "big", seq, query.Limits{Events: 1000, Bytes: limit})
				require.NoError(t, err)
				require.Equal(t, want[seq-1:seq], ids(events))
				require.Equal(t, seq < 4, more)
			}
		}
	}},
	{"is not loaded with a page that has no room for it", ownProvider, func(t *testing.T, s *subject) {
		const n = 32
		s.writeLarge(t, n)
		limits := query.Limits{Events: 1000, Bytes: 2*mebibyte + mebibyte/2}
		stop := errors.New("one is enough")
		for name, read := range map[string]func() error{
			"Events": func() error {
				_, err := s.Events(s.ctx, 0, query.Filter{}, limits)
				return err
			},
			"Events of a tag": func() error {
				_, err := s.Events(s.ctx, 0, query.Filter{Tags: []string{"large"}}, limits)
				return err
			},
			"EventsByPersistenceID": func() error {
				_, _, err := s.EventsByPersistenceID(s.ctx, "big", 1, limits)
				return err
			},
			"Replay": func() error {
				err := s.Replay(s.ctx, "big", 1, 0, func(query.Event) error { return stop })
				if errors.Is(err, stop) {
					return nil
				}
				return fmt.Errorf("instead of the callback's error: %w", err)
			},
		} {
			require.Less(t, allocated(t, read)/mebibyte, uint64(n/2), "MiB allocated by %s, of which at most 2 were asked for", name)
		}
	}},
	{"stands between small ones", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 3)
		require.NoError(t, s.AppendEvent(s.ctx, largeEvent("big", 1, mebibyte)))
		s.write(t, "a", 4, 6)
		for _, limit := range []int{1, 1000, mebibyte, 2 * mebibyte} {
			read := s.feed(t, query.Filter{}, query.Limits{Events: 1000, Bytes: limit})
			require.Equal(t, []string{"a/1", "a/2", "a/3", "big/1", "a/4", "a/5", "a/6"}, ids(read), "pages of %d bytes", limit)
		}
	}},
}

// allocated is how many bytes a call allocates: the least of several, because others in the process allocate, too.
func allocated(t *testing.T, call func() error) uint64 {
	t.Helper()
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		require.NoError(t, call())
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// largeEvent has data that are different everywhere, so that no part can be taken for another.
func largeEvent(id string, seq int64, size int) query.Event {
	e := newEvent(id, seq)
	e.Data = make([]byte, 0, size+8)
	for i := uint64(0); len(e.Data) < size; i++ {
		e.Data = binary.BigEndian.AppendUint64(e.Data, (i+1)*0x9e3779b97f4a7c15)
	}
	e.Data = e.Data[:size]
	e.Tags = []string{"large"}
	return e
}

// writeLarge appends n events of 1 MiB and returns what they are called.
func (s *subject) writeLarge(t *testing.T, n int) (want []string) {
	t.Helper()
	for seq := int64(1); seq <= int64(n); seq++ {
		e := largeEvent("big", seq, mebibyte)
		require.NoError(t, s.AppendEvent(s.ctx, e))
		want = append(want, e.ID())
	}
	return want
}
