package journaltest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func (s *subject) reopen(t *testing.T) {
	t.Helper()
	s.Journal = s.h.Reopen(t, s.Journal)
}

func (s *subject) crash(t *testing.T) {
	t.Helper()
	s.Journal = s.h.Crash(t, s.Journal)
}

// restartCases are what a journal still knows after it was closed, or its process killed, and opened again.
func restartCases(needs need, restart func(*subject, *testing.T)) []testCase {
	return []testCase{
		{"keeps the identity and the head", needs, func(t *testing.T, s *subject) {
			s.write(t, "a", 1, 3)
			before, err := s.Head(s.ctx)
			require.NoError(t, err)
			restart(s, t)
			after, err := s.Head(s.ctx)
			require.NoError(t, err)
			require.Equal(t, before, after)
		}},
		{"keeps events, and which of them are hidden", needs, func(t *testing.T, s *subject) {
			s.writeVaried(t)
			require.NoError(t, s.HideEvents(s.ctx, "entity-1", 2))
			require.NoError(t, s.AppendEvent(s.ctx, largeEvent("big", 1, mebibyte)))
			feed, replayed := s.all(t), s.replayed(t, "entity-1", 1, 0)
			restart(s, t)
			require.Equal(t, ids(feed), ids(s.all(t)))
			require.Equal(t, feed, s.all(t))
			require.Equal(t, replayed, s.replayed(t, "entity-1", 1, 0))
		}},
		{"keeps everything that was acknowledged to many writers", needs, func(t *testing.T, s *subject) {
			const writers, each = 8, 10
			for round := range int64(3) {
				var (
					wg   sync.WaitGroup
					errs [writers]error
				)
				for w := range writers {
					wg.Go(func() {
						for seq := round*each + 1; seq <= (round+1)*each && errs[w] == nil; seq++ {
							errs[w] = s.AppendEvent(s.ctx, newEvent(fmt.Sprintf("writer-%d", w), seq))
						}
					})
				}
				wg.Wait()
				for _, err := range errs {
					require.NoError(t, err)
				}
				restart(s, t)
				require.Len(t, s.all(t), int(round+1)*writers*each)
			}
		}},
		{"goes on with sequence numbers and offsets", needs, func(t *testing.T, s *subject) {
			for round := int64(1); round <= 4; round++ {
				s.write(t, "a", round, round)
				s.write(t, "b", round, round)
				restart(s, t)
				s.refuses(t, otherUID(newEvent("a", round)))
				s.write(t, "a", round, round) // the same event again
			}
			require.Equal(t, []string{"a/1", "b/1", "a/2", "b/2", "a/3", "b/3", "a/4", "b/4"}, ids(s.all(t)))
		}},
		{"goes on where a reader was", needs, func(t *testing.T, s *subject) {
			var after query.Offset
			for round := int64(1); round <= 4; round++ {
				s.write(t, "a", round, round)
				page, err := s.Events(s.ctx, after, query.Filter{}, query.Limits{Events: 10})
				require.NoError(t, err)
				require.Equal(t, []string{fmt.Sprintf("a/%d", round)}, ids(page.Events))
				after = page.Next
				restart(s, t)
				head, err := s.Head(s.ctx)
				require.NoError(t, err)
				require.GreaterOrEqual(t, head.Offset, after, "it reaches as far as before")
			}
		}},
		{"keeps snapshots of actors", needs, func(t *testing.T, s *subject) {
			require.NoError(t, s.SaveActorSnapshot(s.ctx, "a", snapshotAt(7)))
			restart(s, t)
			s.hasSnapshot(t, "a", snapshotAt(7))
			require.NoError(t, s.DeleteActorSnapshots(s.ctx, "a", 7))
			restart(s, t)
			_, ok, err := s.LoadActorSnapshot(s.ctx, "a")
			require.NoError(t, err)
			require.False(t, ok, "what was deleted stays away")
		}},
		{"keeps snapshots, indexes and epochs of outboxes", needs, func(t *testing.T, s *subject) {
			if lacks := s.h.lacks(snapshotStore); lacks != "" {
				t.Skip("the harness states that " + lacks)
			}
			s.acquire(t, outboxKey)
			epoch := s.acquire(t, outboxKey).Epoch
			require.NoError(t, s.save(epoch, 3, "three"))
			require.Equal(t, int64(1), s.acquire(t, "outbox/gone").Epoch)
			require.NoError(t, s.store().Unregister(s.ctx, "outbox/gone"))
			gone := s.load(t, "outbox/gone").Epoch

			restart(s, t)
			requireSaved(t, epoch, 3, "three", s.load(t, outboxKey))
			require.ErrorIs(t, s.save(epoch, 3, "again"), query.ErrStaleIndex)
			s.isFenced(t, s.save(epoch-1, 4, "old"))
			require.NoError(t, s.save(epoch, 4, "four"), "an owner may outlive its journal's connection")

			restart(s, t)
			requireSaved(t, epoch+1, 4, "four", s.acquire(t, outboxKey))
			s.isFenced(t, s.save(epoch, 5, "old"))
			require.Greater(t, s.acquire(t, "outbox/gone").Epoch, gone)
		}},
		{"keeps what an actor has become", needs, func(t *testing.T, s *subject) {
			system := newSystem(t)
			pid := s.spawn(t, system)
			for range 3 {
				deposit(system, pid, 2)
			}
			ask(t, system, pid, takeSnapshot{})
			deposit(system, pid, 7)
			require.Equal(t, int64(13), balance(t, system, pid))
			require.NoError(t, system.Root.PoisonFuture(pid).Wait())

			restart(s, t)
			pid = s.spawn(t, system)
			require.Equal(t, int64(13), balance(t, system, pid))
			deposit(system, pid, 1)
			require.Equal(t, int64(14), balance(t, system, pid))
			require.Equal(t, []string{"account/1", "account/2", "account/3", "account/4", "account/5"}, ids(s.all(t)))
		}},
	}
}
