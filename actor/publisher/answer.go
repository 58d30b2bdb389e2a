package publisher

import (
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// maxReason bounds the text of an error in an answer, in bytes: it is kept with parked events.
const maxReason = 1024

// answerTo builds the response to a request whose events all were delivered, except for the failures.
func answerTo(r *outboxv1.PublishRequest, failures []Failure) *outboxv1.PublishResponse {
	answer := &outboxv1.PublishResponse{
		Generation: r.GetGeneration(),
		Batch:      r.GetBatch(),
		Outcome:    outboxv1.Outcome_OUTCOME_OK,
	}
	if allUnknown(failures, len(r.GetEvents())) {
		// The usual way for a whole batch to fail; there is no need to say the same for each event.
		answer.Outcome, answer.Error = outboxv1.Outcome_OUTCOME_UNKNOWN, reason(failures[0].Err)
		return answer
	}
	for _, f := range failures {
		result := &outboxv1.PublishResult{
			Index:       uint32(f.Index),
			Outcome:     wireOutcome(f.Outcome),
			Error:       reason(f.Err),
			Destination: wireText(f.Destination),
		}
		if f.Outcome == OutcomeRetry && f.RetryAfter > 0 {
			result.RetryAfter = durationpb.New(f.RetryAfter)
		}
		answer.Results = append(answer.Results, result)
	}
	return answer
}

// allUnknown reports whether every one of n events is unknown for the same reason.
func allUnknown(failures []Failure, n int) bool {
	if len(failures) < n || n == 0 {
		return false
	}
	for _, f := range failures {
		same := f.Outcome == OutcomeUnknown && f.Destination == failures[0].Destination
		if !same || reason(f.Err) != reason(failures[0].Err) {
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
	return wireText(err.Error())
}

// wireText makes a text fit to send: it is bounded, and protobuf refuses a string that is not UTF-8. What is not becomes
// a question mark: the character that is meant for it is longer than what it replaces.
func wireText(s string) string {
	const more = "…"
	if len(s) > maxReason {
		s = s[:maxReason-len(more)] + more
	}
	return strings.ToValidUTF8(s, "?")
}
