package ledger

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// input reads what happens from the first line of a block.
func (s *script) input(ln *line) Input {
	switch ln.block.Cmd {
	case "recovered": // [watermark=7] [index=3] [held=(a:3@7, …)] [parked=(b/1@2 reason, …)] [base]
		return ln.recovered(s.store)
	case "lane-up": // <lane>
		return LaneUp{Lane: int(ln.number(ln.word()))}
	case "lane-down": // <lane>
		return LaneDown{Lane: int(ln.number(ln.word()))}
	case "wake":
		return Wake{}
	case "fenced":
		return Fenced{}
	case "page": // <read> [a/1@7 …] [next=9] [more]
		read, asked := askedFor[ReadFeed](s, ln)
		return FeedPage{Read: read, Page: ln.page(asked.After)}
	case "feed-failed": // <read> [reason]
		read, _ := askedFor[ReadFeed](s, ln)
		return FeedFailed{Read: read, Err: ln.reason()}
	case "stream-page": // <read> [a/1@7 …] [more]
		read, _ := askedFor[ReadStream](s, ln)
		p := ln.page(0)
		return StreamPage{Read: read, Events: p.Events, More: p.More}
	case "stream-failed": // <read> [reason]
		read, _ := askedFor[ReadStream](s, ln)
		return StreamFailed{Read: read, Err: ln.reason()}
	// <batch> ok|retry|permanent|unknown[=reason] [<position>:retry=(reason, 2s, @destination) …] [at=(destination, …)] [life=1]
	case "published":
		in := ln.published(s.cfg.Generation)
		if !s.sent[batchKey{in.Generation, in.Batch}] {
			ln.fail("batch %d of life %d was never sent", in.Batch, in.Generation)
		}
		return in
	case "saved": // <save> ok|failed|fenced [reason]
		in := Saved{Index: s.save(ln), Result: ln.saveResult()}
		if in.Result == SaveFailed {
			in.Err = ln.reason()
		}
		return in
	default:
		return s.wish(ln)
	}
}

// wish reads what somebody asks of the ledger.
func (s *script) wish(ln *line) Input {
	token := s.command(ln)
	switch ln.block.Cmd {
	case "await": // a/1@7
		e := ln.event(ln.word())
		return AwaitSettled{Token: token, PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber, Offset: e.Offset}
	case "flush": // <offset>
		return Flush{Token: token, Offset: query.Offset(ln.number(ln.word()))}
	case "drain": // <time left>
		return Drain{Token: token, Deadline: at(s.now + ln.duration(ln.word()))}
	case "skip": // a/1@7, or a/1 if the journal does not have it
		e := ln.event(ln.word())
		return Skip{Token: token, PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber, Offset: e.Offset}
	case "retry": // [a]
		return RetryNow{Token: token, PersistenceID: ln.optional()}
	case "redrive": // [a|a/1]
		word := ln.optional()
		if !strings.Contains(word, "/") {
			return Redrive{Token: token, PersistenceID: word}
		}
		e := ln.event(word)
		return Redrive{Token: token, PersistenceID: e.PersistenceID, SequenceNumber: e.SequenceNumber}
	case "rewind": // <offset>
		return Rewind{Token: token, To: query.Offset(ln.number(ln.word()))}
	case "pause":
		return Pause{Token: token}
	case "resume":
		return Resume{Token: token}
	}
	ln.fail("nothing is known by that name")
	return nil
}

// askedFor is the number of a read of one kind that the ledger has asked for, and the read.
func askedFor[E Effect](s *script, ln *line) (uint64, E) {
	read := uint64(ln.number(ln.word()))
	e, ok := s.asked[read].(E)
	if !ok {
		ln.fail("no such read was asked for: number %d is %T", read, s.asked[read])
	}
	return read, e
}

// line is the first line of a block. It is read word by word; what it does not say right ends the story.
type line struct {
	t     *testing.T
	block *datadriven.TestData
	rest  []datadriven.CmdArg
}

func (ln *line) fail(format string, args ...any) {
	ln.t.Helper()
	ln.block.Fatalf(ln.t, "%s: "+format, append([]any{ln.block.FullCmd()}, args...)...)
}

func (ln *line) more() bool { return len(ln.rest) > 0 }

// next is the next word, which may have a value.
func (ln *line) next() datadriven.CmdArg {
	ln.t.Helper()
	if !ln.more() {
		ln.fail("a word is missing at the end")
	}
	arg := ln.rest[0]
	ln.rest = ln.rest[1:]
	return arg
}

// word is the next word, which has no value.
func (ln *line) word() string {
	ln.t.Helper()
	arg := ln.next()
	if len(arg.Vals) > 0 {
		ln.fail("%q has a value, and should not", arg.Key)
	}
	return arg.Key
}

func (ln *line) optional() string {
	if !ln.more() {
		return ""
	}
	return ln.word()
}

func (ln *line) end() {
	ln.t.Helper()
	if ln.more() {
		ln.fail("nothing is known of %q", ln.rest[0].Key)
	}
}

// value is the only one of a word.
func (ln *line) value(arg datadriven.CmdArg) string {
	ln.t.Helper()
	if len(arg.Vals) != 1 {
		ln.fail("%q should have one value", arg.Key)
	}
	return arg.Vals[0]
}

func (ln *line) number(word string) int64 {
	ln.t.Helper()
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		ln.fail("%v", err)
	}
	return n
}

func (ln *line) duration(word string) time.Duration {
	ln.t.Helper()
	d, err := time.ParseDuration(word)
	if err != nil {
		ln.fail("%v", err)
	}
	return d
}

// event reads a/1@7; without an offset it is 0.
func (ln *line) event(word string) query.Event {
	ln.t.Helper()
	name, offset, found := strings.Cut(word, "@")
	if !found {
		offset = "0"
	}
	id, seq, found := strings.Cut(name, "/")
	if !found {
		ln.fail("%q is not an event: they look like a/1@7", word)
	}
	return event(id, ln.number(seq), ln.number(offset))
}

// reason is what is left of the line.
func (ln *line) reason() error {
	var words []string
	for ln.more() {
		words = append(words, ln.word())
	}
	return errors.New(strings.Join(words, " "))
}

// recovered reads a snapshot, or takes what the store has.
func (ln *line) recovered(store Recovered) Recovered {
	if !ln.more() {
		return store
	}
	var in Recovered
	for s := &in.Snapshot; ln.more(); {
		switch arg := ln.next(); arg.Key {
		case "watermark":
			s.Watermark = query.Offset(ln.number(ln.value(arg)))
		case "index":
			in.Index = ln.number(ln.value(arg))
		case "held":
			for _, h := range arg.Vals {
				s.Held = append(s.Held, ln.held(h))
			}
		case "parked":
			for _, p := range arg.Vals {
				s.Parked = append(s.Parked, ln.parked(p))
			}
		case "base":
			in.Base = true
		default:
			ln.fail("nothing is known of %q", arg.Key)
		}
	}
	return in
}

// held reads a:3@7, which says that the next event of a is number 3, and that it is settled up to offset 7.
func (ln *line) held(word string) HeldStream {
	id, rest, _ := strings.Cut(word, ":")
	next, settled, found := strings.Cut(rest, "@")
	if !found {
		ln.fail("%q is not held: they look like a:3@7", word)
	}
	return HeldStream{PersistenceID: id, Next: ln.number(next), SettledOffset: query.Offset(ln.number(settled))}
}

// parked reads an event and why it is parked.
func (ln *line) parked(words string) ParkedEvent {
	word, reason, _ := strings.Cut(words, " ")
	e := ln.event(word)
	return ParkedEvent{Pointer: pointerTo(&e), Reason: reason, At: at(0)}
}

// page reads events and up to where they are complete: their last one, or where the read began, unless it is said.
func (ln *line) page(after query.Offset) query.Page {
	p := query.Page{Next: after}
	for ln.more() {
		switch arg := ln.next(); arg.Key {
		case "next":
			p.Next = query.Offset(ln.number(ln.value(arg)))
		case "more":
			p.More = true
		default:
			e := ln.event(arg.Key)
			p.Events, p.Next = append(p.Events, e), e.Offset
		}
	}
	return p
}

// published reads what became of a batch, and of those of its events of which something else did.
func (ln *line) published(generation uint64) Published {
	in := Published{Generation: generation, Batch: uint64(ln.number(ln.word()))}
	whole := ln.next()
	r := ln.result(whole.Key, whole.Vals)
	if r.RetryAfter > 0 || r.Destination != "" {
		ln.fail("only one event has a time or destination of its own: 0:%s", whole.String())
	}
	in.Outcome, in.Err = r.Outcome, r.Err
	for ln.more() {
		arg := ln.next()
		if arg.Key == "life" {
			in.Generation = uint64(ln.number(ln.value(arg)))
			continue
		}
		if arg.Key == "at" {
			in.Destinations = arg.Vals
			continue
		}
		position, outcome, found := strings.Cut(arg.Key, ":")
		if !found {
			ln.fail("%q says nothing of one event: that looks like 0:retry", arg.Key)
		}
		r := ln.result(outcome, arg.Vals)
		r.Index = int(ln.number(position))
		in.Results = append(in.Results, r)
	}
	return in
}

// result reads an outcome with its reason, when it may be tried again, and where it was to go.
func (ln *line) result(outcome string, values []string) Result {
	ln.t.Helper()
	var r Result
	if len(values) > 0 {
		r.Err = values[0]
	}
	for _, value := range values[min(1, len(values)):] {
		if name, is := strings.CutPrefix(value, "@"); is {
			r.Destination = name
		} else {
			r.RetryAfter = ln.duration(value)
		}
	}
	for o, name := range outcomeNames {
		if name == outcome {
			r.Outcome = Outcome(o)
			return r
		}
	}
	ln.fail("%q is no outcome: they are %q", outcome, outcomeNames)
	return r
}

func (ln *line) saveResult() SaveResult {
	results := map[string]SaveResult{"ok": SaveOK, "failed": SaveFailed, "fenced": SaveFenced}
	word := ln.word()
	result, ok := results[word]
	if !ok {
		ln.fail("%q is no result of a save: they are ok, failed, fenced", word)
	}
	return result
}

// config reads how a story's ledger differs from the others.
func (ln *line) config() Config {
	cfg := scriptConfig()
	rules := map[string]PoisonRule{"park": Park, "hold": Hold, "skip": SkipOver}
	numbers := map[string]*int{
		"lanes": &cfg.Lanes, "batch": &cfg.Batch.Events, "lane-batches": &cfg.LaneBatches,
		"max-unsaved": &cfg.MaxUnsaved, "max-held": &cfg.MaxHeld, "max-parked": &cfg.MaxParked,
		"max-attempts": &cfg.MaxAttempts, "outage-after": &cfg.OutageAfter,
	}
	durations := map[string]*time.Duration{
		"poll": &cfg.PollInterval, "idle-poll": &cfg.IdlePollInterval, "hold-after": &cfg.HoldAfter, "save-interval": &cfg.SaveInterval,
		"read-timeout": &cfg.ReadTimeout, "publish-timeout": &cfg.PublishTimeout, "save-timeout": &cfg.SaveTimeout,
	}
	for ln.more() {
		arg := ln.next()
		value := ln.value(arg)
		if n, ok := numbers[arg.Key]; ok {
			*n = int(ln.number(value))
		} else if d, ok := durations[arg.Key]; ok {
			*d = ln.duration(value)
		} else if rule, ok := rules[value]; ok && arg.Key == "on-poison" {
			cfg.OnPoison = rule
		} else {
			ln.fail("nothing is known of %q", arg.String())
		}
	}
	return cfg
}
