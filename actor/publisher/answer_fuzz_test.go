package publisher

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	outboxv1 "github.com/protoactor-contrib/protoactor-outbox/proto/outbox/v1"
)

// A BatchError is made by whoever writes a sink. What it does not say clearly is never told as delivered.
func FuzzBatchError(f *testing.F) {
	f.Add(uint8(3), []byte{}, int64(0), "")
	f.Add(uint8(3), []byte{1, 1}, int64(-1), "busy")
	f.Add(uint8(3), []byte{1, 1, 1, 2}, int64(math.MaxInt64), "busy\xff")
	f.Add(uint8(3), []byte{3, 2}, int64(1), "beyond")
	f.Add(uint8(3), []byte{255, 0, 0, 1}, int64(1), "negative")
	f.Add(uint8(2), []byte{0, 0, 1, 0}, int64(1), "all")
	f.Add(uint8(2), []byte{0, 77, 1, 1, 0, 0}, int64(math.MinInt64), strings.Repeat("a\xff", maxReason))
	f.Fuzz(func(t *testing.T, n uint8, failed []byte, retryAfter int64, why string) {
		var batch BatchError
		clearly := map[int]Outcome{} // what it says of each event that it names
		sense := true
		for ; len(failed) >= 2; failed = failed[2:] {
			index, outcome := int(int8(failed[0])), Outcome(failed[1])
			batch.Add(Failure{Index: index, Outcome: outcome, RetryAfter: time.Duration(retryAfter), Err: errors.New(why), Destination: why})
			sense = sense && index >= 0 && index < int(n)
			if said, twice := clearly[index]; twice && said != outcome {
				outcome = OutcomeUnknown
			}
			clearly[index] = outcome
		}
		request := &outboxv1.PublishRequest{Batch: 5, Events: make([]*outboxv1.Event, n)}
		sent := answerTo(request, failuresOf(batch.OrNil(), int(n)), nil)

		data, err := proto.Marshal(sent)
		require.NoError(t, err)
		var answer outboxv1.PublishResponse
		require.NoError(t, proto.Unmarshal(data, &answer))
		outcomes := make([]outboxv1.Outcome, n)
		for i := range outcomes {
			outcomes[i] = answer.GetOutcome()
		}
		for _, r := range answer.GetResults() {
			require.Less(t, int(r.GetIndex()), int(n))
			outcomes[r.GetIndex()] = r.GetOutcome()
			assert.GreaterOrEqual(t, r.GetRetryAfter().AsDuration(), time.Duration(0))
			assert.LessOrEqual(t, len(r.GetError()), maxReason)
			assert.LessOrEqual(t, len(r.GetDestination()), maxDestination)
		}
		for _, number := range answer.GetEventDestinations() {
			require.LessOrEqual(t, int(number), len(answer.GetDestinations()))
		}
		for i, got := range outcomes {
			want := outboxv1.Outcome_OUTCOME_OK
			switch said, named := clearly[i]; {
			case !sense:
				want = outboxv1.Outcome_OUTCOME_UNKNOWN
			case named:
				want = wireOutcome(said)
			}
			assert.Equal(t, want, got, "event %d", i)
		}
	})
}
