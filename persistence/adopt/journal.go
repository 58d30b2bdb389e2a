package adopt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/asynkron/protoactor-go/persistence"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/journal"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
	adoptv1 "github.com/protoactor-contrib/protoactor-outbox/proto/adopt/v1"
)

// ReservedPrefix is what the ids begin with under which outboxes' offsets are kept, as snapshots, in the provider. No
// actor may have such an id.
const ReservedPrefix = "outbox-journal/"

var errClosed = fmt.Errorf("adopted provider: %w", query.ErrClosed)

// IDs lists the persistence ids that have events, in any order; repetitions do no harm. It is called at the beginning of
// each sweep. An id that it leaves out is found as soon as an actor persists something under it through the journal, and
// not earlier. What it returns is not modified.
type IDs func(ctx context.Context) ([]string, error)

var (
	_ query.Journal        = (*Journal)(nil)
	_ query.SnapshotStore  = (*Journal)(nil)
	_ query.Notifier       = (*Journal)(nil)
	_ query.PersistenceIDs = (*Journal)(nil)
	_ query.Pinger         = (*Journal)(nil)
	_ journal.Store        = (*Journal)(nil)
	_ persistence.Provider = (*Journal)(nil)
)

// Journal is a provider that an outbox can read from; see [Wrap]. Its methods may be called concurrently.
//
// It is a [Feed] itself, for one outbox. Each further outbox takes one of its own, from [Journal.NewFeed].
type Journal struct {
	*Feed

	options
	state persistence.ProviderState // of the provider that was wrapped
	kept  persistence.ProviderState // where the outboxes' offsets are
	ids   IDs

	locks       idLocks
	calls       calls
	tries       tries
	problems    problems
	registry    registry
	hidden      floors
	deletes     deletes
	subscribers subscribers

	mu    sync.Mutex
	feeds []*Feed
}

// Wrap returns a journal over a provider. Actors use it in place of the provider, by journal.Using or the framework's
// persistence.Using, and an outbox as its journal:
//
//	j, err := adopt.Wrap(provider, ids)
//	orders := actor.PropsFromProducer(newOrder, actor.WithReceiverMiddleware(persistence.Using(j)))
//	shop, err := outbox.Props("shop", j, publisher.Props(hook))
//
// The provider may go on being used without the journal; events that are persisted so are found by the sweep. Of several
// processes only one may have an outbox of a name; see docs/adopt.md. Wrap does not call the provider. A missing or invalid
// argument is an error that names it.
func Wrap(provider persistence.Provider, ids IDs, opts ...Option) (*Journal, error) {
	o := defaults()
	for _, opt := range opts {
		opt(&o)
	}
	switch {
	case provider == nil:
		return nil, errors.New("adopt.Wrap: the provider is nil")
	case ids == nil:
		return nil, errors.New("adopt.Wrap: ids is nil: a provider cannot list its persistence ids, so the application must")
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	j := &Journal{options: o, state: provider.GetState(), ids: ids, problems: problems{log: o.log}}
	if j.state == nil {
		return nil, errors.New("adopt.Wrap: the provider's state is nil")
	}
	j.kept = j.state
	if o.snapshots != nil {
		if j.kept = o.snapshots.GetState(); j.kept == nil {
			return nil, errors.New("adopt.WithSnapshots: the provider's state is nil")
		}
	}
	j.Feed = j.NewFeed()
	return j, nil
}

// NewFeed returns what a further outbox reads from. An outbox's offsets mean something only to its feed, and are kept with
// its snapshot, so that no two outboxes can share one.
func (j *Journal) NewFeed() *Feed {
	f := newFeed(j)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.feeds = append(j.feeds, f)
	return f
}

func (j *Journal) allFeeds() []*Feed {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clip(j.feeds)
}

// Close ends the journal and its subscriptions; later calls return query.ErrClosed. It leaves the provider alone, and waits
// for the calls of it that are under way, but no longer than a call may take. Actors that use the journal through
// persistence.Using are not affected. Closing again is no error, and waits again.
func (j *Journal) Close() error {
	j.subscribers.close()
	if n := j.calls.close(j.callTimeout); n > 0 {
		return fmt.Errorf("adopted provider: %d calls of it hang, and go on", n)
	}
	return nil
}

// Ping returns nil if the provider answers. What is wrong with single ids is told by [Journal.Problems].
func (j *Journal) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, j.callTimeout)
	defer cancel()
	return wrap("ping", j.call(ctx, registryID, func() error {
		_, _, err := stored[*adoptv1.Registry](j.state, registryID)
		return err
	}))
}

// PersistenceIDs implements query.PersistenceIDs. It lists what the application lists, and what was found besides; it costs
// as much as that.
func (j *Journal) PersistenceIDs(ctx context.Context, after string, limit int) ([]string, error) {
	const op = "list the persistence ids"
	if limit < 1 {
		return nil, wrap(op, fmt.Errorf("the limit of %d ids is invalid: ask for at least 1", limit))
	}
	if err := j.usable(ctx); err != nil {
		return nil, wrap(op, err)
	}
	ids, err := j.list(ctx)
	if err != nil {
		return nil, wrap(op, err)
	}
	ids = slices.DeleteFunc(append(slices.Clone(ids), j.known()...), func(id string) bool {
		return id <= after || query.ValidateID(id) != nil || reserved(id)
	})
	slices.SortFunc(ids, cmp.Compare[string])
	ids = slices.Compact(ids)
	return ids[:min(limit, len(ids))], nil
}

func (j *Journal) list(ctx context.Context) ([]string, error) { return listed(ctx, j.ids) }

// listed calls the application, whose code may panic.
func listed(ctx context.Context, of IDs) (ids []string, err error) {
	err = guarded(func() (err error) {
		ids, err = of(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the application cannot list its persistence ids: %w", err)
	}
	return ids, nil
}

func reserved(id string) bool { return strings.HasPrefix(id, ReservedPrefix) }

// checkID returns an error unless the id may name a stream of events.
func checkID(id string) error {
	if err := query.ValidateID(id); err != nil {
		return err
	}
	if reserved(id) {
		return fmt.Errorf("%w %q: ids that begin with %q belong to outboxes", query.ErrInvalidID, id, ReservedPrefix)
	}
	return nil
}

// wrap says what was being done.
func wrap(op string, err error) error {
	if err == nil || err == errClosed { //nolint:errorlint // it says enough
		return err
	}
	return fmt.Errorf("adopted provider: %s: %w", op, err)
}

func wrapID(op, id string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, query.ErrInvalidID) {
		return wrap(op, err) // which names it
	}
	return wrap(fmt.Sprintf("%s of %q", op, id), err)
}
