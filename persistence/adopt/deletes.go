package adopt

import (
	"context"
	"log/slog"
	"maps"
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
	waiting map[string]deletion // by persistence id
	running bool
}

// deletion is what is to be deleted of one id, and what has been, each through a sequence number.
type deletion struct{ through, done int64 }

func (d *deletes) add(id string, through int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == nil {
		d.waiting = make(map[string]deletion)
	}
	w := d.waiting[id]
	d.waiting[id] = deletion{through: max(w.through, through), done: w.done}
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
	waiting := maps.Clone(d.waiting)
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), j.callTimeout)
	registered, err := j.registry.confirm(ctx, j)
	cancel()
	if err != nil {
		j.log.Warn("events that actors have deleted stay for now", slog.Any("error", err))
		return
	}
	begun := 0
	for id, w := range waiting {
		possible := min(w.through, j.savedThrough(id, len(registered)))
		if possible <= w.done || j.locks.stuck(id) {
			continue
		}
		if begun++; begun > deletesPerSave {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), j.callTimeout)
		err := j.call(ctx, id, func() error { j.state.DeleteEvents(id, int(possible)-1); return nil })
		cancel()
		if err != nil {
			j.problems.found(id, wrapID("delete events", id, err))
			continue
		}
		d.mu.Lock()
		if w = d.waiting[id]; possible == w.through {
			delete(d.waiting, id)
		} else {
			d.waiting[id] = deletion{through: w.through, done: possible}
		}
		d.mu.Unlock()
	}
}

// savedThrough is the sequence number through which no outbox needs the id's events any more. The last event of all that was
// settled stays: it is where the next look begins.
func (j *Journal) savedThrough(id string, registered int) int64 {
	through, outboxes := int64(-1), 0
	for _, f := range j.allFeeds() {
		if n, ok := f.savedThrough(id); ok {
			if outboxes++; through < 0 || n < through {
				through = n
			}
		}
	}
	if outboxes == 0 || outboxes < registered {
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
