package outbox

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// Props returns the actor that publishes the events of a journal. It may be spawned under any name, and respawned.
//
// The name is the outbox's identity: 1 to 200 bytes of UTF-8 without control characters. Its offsets are kept under
// it, in the journal if that is a query.SnapshotStore, else where [WithSnapshots] says. The publisher is spawned as a
// child of the outbox, one per lane: publisher.Props, or any actor that answers a PublishRequest to its sender with a
// PublishResponse.
//
// A missing or invalid argument is an *[OptionError] that names it. Props does not touch the journal.
func Props(name string, journal query.Journal, publisher *actor.Props, opts ...Option) (*actor.Props, error) {
	s := defaults()
	for _, opt := range opts {
		opt(&s)
	}
	switch {
	case s.misplaced != nil:
		return nil, s.misplaced
	case name == "" || len(name) > 200 || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, &OptionError{Option: "name", Problem: "it must be 1 to 200 bytes of UTF-8 without control characters"}
	case journal == nil:
		return nil, &OptionError{Option: "journal", Problem: "it is nil: pass the journal that holds the events, such as sqlite.Open returns"}
	case publisher == nil:
		return nil, &OptionError{Option: "publisher", Problem: "it is nil: pass publisher.Props of a non-nil publisher, or the props of your own publisher actor"}
	}
	if s.snapshots == nil {
		store, ok := journal.(query.SnapshotStore)
		if !ok {
			return nil, &OptionError{Option: "journal", Problem: "it cannot keep snapshots: say where the offsets are to be kept by WithSnapshots"}
		}
		s.snapshots = store
	}
	if _, ok := journal.(query.TimeFinder); !ok && s.start.byTime {
		return nil, &OptionError{Option: "WithStartTime", Problem: errNoTimes.Error()}
	}
	s.ledger.IdlePollInterval = s.ledger.PollInterval
	if _, ok := journal.(query.Notifier); ok {
		s.ledger.IdlePollInterval = max(s.ledger.PollInterval, time.Second)
	}
	s.ledger.SaveEvery = min(s.ledger.SaveEvery, max(1, s.ledger.MaxUnsaved/2))
	if !s.maxHeldGiven {
		s.ledger.MaxHeld = min(s.ledger.MaxHeld, s.ledger.MaxUnsaved/4)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	d := &definition{name: name, journal: journal, publisher: publisher, settings: s}
	return actor.PropsFromProducer(
		func() actor.Actor { return &outbox{definition: d} },
		append([]actor.PropsOption{actor.WithOnInit(func(c actor.Context) { c.Set(&life{}) })}, s.propsOptions...)...,
	), nil
}

// definition is what Props was given; it is shared by all lives of all actors of these props, and constant.
type definition struct {
	settings
	name      string
	journal   query.Journal
	publisher *actor.Props
}

// key is where the outbox's snapshots are kept.
func (d *definition) key() string { return "outbox/" + d.name }
