package adopt

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

var (
	// ErrNotFound says that an actor has persisted events which the provider does not show: it has lost them, or swallowed
	// an error. They are not published.
	ErrNotFound = errors.New("the provider does not show an event that an actor has persisted")

	// ErrRewritten says that a stream does not have an event any more that it had: it was cut, or restored, or written
	// anew. Nothing of it is published until that event is back.
	ErrRewritten = errors.New("the stream was rewritten")

	// ErrNotPublishable says that the provider answers something that is no event: what is not a protobuf message, or cannot
	// be marshalled, or belongs to an invalid id. Nothing of that stream is published from there on.
	ErrNotPublishable = errors.New("the stream cannot be published")
)

// Problem is something that is wrong with one persistence id, and leaves the others alone.
type Problem struct {
	// PersistenceID is empty if the application cannot list its ids.
	PersistenceID string
	// Since is when it was first seen.
	Since time.Time
	// Err is what was seen last. It wraps [ErrNotFound], [ErrRewritten] or [ErrNotPublishable], or is what a call of the
	// provider came to.
	Err error
}

// problems are those that have not been found to be solved. They are logged when they begin, and when they end.
type problems struct {
	log *slog.Logger
	mu  sync.Mutex
	all map[string]Problem
}

// Problems returns what is wrong with single persistence ids, sorted by id.
func (j *Journal) Problems() []Problem {
	p := &j.problems
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Problem, 0, len(p.all))
	for _, problem := range p.all {
		all = append(all, problem)
	}
	slices.SortFunc(all, func(a, b Problem) int { return cmp.Compare(a.PersistenceID, b.PersistenceID) })
	return all
}

func (p *problems) found(id string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	problem, known := p.all[id]
	if !known {
		p.log.Error("a persistence id cannot be published", slog.String("persistence_id", id), slog.Any("error", err))
		problem = Problem{PersistenceID: id, Since: time.Now()}
	}
	problem.Err = err
	if p.all == nil {
		p.all = make(map[string]Problem)
	}
	p.all[id] = problem
}

func (p *problems) solved(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if problem, known := p.all[id]; known {
		delete(p.all, id)
		p.log.Info("a persistence id can be published again", slog.String("persistence_id", id), slog.Time("since", problem.Since))
	}
}
