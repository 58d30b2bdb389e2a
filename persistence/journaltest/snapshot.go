package journaltest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
)

var actorSnapshotCases = []testCase{
	{"may be missing", anything, func(t *testing.T, s *subject) {
		s.write(t, "a", 1, 1)
		_, ok, err := s.LoadActorSnapshot(s.ctx, "a")
		require.NoError(t, err)
		require.False(t, ok)
	}},
	{"are kept exactly", anything, func(t *testing.T, s *subject) {
		for i, data := range [][]byte{nil, {}, {0, 0xff}, make([]byte, 1<<20)} {
			snapshot := journal.ActorSnapshot{Index: int64(i), Type: "test.v1.Größe", Data: data}
			require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", snapshot))
			s.hasSnapshot(t, "a", snapshot)
		}
	}},
	{"give the one with the greatest index", anything, func(t *testing.T, s *subject) {
		for _, index := range []int64{10, 2, 9, 100, 99} {
			require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", snapshotAt(index)))
		}
		s.hasSnapshot(t, "a", snapshotAt(100))
	}},
	{"replace one with the same index", anything, func(t *testing.T, s *subject) {
		require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", snapshotAt(0)))
		changed := journal.ActorSnapshot{Index: 0, Type: "test.v1.Other", Data: []byte("changed")}
		require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", changed))
		s.hasSnapshot(t, "a", changed)
	}},
	{"are deleted through an index", anything, func(t *testing.T, s *subject) {
		for _, index := range []int64{1, 2, 3} {
			require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", snapshotAt(index)))
			require.NoError(t, s.SaveActorSnapshot(s.ctx, "b", snapshotAt(index)))
		}
		require.NoError(t, s.DeleteActorSnapshots(s.ctx, "a", 2))
		s.hasSnapshot(t, "a", snapshotAt(3))
		require.NoError(t, s.DeleteActorSnapshots(s.ctx, "a", 3))
		_, ok, err := s.LoadActorSnapshot(s.ctx, "a")
		require.NoError(t, err)
		require.False(t, ok)
		s.hasSnapshot(t, "b", snapshotAt(3))
		require.NoError(t, s.DeleteActorSnapshots(s.ctx, "unknown", 3))
	}},
	{"keep nothing of the caller's memory", anything, func(t *testing.T, s *subject) {
		snapshot := snapshotAt(1)
		require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", snapshot))
		clear(snapshot.Data)
		s.hasSnapshot(t, "a", snapshotAt(1))
	}},
	{"are no events", anything, func(t *testing.T, s *subject) {
		require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", snapshotAt(7)))
		require.Empty(t, s.all(t))
		last, err := s.LastSequenceNumber(s.ctx, "a")
		require.NoError(t, err)
		require.Zero(t, last)
	}},
}

func snapshotAt(index int64) journal.ActorSnapshot {
	return journal.ActorSnapshot{Index: index, Type: "test.v1.State", Data: []byte{1, byte(index)}}
}

func (s *subject) hasSnapshot(t *testing.T, id string, want journal.ActorSnapshot) {
	t.Helper()
	got, ok, err := s.LoadActorSnapshot(s.ctx, id)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, want, got)
}
