package adopt

import (
	"context"
	"slices"
	"sync"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// deletesPerSave is how many ids are attended to after a save.
const deletesPerSave = 64

// deletes are what actors want to have deleted, and outboxes still need. They end with the process; an actor deletes anew
// after its next snapshot.
type deletes struct {
	mu      sync.Mutex
	waiting map[string]int64 // persistence id → sequence number through which it may be deleted
	running bool
}

func (d *deletes) add(id string, through int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == nil {
		d.waiting = make(map[string]int64)
	}
	d.waiting[id] = max(d.waiting[id], through)
}

// start deletes what every outbox has saved past, unless that is being done; nobody waits for it. What fails is tried again
// after the next save.
func (d *deletes) start(j *Journal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running || len(d.waiting) == 0 {
		return
	}
	d.running = true
	go func() {
		d.run(j)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.running = false
	}()
}

func (d *deletes) run(j *Journal) {
	d.mu.Lock()
	ids := make(map[string]int64, min(len(d.waiting), deletesPerSave))
	for id, through := range d.waiting {
		if len(ids) == deletesPerSave {
			break
		}
		ids[id] = through
	}
	d.mu.Unlock()
	for id, through := range ids {
		possible := min(through, j.savedThrough(id))
		if possible <= 0 || j.locks.stuck(id) {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), j.callTimeout)
		err := j.call(ctx, id, func() error { j.state.DeleteEvents(id, int(possible)-1); return nil })
		cancel()
		if err != nil {
			j.problems.found(id, wrapID("delete events", id, err))
			continue
		}
		d.mu.Lock()
		if possible == through && d.waiting[id] == through {
			delete(d.waiting, id)
		}
		d.mu.Unlock()
	}
}

// savedThrough is the sequence number through which no outbox needs the id's events any more. The last event of all that was
// settled stays: it is where the next look begins.
func (j *Journal) savedThrough(id string) int64 {
	j.registry.mu.Lock()
	registered := j.registry.known.GetKeys()
	j.registry.mu.Unlock()
	through, outboxes := int64(-1), 0
	for _, f := range j.allFeeds() {
		if n, ok := f.savedThrough(id); ok {
			if outboxes++; through < 0 || n < through {
				through = n
			}
		}
	}
	if outboxes == 0 || outboxes < len(registered) {
		return 0 // one that does not run here is asked for nothing, and needs everything
	}
	return through
}

// savedThrough is the same for one outbox; ok is false if the feed has none.
func (f *Feed) savedThrough(id string) (through int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.owned {
		return 0, false
	}
	s := f.index.streams[id]
	if s == nil || f.saved.index == 0 {
		return 0, true
	}
	through = f.index.settledThrough(s, f.saved.keep.Watermark) - 1
	if next, held := f.saved.keep.Held[id]; held {
		through = min(through, next-1)
	}
	for _, p := range append(slices.Clip(f.saved.keep.Parked), f.saved.keep.Anchor) {
		if p.PersistenceID == id {
			through = min(through, p.SequenceNumber-1)
		}
	}
	return max(0, through), true
}

// floors are the sequence numbers through which events are hidden from replay, until they are deleted.
type floors struct {
	mu  sync.Mutex
	all map[string]int64
}

func (h *floors) raise(id string, through int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = make(map[string]int64)
	}
	h.all[id] = max(h.all[id], through)
}

func (h *floors) of(id string) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all[id]
}

// hide hides an actor's events from its replay, and has them deleted when no outbox needs them any more.
func (j *Journal) hide(id string, through int64) {
	if through > 0 && query.ValidateID(id) == nil {
		j.deletes.add(id, through)
	}
}
