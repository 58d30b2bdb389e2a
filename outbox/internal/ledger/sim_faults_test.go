package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// faults are a seed's: mostly probabilities. Many are 0 in many seeds, so that each is also seen without the others.
type faults struct {
	// The journal: reads fail, are slow beyond the timeout, are never answered, are answered twice; pages are shorter
	// than they need be.
	readFails, readSlow, readLost, readTwice, pageShort float64
	// Publishers. Per batch: the answer is slow, lost, repeated, "unknown" for all; the publisher crashes in it.
	answerSlow, answerLost, answerTwice, answerUnknown, laneCrash float64
	// hides: the feed leaves out an event that is there.
	hides float64
	// Per event: the sink has a bad moment, refuses for good.
	flake, poison float64
	// stubborn ids fail until the last phase; sick ids fail for a while.
	stubborn, sick []string
	sickUntil      time.Duration
	outages        []span
	destinations   destinationFaults
	laneDowns      int
	// The store: saves fail, are stored but not heard of, are stored late, are never answered, are answered twice.
	saveFails, saveUnheard, saveLate, saveLost, saveTwice float64
	// Processes: how many of each.
	restarts, kills, takeovers, stops, drains int
	commands, operations, rewinds             int
	base                                      bool // the outbox begins at the journal's end
	trims                                     int
	writers, events, ids                      int
	hot                                       float64 // share of the hottest ids
	gaps                                      float64
	length                                    time.Duration
}

// span is a stretch of virtual time.
type span struct{ from, to time.Duration }

func (p span) contains(t time.Duration) bool { return t >= p.from && t < p.to }

// maybe draws a probability up to most, and often 0.
func (v *virtual) maybe(most float64) float64 {
	if v.chance(0.5) {
		return 0
	}
	return v.rng.Float64() * most
}

// few draws a small number, and often 0.
func (v *virtual) few(most int) int {
	if v.chance(0.5) {
		return 0
	}
	return v.between(1, most)
}

func idName(n int) string { return fmt.Sprintf("id%d", n) }

func (s *simulation) drawFaults() faults {
	f := faults{
		readFails: s.maybe(0.3), readSlow: s.maybe(0.1), readLost: s.maybe(0.1), readTwice: s.maybe(0.2), pageShort: s.maybe(0.5),
		answerSlow: s.maybe(0.15), answerLost: s.maybe(0.1), answerTwice: s.maybe(0.2), answerUnknown: s.maybe(0.15), laneCrash: s.maybe(0.05),
		flake: s.maybe(0.2), poison: s.maybe(0.1),
		saveFails: s.maybe(0.4), saveUnheard: s.maybe(0.2), saveLate: s.maybe(0.2), saveLost: s.maybe(0.1), saveTwice: s.maybe(0.2),
		restarts: s.few(4), kills: s.few(3), takeovers: s.few(3), stops: s.few(2), drains: s.few(2),
		laneDowns: s.few(4), commands: s.few(20), operations: s.few(20), rewinds: s.few(2), trims: s.few(5),
		hides: s.maybe(0.5), base: s.chance(0.1),
		writers: s.between(1, 4), events: s.between(10, 300), ids: s.between(1, 40), hot: s.maybe(0.8), gaps: s.maybe(0.5),
		length: s.span(5*time.Second, 30*time.Second),
	}
	id := func() string { return idName(s.rng.IntN(f.ids)) }
	for range min(s.few(3), s.cfg.MaxHeld-1) { // one more would stop the reading, by design
		if name := id(); !slices.Contains(f.stubborn, name) {
			f.stubborn = append(f.stubborn, name)
		}
	}
	for range s.few(6) {
		f.sick = append(f.sick, id())
	}
	f.sickUntil = s.span(0, f.length)
	for range s.few(2) {
		from := s.span(0, f.length)
		f.outages = append(f.outages, span{from, from + s.span(time.Second, 10*time.Second)})
	}
	f.destinations = s.drawDestinations(&f)
	return f
}

func (v *virtual) drawConfig() Config {
	jitter := v.rng // one source: the order of calls is part of the run
	cfg := Config{
		Lanes:        v.between(1, 4),
		PollInterval: v.span(20*time.Millisecond, 80*time.Millisecond),
		Page:         query.Limits{Events: v.between(2, 32), Bytes: v.between(1, 32) << 10},
		Window:       query.Limits{Events: v.between(4, 64), Bytes: v.between(4, 64) << 10},
		CatchUp:      query.Limits{Events: v.between(1, 16), Bytes: v.between(1, 8) << 10},
		CatchUps:     v.between(1, 4),
		Batch:        query.Limits{Events: v.between(1, 16), Bytes: v.between(1, 8) << 10},
		LaneBatches:  v.between(1, 3),
		MaxUnsaved:   v.between(4, 64),
		MaxParked:    v.between(1, 8),
		SaveEvery:    v.between(1, 32), SaveInterval: v.span(100*time.Millisecond, 2*time.Second),
		LazySaveInterval: v.span(2*time.Second, 5*time.Second),
		ReadTimeout:      v.span(500*time.Millisecond, time.Second),
		PublishTimeout:   v.span(500*time.Millisecond, 2*time.Second),
		SaveTimeout:      v.span(500*time.Millisecond, time.Second),
		HoldAfter:        v.span(200*time.Millisecond, 2*time.Second),
		BackoffMin:       v.span(20*time.Millisecond, 100*time.Millisecond),
		BackoffMax:       v.span(time.Second, 3*time.Second),
		OutageAfter:      v.between(2, 8),
		Jitter:           jitter.Float64,
	}
	switch v.rng.IntN(5) {
	case 0:
		cfg.OnPoison = Hold
	case 1:
		cfg.OnPoison = SkipOver
	}
	if v.chance(0.3) {
		cfg.MaxAttempts = v.between(2, 5)
	}
	cfg.IdlePollInterval = cfg.PollInterval + v.span(0, time.Second)
	cfg.MaxHeld = v.between(1, min(16, cfg.MaxUnsaved-2))
	switch v.rng.IntN(4) {
	case 0:
		cfg.Filter.Tags = []string{"wanted"}
	case 1:
		cfg.Filter.Slices = query.SliceRange{From: 0, To: uint16(v.between(200, 900))}
	}
	return cfg
}

// statistics count what has happened.
type statistics [len(statisticNames)]int

const (
	statEvents = iota
	statPublished
	statDuplicates
	statReadFailed
	statReadLate
	statReadTwice
	statPageShort
	statStreamReadFailed
	statAnswerLate
	statAnswerLost
	statAnswerTwice
	statAnswerUnknown
	statAnswerOld
	statLaneDown
	statRetryAfter
	statMixedBatch
	statFlakeDelivered
	statHeld
	statHot
	statUnblocked
	statRejoined
	statAhead
	statHeldFull
	statParked
	statParkedFull
	statOutage
	statOutageEnded
	statSaveFailed
	statSaveUnheard
	statSaveLate
	statSaveLost
	statSaveTwice
	statSaveStale
	statRestart
	statKill
	statTakeover
	statFencedBySave
	statFencedByLook
	statFencedAtRestart
	statFinal
	statDrained
	statDrainDeadline
	statFlushed
	statAwaited
	statAwaitedParked
	statCancelled
	statTrimmed
	statBudgetFull
	statWindowFull
	statStubborn
	statHidden
	statGap
	statBase
	statSkippedByRule
	statSkippedByOperator
	statAwaitedSkipped
	statStuck
	statRetryNow
	statConflict
	statRedrive
	statRedriven
	statRedriveFailed
	statRewound
	statPaused
	statPausedOrResumed
	statMissing
	statDeleted
	statGapWithoutPlace
	statDestinationOut
	statDestinationBack
	statDestinationDead
	statDestinationTriedAside
	statDestinationProbed
	statDestinationProbeRead
	statDestinationHeldFull
	statDestinationsOut
	statDestinationOutInOutage
)

var statisticNames = [...]string{
	"events", "published", "duplicates", "read failed", "read late or lost", "read answered twice", "page short",
	"read by id failed", "answer late", "answer lost", "answer twice", "answer unknown for all", "answer of an old life",
	"lane down", "retry after", "mixed batch", "unknown though delivered", "held", "held as hot", "held to unblock",
	"rejoined", "ahead", "held full", "parked", "parked full", "outage", "outage ended", "save failed", "save unheard",
	"save late", "save lost", "save answered twice", "save stale", "restart", "kill", "takeover", "fenced by a save",
	"fenced by a look", "fenced at restart", "final save", "drained", "drain deadline", "flushed", "awaited",
	"awaited a parked event", "cancelled", "trimmed", "budget full", "window full", "stubborn id",
	"event hidden by the feed", "gap", "begin at the end", "skipped by rule", "skipped by an operator", "awaited a skipped event",
	"stuck", "retry now", "conflict", "redrive", "redriven", "redrive failed", "rewound", "paused", "paused or resumed",
	"missing", "deleted", "gap without a place",
	"destination out", "destination back", "refused by a dead destination", "found its destination out", "destination probed",
	"read to probe a destination", "held full with a destination out", "two destinations out", "destination out in an outage",
}

func (st *statistics) add(other *statistics) {
	for i, n := range other {
		st[i] += n
	}
}

func (st *statistics) missing() (names []string) {
	for i, n := range st {
		if n == 0 {
			names = append(names, statisticNames[i])
		}
	}
	return names
}

func (st *statistics) String() string {
	var b strings.Builder
	for i, n := range st {
		fmt.Fprintf(&b, "%s %d, ", statisticNames[i], n)
	}
	return strings.TrimSuffix(b.String(), ", ")
}
