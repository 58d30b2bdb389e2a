package shards

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/cluster"

	"github.com/protoactor-contrib/protoactor-outbox/outbox"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/internal/local"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Shards is an outbox in shards, as one member of a cluster has it; see [New]. It is for one actor system. Its methods may be
// called concurrently.
type Shards struct {
	names
	settings
	journal   query.Journal
	publisher *actor.Props

	creating *creation
	topology atomic.Uint64 // hash of the last one that was seen
	mu       sync.Mutex
	leaving  bool
	refusal  string // why shards are refused, as it was last said; empty if they are not
	active   map[*activation]struct{}
	pasts    []*past // by shard; nil for those that were never active here
}

// activation is a shard's actor, as its member sees it.
type activation struct {
	pid    *actor.PID
	system *actor.ActorSystem
	idle   chan struct{} // closed when it runs no outbox and will run none
	once   sync.Once
	err    error // of the outbox's end; set before idle is closed
}

func (a *activation) settle(err error) {
	a.once.Do(func() {
		a.err = err
		close(a.idle)
	})
}

// past is what a member remembers of a shard over its activations. It belongs to the shard's actor, of which a member has
// one at a time, but for moments in which an older one is ending.
type past struct {
	mu          sync.Mutex
	activations int64
	children    int // outboxes spawned, so that no name is used twice
	standby     *standby
	wait        time.Duration // of the next standby; zero before the first
}

// New returns an outbox in shards: 1 to 1024 of them, which divide the slices, and so the persistence ids, evenly. The
// number is stored when the first member starts, and cannot be changed here; see [Resize].
//
// The name is the outbox's identity: 1 to 150 letters, digits, dots, underscores and hyphens. The journal, the publisher and
// the options of each shard are as for outbox.Props; the publisher's props are spawned once for each lane of each shard. An
// invalid argument is an *outbox.OptionError that names it. New does not touch the journal.
func New(name string, shards int, journal query.Journal, publisher *actor.Props, opts ...Option) (*Shards, error) {
	s := &Shards{
		names: names{name, shards}, journal: journal, publisher: publisher,
		settings: settings{interval: max(time.Second, time.Duration(shards)*5*time.Millisecond)},
		creating: newCreation(),
		active:   make(map[*activation]struct{}),
	}
	for _, opt := range opts {
		opt(&s.settings)
	}
	if err := s.names.check(); err != nil {
		return nil, err
	}
	if err := s.settings.check(); err != nil {
		return nil, err
	}
	if s.snapshots == nil {
		s.snapshots, _ = journal.(query.SnapshotStore)
	}
	s.pasts = make([]*past, shards)
	if _, err := s.props(0, journal, s.snapshots); err != nil {
		return nil, err
	}
	return s, nil
}

// props are those of the outbox of one shard.
func (s *Shards) props(number int, journal query.Journal, snapshots query.SnapshotStore) (*actor.Props, error) {
	filter := s.filter
	filter.Slices = s.slices(number)
	opts := append(slices.Clone(s.outbox), outbox.OfShard(local.Shard{Filter: filter, Snapshots: snapshots, Authorize: s.allow}))
	return outbox.Props(s.outboxName(number), journal, s.publisher, opts...)
}

// Kind returns the kind of the shards' actors, "outbox-<name>", for cluster.WithKinds of every member.
func (s *Shards) Kind() *cluster.Kind {
	return cluster.NewKind(s.kind(), actor.PropsFromProducer(func() actor.Actor { return &grain{Shards: s} }))
}

// remember returns what is known of a shard.
func (s *Shards) remember(number int) *past {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pasts[number] == nil {
		s.pasts[number] = &past{}
	}
	return s.pasts[number]
}

// enter makes a shard's actor known; leaving is true if it must not run an outbox.
func (s *Shards) enter(a *activation) (leaving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active[a] = struct{}{}
	return s.leaving
}

func (s *Shards) isLeaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leaving
}

// exit is the end of a shard's actor.
func (s *Shards) exit(a *activation) {
	s.mu.Lock()
	delete(s.active, a)
	s.mu.Unlock()
	a.settle(nil)
}

// refused remembers why shards are refused, and reports whether that is news. Nil is that they no longer are.
func (s *Shards) refused(err error) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	news = s.refusal != text
	s.refusal = text
	return news
}

// jittered is between three quarters and five quarters of d.
func jittered(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Float64()*float64(d)/2)
}
