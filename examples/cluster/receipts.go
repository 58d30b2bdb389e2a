package main

import (
	"sync"
	"time"
)

// receipt is a delivery of an event.
type receipt struct {
	persistenceID  string
	sequenceNumber int64
	// shard and epoch say which owner has sent it.
	shard string
	epoch int64
	at    time.Time
}

// receipts is what was received so far. Its methods may be called concurrently.
type receipts struct {
	mu      sync.Mutex
	streams map[string]*stream
	shards  map[string]*shardReceipts
	counts  receiptCounts
	// repeated counts, for each owner, the events that it had delivered and a later one delivered again.
	repeated map[ownership]int
}

// ownership is one owner's time with a shard.
type ownership struct {
	shard string
	epoch int64
}

// receiptCounts are of all receipts.
type receiptCounts struct {
	// total counts all, duplicates those of events that had been received before.
	total, duplicates int64
	// outOfOrder counts events that were first received while one before them had not been.
	outOfOrder int64
	// late counts those that came from an owner when a later one had been heard of.
	late int64
}

// stream is what was received of one persistence id: for each event, the epoch of its last delivery.
type stream struct {
	through int64 // everything up to here was received
	epochs  map[int64]int64
}

// shardReceipts is what was received from one shard.
type shardReceipts struct {
	epoch       int64 // the greatest
	first, last time.Time
	before      time.Time     // the last one of the owner before, zero if there was none
	pause       time.Duration // the longest time without a receipt since it was last asked for
}

func newReceipts() *receipts {
	return &receipts{streams: map[string]*stream{}, shards: map[string]*shardReceipts{}, repeated: map[ownership]int{}}
}

func (r *receipts) add(got receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addToShard(got)
	s := r.streams[got.persistenceID]
	if s == nil {
		s = &stream{epochs: map[int64]int64{}}
		r.streams[got.persistenceID] = s
	}
	r.counts.total++
	earlier, again := s.epochs[got.sequenceNumber]
	s.epochs[got.sequenceNumber] = max(earlier, got.epoch)
	switch {
	case again:
		r.counts.duplicates++
		if earlier < got.epoch {
			r.repeated[ownership{got.shard, earlier}]++
		}
	case got.sequenceNumber != s.through+1:
		r.counts.outOfOrder++
	}
	for s.has(s.through + 1) {
		s.through++
	}
}

func (r *receipts) addToShard(got receipt) {
	s := r.shards[got.shard]
	if s == nil {
		s = &shardReceipts{last: got.at}
		r.shards[got.shard] = s
	}
	s.pause = max(s.pause, got.at.Sub(s.last))
	switch {
	case got.epoch > s.epoch:
		if s.epoch > 0 {
			s.before = s.last
		}
		s.epoch, s.first = got.epoch, got.at
	case got.epoch < s.epoch:
		r.counts.late++
	}
	s.last = got.at
}

func (s *stream) has(sequenceNumber int64) bool {
	_, ok := s.epochs[sequenceNumber]
	return ok
}

// has reports whether the event was received.
func (r *receipts) has(persistenceID string, sequenceNumber int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[persistenceID]
	return s != nil && s.has(sequenceNumber)
}

// count returns the counts, and the number of different events.
func (r *receipts) count() (c receiptCounts, distinct int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts, r.counts.total - r.counts.duplicates
}

// of returns what was received from a shard.
func (r *receipts) of(shard string) shardReceipts {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.shards[shard]; s != nil {
		return *s
	}
	return shardReceipts{}
}

// longestPause returns the longest time that any shard was silent for since this was last called.
func (r *receipts) longestPause() (longest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.shards {
		longest = max(longest, s.pause)
		s.pause = 0
	}
	return longest
}

// mostRepeated returns the greatest number of events of one owner that later ones have delivered again.
func (r *receipts) mostRepeated() (owner ownership, events int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for o, n := range r.repeated {
		if n > events {
			owner, events = o, n
		}
	}
	return owner, events
}
