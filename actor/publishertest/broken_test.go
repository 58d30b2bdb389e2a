package publishertest

// One subject, one list: publishers that are right in all but one thing, each beside the group of cases that must find
// it.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
)

type deliverFunc = func(context.Context, publisher.Event) error

// publish makes a publisher of its only method.
type publish func(ctx context.Context, events []publisher.Event) error

func (p publish) Publish(ctx context.Context, events []publisher.Event) error { return p(ctx, events) }

func never(deliverFunc) publisher.Publisher {
	return publisher.Func(func(context.Context, publisher.Event) error { return errors.New("never") })
}

// changing is right in all but what it does to an event before it delivers it.
func changing(change func(e *publisher.Event)) func(deliverFunc) publisher.Publisher {
	return func(deliver deliverFunc) publisher.Publisher {
		return publisher.Func(func(ctx context.Context, e publisher.Event) error {
			change(&e)
			return deliver(ctx, e)
		})
	}
}

// answering is right in all but what it says.
func answering(say func(e publisher.Event, err error) error) func(deliverFunc) publisher.Publisher {
	return func(deliver deliverFunc) publisher.Publisher {
		return publisher.Func(func(ctx context.Context, e publisher.Event) error { return say(e, deliver(ctx, e)) })
	}
}

func outcomeOf(err error) publisher.Outcome { return publisher.Failures(err, 1)[0].Outcome }

type brokenPublisher struct {
	publisher func(deliver deliverFunc) publisher.Publisher
	group     string // that has to find it
	want      string
	facts     func(f *Facts)
}

// broken publishers break the contract in one way each, and each has to be found, with words that tell which. Goroutines
// that they leave end with left.
func broken(left <-chan struct{}) map[string]brokenPublisher {
	return map[string]brokenPublisher{
		"sends the last event first": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publish(func(ctx context.Context, events []publisher.Event) error {
					events = slices.Clone(events)
					slices.Reverse(events)
					return publisher.Func(deliver).Publish(ctx, events)
				})
			},
			group: "batch",
			want:  `the order of the id is lost`,
		},
		"sends on after a failure": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publish(func(ctx context.Context, events []publisher.Event) error {
					var batch publisher.BatchError
					held := map[string]bool{}
					for i, e := range events {
						if err := deliver(ctx, e); err != nil || held[e.PersistenceID] {
							held[e.PersistenceID] = true
							batch.Add(publisher.Failure{Index: i, Err: errors.New("failed")})
						}
					}
					return batch.OrNil()
				})
			},
			group: "mid-batch failure",
			want:  `event "a/2" was sent although "a/1", before it, had failed`,
		},
		"says ok to what came after a failure": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publish(func(ctx context.Context, events []publisher.Event) error {
					err := publisher.Func(deliver).Publish(ctx, events)
					var batch publisher.BatchError
					for _, f := range publisher.Failures(err, len(events)) {
						if !errors.Is(f.Err, publisher.ErrNotTried) {
							batch.Add(f)
						}
					}
					return batch.OrNil()
				})
			},
			group: "mid-batch failure",
			want:  `was said to be delivered after "a/1", which failed before it`,
		},
		"swallows errors": {
			publisher: answering(func(publisher.Event, error) error { return nil }),
			group:     "outcome",
			want:      `was said to be delivered, though it was taken, but the answer lost`,
		},
		"throws events away": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					if e.SequenceNumber == 2 {
						return nil
					}
					return deliver(ctx, e)
				})
			},
			group: "batch",
			want:  `event "a/2" was said to be delivered, but the sink does not have it`,
		},
		"ignores its context": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publisher.Func(func(_ context.Context, e publisher.Event) error {
					return deliver(context.Background(), e)
				})
			},
			group: "context",
			want:  `Publish has not returned 300ms after its context ended`,
		},
		"waits for room whatever its context": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				room := make(chan struct{}, 2)
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					room <- struct{}{}
					defer func() { <-room }()
					return deliver(ctx, e)
				})
			},
			group: "backpressure",
			want:  `Publish has not returned 300ms after its context ended`,
			facts: func(f *Facts) { f.Concurrency = 2 },
		},
		"goes on behind one's back": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publish(func(ctx context.Context, events []publisher.Event) error {
					done := make(chan error, 1)
					go func() {
						// As if a failure of the context were none of its concern.
						for i, e := range events {
							if err := deliver(context.Background(), e); outcomeOfAny(err) != "" && i > 0 && ctx.Err() == nil {
								done <- err
								return
							}
						}
						done <- nil
					}()
					select {
					case err := <-done:
						return err
					case <-ctx.Done():
						return ctx.Err()
					}
				})
			},
			group: "context",
			want:  `was sent although an earlier one of its id had failed, after Publish had returned`,
		},
		"leaves a goroutine": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					go func() { <-left }()
					return deliver(ctx, e)
				})
			},
			group: "single event",
			want:  `after everything was closed, goroutines are left`,
		},
		"modifies data": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					err := deliver(ctx, e)
					if len(e.Data) > 0 {
						e.Data[0] ^= 1
					}
					return err
				})
			},
			group: "single event",
			want:  `Publish has modified event "a/1"`,
		},
		"modifies metadata": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					err := deliver(ctx, e)
					delete(e.Metadata, "traceparent")
					return err
				})
			},
			group: "single event",
			want:  `Publish has modified event "a/1"`,
		},
		"modifies the batch": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publish(func(ctx context.Context, events []publisher.Event) error {
					err := publisher.Func(deliver).Publish(ctx, events)
					for i := range events {
						events[i].Tags = nil
					}
					return err
				})
			},
			group: "single event",
			want:  `Publish has modified event "a/1"`,
		},
		"drops metadata": {
			publisher: changing(func(e *publisher.Event) { e.Metadata = map[string]string{"key": e.Metadata["key"]} }),
			group:     "single event",
			want:      `event "a/1" did not reach the sink as it was given: metadata "traceparent" is missing`,
		},
		"drops hostile metadata": {
			publisher: changing(func(e *publisher.Event) {
				if _, ok := e.Metadata[""]; ok {
					e.Metadata = nil
				}
			}),
			group: "hostile event",
			want:  `event "hostile/1" did not reach the sink as it was given: metadata "" is missing`,
		},
		"adds metadata": {
			publisher: changing(func(e *publisher.Event) { e.Metadata = map[string]string{"more": ""} }),
			group:     "single event",
			want:      `metadata "more" was not given`,
		},
		"cleans ids": {
			publisher: changing(func(e *publisher.Event) { e.PersistenceID = strings.Map(printable, e.PersistenceID) }),
			group:     "hostile event",
			want:      `but the sink does not have it`,
		},
		"cleans types": {
			publisher: changing(func(e *publisher.Event) { e.Type = strings.Map(printable, e.Type) }),
			group:     "hostile event",
			want:      `type is "ab", it was given as "a\r\nb"`,
		},
		"cleans content types": {
			publisher: changing(func(e *publisher.Event) { e.ContentType, _, _ = strings.Cut(e.ContentType, ";") }),
			group:     "hostile event",
			want:      `content type is "text/plain", it was given as`,
		},
		"cuts data": {
			publisher: changing(func(e *publisher.Event) { e.Data = e.Data[:min(len(e.Data), 1<<19)] }),
			group:     "large event",
			want:      `data is `,
		},
		"takes data for text": {
			publisher: changing(func(e *publisher.Event) { e.Data = bytes.ToValidUTF8(e.Data, nil) }),
			group:     "single event",
			want:      `data is `,
		},
		"forgets the number of a mapped message": {
			publisher: changing(func(e *publisher.Event) { e.Output = 0 }),
			group:     "single event",
			want:      `event "a/1#2" was said to be delivered, but the sink does not have it`,
		},
		"panics at hostile types": {
			publisher: changing(func(e *publisher.Event) {
				if strings.Contains(e.Type, "\x00") {
					panic("NUL")
				}
			}),
			group: "hostile event",
			want:  `Publish panicked: NUL`,
		},
		"panics at nothing": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publish(func(ctx context.Context, events []publisher.Event) error {
					_ = events[0]
					return publisher.Func(deliver).Publish(ctx, events)
				})
			},
			group: "batch",
			want:  `Publish panicked: runtime error: index out of range`,
		},
		"retries hostile events for ever": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					if strings.ContainsAny(e.PersistenceID, "\r\n") {
						return errors.New("invalid header")
					}
					return deliver(ctx, e)
				})
			},
			group: "hostile event",
			want:  `the outcome is retry, it has to be delivered or permanent; error: invalid header`,
		},
		"gives up on large events that it has to deliver": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					if len(e.Data) > 1<<19 {
						return publisher.Permanent(errors.New("too large"))
					}
					return deliver(ctx, e)
				})
			},
			group: "large event",
			want:  `event "a/2": the outcome is permanent, it has to be delivered; error: too large`,
		},
		"retries events that are too large for ever": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					if len(e.Data) > 1<<16 {
						return errors.New("too large")
					}
					return deliver(ctx, e)
				})
			},
			group: "large event",
			want:  `event "b/1": the outcome is retry, it has to be permanent; error: too large`,
			facts: func(f *Facts) { f.MaxData = 1 << 16 },
		},
		"gives up when an answer is lost": {
			publisher: answering(func(_ publisher.Event, err error) error {
				if err != nil && outcomeOf(err) == publisher.OutcomeUnknown {
					return publisher.Permanent(err)
				}
				return err
			}),
			group: "outcome",
			want:  `was given up for good, though it was taken, but the answer lost: no answer`,
		},
		"gives up when the sink is busy": {
			publisher: answering(func(_ publisher.Event, err error) error {
				if err != nil && outcomeOf(err) == publisher.OutcomeRetry {
					return publisher.Permanent(err)
				}
				return err
			}),
			group: "outcome",
			want:  `was given up for good, though it met a busy sink: busy`,
		},
		"gives up when the sink is down": {
			publisher: answering(func(_ publisher.Event, err error) error {
				if errors.Is(err, errDown) {
					return publisher.Permanent(err)
				}
				return err
			}),
			group: "outcome",
			want:  `event "a/2": the outcome is permanent, it has to be retry or unknown; error: cannot be reached`,
		},
		"stays down": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				var down atomic.Bool
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					err := errDown
					if !down.Load() {
						err = deliver(ctx, e)
					}
					if errors.Is(err, errDown) {
						down.Store(true)
					}
					return err
				})
			},
			group: "outcome",
			want:  `the sink is up again, but nothing is delivered`,
		},
		"leaves events out that come again": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				var seen sync.Map
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					if _, before := seen.LoadOrStore(e.ID(), true); before {
						return nil
					}
					return deliver(ctx, e)
				})
			},
			group: "mid-batch failure",
			want:  `was said to be delivered, but the sink does not have it`,
		},
		"sends a batch when the next one comes": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				var mu sync.Mutex
				var late []publisher.Event
				return publish(func(ctx context.Context, events []publisher.Event) error {
					mu.Lock()
					defer mu.Unlock()
					err := publisher.Func(deliver).Publish(ctx, late)
					late = events
					return err
				})
			},
			group: "single event",
			want:  `event "a/1" was said to be delivered, but the sink does not have it`,
		},
		"gives up on what was taken": {
			publisher: answering(func(e publisher.Event, err error) error {
				if e.SequenceNumber == 7 {
					return publisher.Permanent(errors.New("seven"))
				}
				return err
			}),
			group: "batch",
			want:  `was given up for good, though it was accepted: seven`,
		},
		"tries rejected events again": {
			publisher: answering(func(_ publisher.Event, err error) error {
				if err != nil {
					return publisher.Unknown(err)
				}
				return nil
			}),
			group: "outcome",
			want:  `the outcome is unknown, it has to be permanent; error: rejected`,
		},
		"gives no reason": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publish(func(ctx context.Context, events []publisher.Event) error {
					failures := publisher.Failures(publisher.Func(deliver).Publish(ctx, events), len(events))
					for i := range failures {
						failures[i].Err = nil
					}
					return (&publisher.BatchError{Failures: failures}).OrNil()
				})
			},
			group: "outcome",
			want:  `failed without an error that says why`,
		},
		"lets one failure stop all": {
			publisher: func(deliver deliverFunc) publisher.Publisher { return bulk{deliver} },
			group:     "mid-batch failure",
			want:      `the outcome is unknown, it has to be delivered`,
		},
		"answers for the wrong event": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publish(func(ctx context.Context, events []publisher.Event) error {
					failures := publisher.Failures(publisher.Func(deliver).Publish(ctx, events), len(events))
					for i := range failures {
						failures[i].Index = (failures[i].Index + 1) % len(events)
					}
					return (&publisher.BatchError{Failures: failures}).OrNil()
				})
			},
			group: "mid-batch failure",
			want:  `event "a/2" was said to be delivered, though it was rejected`,
		},
		"never recovers": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				var dead error
				return publisher.Func(func(ctx context.Context, e publisher.Event) error {
					if dead == nil {
						dead = deliver(ctx, e)
					}
					return dead
				})
			},
			group: "outcome",
			want:  `the outcome is `,
			facts: func(f *Facts) { f.CannotBeSilent = true }, // one call at a time: it is not made for more
		},
		"sends more than it states": {
			publisher: publisher.Func,
			group:     "backpressure",
			want:      `events were on their way at the same time, stated are 2 at most`,
			facts:     func(f *Facts) { f.Concurrency = 2 },
		},
		"claims to deduplicate": {
			publisher: publisher.Func,
			group:     "single event",
			want:      `an event that was published twice has reached the sink 2 times, stated were 1`,
			facts:     func(f *Facts) { f.Deduplicates = true },
		},
		"hides what it wants": {
			publisher: func(deliver deliverFunc) publisher.Publisher { return pipeline{deliver} },
			group:     "capabilities",
			want:      `UnorderedWithinBatch is stated as false, the publisher's capability says true`,
		},
		"says it keeps the order": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return publish(func(ctx context.Context, events []publisher.Event) error {
					return pipeline{deliver}.Publish(ctx, events)
				})
			},
			group: "batch",
			want:  `: the order of the id is lost`,
		},
		"changes its mind about destinations": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return &wandering{Publisher: publisher.Func(deliver)}
			},
			group: "capabilities",
			want:  `event "a/1" goes to "1", and asked again to "2"`,
		},
		"takes any id for a destination": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return routed{publisher.Func(deliver), func(e publisher.Event) string { return e.PersistenceID }}
			},
			group: "hostile event",
			want:  `goes to a destination of 1024 bytes, 256 is the most`,
		},
		"takes any metadata for a destination": {
			publisher: func(deliver deliverFunc) publisher.Publisher {
				return routed{publisher.Func(deliver), func(e publisher.Event) string { return e.Metadata["key"][:min(len(e.Metadata["key"]), 256)] }}
			},
			group: "hostile event",
			want:  `goes to a destination, "\xff", that is not UTF-8`,
		},
	}
}

func outcomeOfAny(err error) string {
	if err == nil {
		return ""
	}
	return outcomeOf(err).String()
}

func printable(r rune) rune {
	if r < ' ' || r == '\x7f' {
		return -1
	}
	return r
}

type wandering struct {
	publisher.Publisher
	asked int
}

func (w *wandering) Destination(publisher.Event) string {
	w.asked++
	return fmt.Sprint(w.asked)
}

type routed struct {
	publisher.Publisher
	to func(e publisher.Event) string
}

func (r routed) Destination(e publisher.Event) string { return r.to(e) }

func TestTheSuiteFindsWhatIsBroken(t *testing.T) {
	left := make(chan struct{})
	defer close(left)
	for name, b := range broken(left) {
		t.Run(name, func(t *testing.T) {
			h := of(b.publisher)
			h.patience = 300 * time.Millisecond
			if b.facts != nil {
				b.facts(&h.Facts)
			}
			var said []string
			for _, g := range groups() {
				if g.name != b.group {
					continue
				}
				for _, c := range g.cases {
					text := watch(t, c, h)
					if strings.Contains(text, b.want) {
						return
					}
					if text != "" {
						said = append(said, fmt.Sprintf("%s: %.300s", c.name, text))
					}
				}
			}
			t.Errorf("not found; the group says only: %s", strings.Join(said, "\n"))
		})
	}
}
