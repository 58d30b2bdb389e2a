package publisher

import (
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// maxReason bounds the text of an error in an answer, in bytes: it is kept with parked events. maxDestination bounds the name
// of a destination.
const (
	maxReason      = 1024
	maxDestination = 256
)

// answerTo builds the response to a request whose events all were delivered, except for the failures. Destinations says
// where each event was to go, as far as that is known without its failure; it may be nil.
func answerTo(r *outboxv1.PublishRequest, failures []Failure, destinations []string) *outboxv1.PublishResponse {
	answer := &outboxv1.PublishResponse{
		Generation: r.GetGeneration(),
		Batch:      r.GetBatch(),
		Outcome:    outboxv1.Outcome_OUTCOME_OK,
	}
	destinations = withFailures(destinations, failures, len(r.GetEvents()))
	if destinations != nil {
		nameDestinations(answer, destinations)
	}
	if allUnknown(failures, len(r.GetEvents())) {
		// The usual way for a whole batch to fail; there is no need to say the same for each event.
		answer.Outcome, answer.Error = outboxv1.Outcome_OUTCOME_UNKNOWN, reason(failures[0].Err)
		return answer
	}
	for _, f := range failures {
		result := &outboxv1.PublishResult{
			Index:   uint32(f.Index),
			Outcome: wireOutcome(f.Outcome),
			Error:   reason(f.Err),
		}
		if destinations != nil {
			result.Destination = destinations[f.Index]
		}
		if f.Outcome == OutcomeRetry && f.RetryAfter > 0 {
			result.RetryAfter = durationpb.New(f.RetryAfter)
		}
		answer.Results = append(answer.Results, result)
	}
	return answer
}

// withFailures adds the destinations that failures name, which go before what the publisher says of an event in general,
// and makes all fit to send. It returns nil if none has a name.
func withFailures(destinations []string, failures []Failure, n int) []string {
	for _, f := range failures {
		if f.Destination == "" {
			continue
		}
		if destinations == nil {
			destinations = make([]string, n)
		}
		destinations[f.Index] = f.Destination
	}
	for i, name := range destinations {
		destinations[i] = wireText(name, maxDestination)
	}
	return destinations
}

// nameDestinations has the answer say where each event was to go. Batches have few destinations, so that each name is sent
// once.
func nameDestinations(answer *outboxv1.PublishResponse, destinations []string) {
	numbers := map[string]uint32{"": 0}
	of := make([]uint32, len(destinations))
	for i, name := range destinations {
		number, known := numbers[name]
		if !known {
			answer.Destinations = append(answer.Destinations, name)
			number = uint32(len(answer.Destinations))
			numbers[name] = number
		}
		of[i] = number
	}
	if len(answer.Destinations) > 0 {
		answer.EventDestinations = of
	}
}

// allUnknown reports whether every one of n events is unknown for the same reason.
func allUnknown(failures []Failure, n int) bool {
	if len(failures) < n || n == 0 {
		return false
	}
	for _, f := range failures {
		if f.Outcome != OutcomeUnknown || reason(f.Err) != reason(failures[0].Err) {
			return false
		}
	}
	return true
}

func wireOutcome(o Outcome) outboxv1.Outcome {
	switch o {
	case OutcomeRetry:
		return outboxv1.Outcome_OUTCOME_RETRY
	case OutcomePermanent:
		return outboxv1.Outcome_OUTCOME_PERMANENT
	default:
		return outboxv1.Outcome_OUTCOME_UNKNOWN
	}
}

func reason(err error) string {
	if err == nil {
		return "the publisher gave no reason"
	}
	return wireText(err.Error(), maxReason)
}

// wireText makes a text fit to send: it is bounded, and protobuf refuses a string that is not UTF-8. What is not becomes
// a question mark: the character that is meant for it is longer than what it replaces.
func wireText(s string, most int) string {
	const more = "…"
	if len(s) > most {
		s = s[:most-len(more)] + more
	}
	return strings.ToValidUTF8(s, "?")
}
