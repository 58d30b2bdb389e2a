package ledger

import (
	"fmt"
	"strings"
	"time"
)

// handoverFaults are a seed's: mostly probabilities, and often 0.
type handoverFaults struct {
	// The way to the store and back. late is the most that anything is.
	requestLost, requestLate, answerLost, answerLate float64
	late                                             time.Duration
	// deaf: the store does not keep to its context, so that calls take as long as they take.
	deaf bool
	// cuts from the store; suspended processes.
	cuts, sleeps int
	// examineFails: the journal fails after the name was acquired.
	examineFails, readFails, readLate float64
	// Publishers.
	batchLate, batchAnswerLost, laneLate, flake, poison float64
	remotePublisher                                     bool

	// timely: something happens just when a request goes out to the store.
	timely float64

	takeovers, restarts, kills, stops, drains, trims int
	events, ids                                      int
	length                                           time.Duration
}

func (h *handover) drawHandoverFaults() handoverFaults {
	f := handoverFaults{
		deaf: h.chance(0.2), late: h.span(time.Second, 15*time.Second), sleeps: h.few(5),
		readFails: h.maybe(0.2), readLate: h.maybe(0.1),
		batchLate: h.maybe(0.3), batchAnswerLost: h.maybe(0.2), laneLate: h.maybe(0.5), flake: h.maybe(0.2), poison: h.maybe(0.1),
		remotePublisher: h.chance(0.3),
		takeovers:       h.between(1, 4), restarts: h.few(4), kills: h.few(2), stops: h.few(2), drains: h.few(2), trims: h.few(5),
		timely: h.maybe(0.05),
		events: h.between(10, 150), ids: h.between(1, 20), length: h.span(5*time.Second, 30*time.Second),
	}
	if h.chance(0.8) { // in the others the store answers, so that it can be said when who must know what
		f.requestLost, f.requestLate, f.answerLost, f.answerLate = h.maybe(0.2), h.maybe(0.4), h.maybe(0.2), h.maybe(0.4)
		f.examineFails, f.cuts = h.maybe(0.3), h.few(4)
	}
	if h.rules.trimsOften {
		f.trims, f.restarts, f.timely = 200, 8, 0.1
		f.requestLate = max(f.requestLate, 0.2)
	}
	return f
}

// storeIsBad reports whether the store may fail to answer soon.
func (f *handoverFaults) storeIsBad() bool {
	return f.requestLost+f.requestLate+f.answerLost+f.answerLate+f.examineFails > 0 || f.cuts > 0
}

// handoverStatistic is what is counted.
type handoverStatistic int

const (
	statHandoverEvents handoverStatistic = iota
	statTakenOver
	statProved
	statAcquireFailed
	statTakenMeanwhile
	statReplacedBeforeBegin
	statFencedByItself // by another rule than the product's
	statFencedForNobody
	statSlept
	statCut
	statTimely
	statHandoverRestart
	statHandoverKill
	statHandoverStop
	statHandoverDrain
	statHandoverDrained
	statHandoverFinal
	statHandoverTrimmed
	statHandoverMissing
	statHandoverParked
	statHandoverAnswerLate
	statSaveFenced
	statHandoverSaveStale
	statSaveUndecided
	statDecidedSaved
	statDecidedFailed
	statDecidedFenced
	statLearnedBySave
	statLearnedByLook
	statLearnedByProof
	statZombieSent
	statZombieDelivered
	statZombieAcked
	statZombieFirst
	statHandoverDuplicates
	statDeliveredAfterParked
	statBoundReached
	statSeveralLeft
)

var handoverStatisticNames = [...]string{
	"events", "taken over", "epoch proved", "acquire failed", "taken meanwhile", "replaced before it began",
	"fenced by its own late Acquire", "fenced by a late Acquire for nobody", "suspended", "cut off", "just at a request", "restart", "kill",
	"stop", "drain", "drained", "last save", "trimmed", "missing", "parked", "answer late", "save fenced", "save stale",
	"save undecided", "looked and saved", "looked and not saved", "looked and fenced", "learned by a save",
	"learned by a look", "learned by a proof", "sent after it was replaced", "delivered after it was replaced",
	"acknowledged after it was replaced", "first acknowledged after it was replaced", "duplicates",
	"delivered after it was parked and its id went on", "bound reached by one who was replaced", "takeover from several",
}

type handoverStatistics [len(handoverStatisticNames)]int

func (st *handoverStatistics) add(other *handoverStatistics) {
	for i, n := range other {
		st[i] += n
	}
}

func (st *handoverStatistics) missing() (names []string) {
	for i, n := range st {
		if n == 0 && handoverStatistic(i) != statFencedByItself {
			names = append(names, handoverStatisticNames[i])
		}
	}
	return names
}

func (st *handoverStatistics) String() string {
	var b strings.Builder
	for i, n := range st {
		fmt.Fprintf(&b, "%s %d, ", handoverStatisticNames[i], n)
	}
	return strings.TrimSuffix(b.String(), ", ")
}
