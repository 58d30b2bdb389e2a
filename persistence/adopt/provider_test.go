package adopt_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/persistence"
	"google.golang.org/protobuf/proto"
)

// framework is the framework's provider in memory, which is only half of one.
type framework struct{ *persistence.InMemoryProvider }

func newFramework() framework { return framework{persistence.NewInMemoryProvider(1 << 30)} }

func (p framework) GetState() persistence.ProviderState { return p }

// table is a provider as one over SQL is: rows by id and index. What it is given it encodes, as a database would have it.
type table struct {
	mu        sync.Mutex
	events    map[string]map[int]proto.Message
	snapshots map[string]map[int]proto.Message
	deletes   []string
	reads     int
}

func newTable() *table {
	return &table{events: make(map[string]map[int]proto.Message), snapshots: make(map[string]map[int]proto.Message)}
}

func (p *table) GetState() persistence.ProviderState { return p }
func (p *table) Restart()                            {}
func (p *table) GetSnapshotInterval() int            { return 0 }

func (p *table) GetSnapshot(id string) (snapshot any, index int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.snapshots[id]) == 0 {
		return nil, 0, false
	}
	index = slices.Max(slices.Collect(maps.Keys(p.snapshots[id])))
	return proto.Clone(p.snapshots[id][index]), index, true
}

func (p *table) PersistSnapshot(id string, index int, snapshot proto.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(p.snapshots, id, index, snapshot)
}

func (p *table) DeleteSnapshots(id string, inclusiveToIndex int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.snapshots[id], func(i int, _ proto.Message) bool { return i <= inclusiveToIndex })
}

func (p *table) GetEvents(id string, start, end int, callback func(any)) {
	p.mu.Lock()
	p.reads++
	var indexes []int
	for i := range p.events[id] {
		if i >= start && (end == 0 || i <= end) { // included, where the framework's own leaves it out
			indexes = append(indexes, i)
		}
	}
	slices.Sort(indexes)
	rows := make([]proto.Message, len(indexes))
	for n, i := range indexes {
		rows[n] = p.events[id][i]
	}
	p.mu.Unlock()
	for _, row := range rows {
		callback(proto.Clone(row))
	}
}

func (p *table) PersistEvent(id string, index int, event proto.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.events[id][index] != nil {
		panic(fmt.Errorf("unique constraint: %s has an event %d", id, index))
	}
	p.put(p.events, id, index, event)
}

func (p *table) DeleteEvents(id string, inclusiveToIndex int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deletes = append(p.deletes, fmt.Sprintf("%s through %d", id, inclusiveToIndex))
	maps.DeleteFunc(p.events[id], func(i int, _ proto.Message) bool { return i <= inclusiveToIndex })
}

func (p *table) put(rows map[string]map[int]proto.Message, id string, index int, m proto.Message) {
	if rows[id] == nil {
		rows[id] = make(map[int]proto.Message)
	}
	rows[id][index] = proto.Clone(m)
}

// ids lists what is there.
func (p *table) ids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.events))
}

var errDown = errors.New("the database is down")

// moody misbehaves, each way with a probability of its own, in what it does for events and for the outbox's snapshots.
type moody struct {
	persistence.ProviderState

	mu     sync.Mutex
	random *rand.Rand
	calm   bool
	freed  chan struct{} // closed when those that hang may go on
	counts map[string]int

	swallow float64 // a write is lost without a word
	panics  float64 // before or after it is done
	hang    float64 // until freed
	late    float64 // the newest event is not shown yet
	refuse  bool    // a snapshot's index that is there is not written again
	// heard: all actors use journal.Using, and so hear of what is swallowed. Over a table, those that do not may count into the
	// gaps of their stream later.
	heard bool
}

func newMoody(p persistence.Provider, seed uint64) *moody {
	return &moody{ProviderState: p.GetState(), random: rand.New(rand.NewPCG(seed, 1)), freed: make(chan struct{}), counts: make(map[string]int)}
}

func (p *moody) GetState() persistence.ProviderState { return p }

// mood returns what becomes of a call.
func (p *moody) mood(what string, writes bool) (before, swallow, after, late bool) {
	p.mu.Lock()
	if p.calm {
		p.mu.Unlock()
		return false, false, false, false
	}
	happens := func(kind string, probability float64) bool {
		if p.random.Float64() < probability {
			p.counts[kind+" "+what]++
			return true
		}
		return false
	}
	hang := happens("hang", p.hang)
	before, after = happens("panic before", p.panics), happens("panic after", p.panics)
	swallow = writes && happens("swallow", p.swallow)
	late = !writes && happens("late", p.late)
	freed := p.freed
	p.mu.Unlock()
	if hang {
		<-freed
	}
	return before, swallow, after, late
}

// free lets go of the calls that hang. With calm, nothing goes wrong any more.
func (p *moody) free(calm bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calm = calm
	close(p.freed)
	p.freed = make(chan struct{})
}

func (p *moody) do(what string, writes bool, fn func(late bool)) {
	before, swallow, after, late := p.mood(what, writes)
	if before {
		panic(errDown)
	}
	if !swallow {
		fn(late)
	}
	if after {
		panic(errDown)
	}
}

func (p *moody) GetSnapshot(id string) (snapshot any, index int, ok bool) {
	p.do("GetSnapshot", false, func(bool) { snapshot, index, ok = p.ProviderState.GetSnapshot(id) })
	return snapshot, index, ok
}

func (p *moody) PersistSnapshot(id string, index int, snapshot proto.Message) {
	p.do("PersistSnapshot", true, func(bool) {
		if _, there, ok := p.ProviderState.GetSnapshot(id); p.refuse && ok && there == index {
			return
		}
		p.ProviderState.PersistSnapshot(id, index, snapshot)
	})
}

func (p *moody) GetEvents(id string, start, end int, callback func(any)) {
	p.do("GetEvents", false, func(late bool) {
		var all []any
		p.ProviderState.GetEvents(id, start, end, func(e any) { all = append(all, e) })
		if late {
			all = all[:max(0, len(all)-1)]
		}
		for _, e := range all {
			callback(e)
		}
	})
}

func (p *moody) PersistEvent(id string, index int, event proto.Message) {
	p.do("PersistEvent", true, func(bool) { p.ProviderState.PersistEvent(id, index, event) })
}
