package crash_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/protoactor-contrib/protoactor-outbox/internal/crash"
)

// checkStored: every acknowledged write is in the journal, as it was acknowledged, and no stream has a gap.
func checkStored(t *testing.T, stored map[event]string, lives []*life) {
	t.Helper()
	acknowledged := map[event]bool{}
	for _, l := range lives {
		for _, a := range l.acks {
			e := event{a.PersistenceID, a.SequenceNumber}
			require.False(t, acknowledged[e], "%v was acknowledged twice", e)
			acknowledged[e] = true
			require.Equal(t, a.Payload, stored[e], "lost: a write that was acknowledged as %v", e)
		}
	}
	writes := map[string]event{}
	for e, payload := range stored {
		other, twice := writes[payload]
		require.False(t, twice, "write %q was stored twice, as %v and %v", payload, other, e)
		writes[payload] = e
		_, follows := stored[event{e.id, e.seq - 1}]
		require.True(t, follows || e.seq == 1, "%v is stored, the event before it is not", e)
	}
}

// checkReceived: everything in the journal was received, nothing else, and first receipts are in order.
func checkReceived(t *testing.T, stored map[event]string, receipts []receipt) {
	t.Helper()
	last := map[string]int64{}
	for i, r := range receipts {
		require.Equal(t, stored[r.event], r.payload, "receipt %d: what was received as %v is not what is stored", i, r.event)
		if r.seq > last[r.id] {
			require.Equal(t, last[r.id]+1, r.seq, "receipt %d: out of order: %v", i, r.event)
			last[r.id] = r.seq
		}
	}
	for e := range stored {
		require.LessOrEqual(t, e.seq, last[e.id], "lost: %v is stored and was never received", e)
	}
}

// checkRepeated: of the events that one life delivered, at most MaxUnsaved were delivered again by later ones, and none
// after a drain. It does not matter whether the killed worker had heard that they were received.
func checkRepeated(t *testing.T, lives []*life, receipts []receipt) {
	t.Helper()
	latest := map[event]int{} // the life that delivered it last
	for _, r := range receipts {
		before, repeated := latest[r.event]
		// A request may be handled after its sender's end, and then seems to come from the past.
		if latest[r.event] = max(before, r.life); repeated && before == r.life {
			if r.life < len(lives) {
				lives[r.life].within++
			}
			continue // a repetition within a life is not the crash's
		}
		if r.life < len(lives) {
			lives[r.life].received++
		}
		if repeated {
			lives[min(before, r.life)].again++
		}
	}
	for _, l := range lives {
		require.LessOrEqual(t, l.again, l.mayRepeat(), "crash %d, %s, repeated too many events; its last steps: %v",
			l.job.Life, l.name, l.steps[max(0, len(l.steps)-10):])
	}
}

// checkUndisturbed: no life has repeated what it had delivered itself, whatever happened to the server, and where nothing did,
// the journal could be opened.
func checkUndisturbed(t *testing.T, lives []*life) {
	t.Helper()
	for _, l := range lives {
		require.Zero(t, l.within, "life %d, %s, repeated events that it had delivered itself", l.job.Life, l.name)
		if !l.disturbed {
			require.Zero(t, times(l.steps, crash.OpenFailed), "life %d could not open the journal: %v", l.job.Life, l.steps[:min(5, len(l.steps))])
		}
	}
}

// checkSaved: offsets that were said to be saved are in the journal, those whose saving had not begun are not. It tells
// which of the two became of those that the kill has hit.
func checkSaved(t *testing.T, l *life, stored int64) string {
	t.Helper()
	begun, saved := l.last(crash.SaveBegins), l.last(crash.Saved)
	require.GreaterOrEqual(t, stored, saved, "lost: offsets that were saved")
	require.LessOrEqual(t, stored, begun)
	if l.job.WaitAt == crash.SaveBegins {
		require.Less(t, stored, begun)
	}
	if stored == begun {
		return "saved"
	}
	return "not saved"
}
