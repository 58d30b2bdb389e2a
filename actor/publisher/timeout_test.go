package publisher

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTimeoutEndsACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := Func(func(ctx context.Context, e Event) error {
			if e.ID() == "b/1" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		start := time.Now()
		err := Chain(hang, Timeout(5*time.Second)).Publish(t.Context(), batchOf("a/1 b/1 c/1"))
		assert.Equal(t, 5*time.Second, time.Since(start))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the batch was not published within 5s")
		assert.Equal(t, "1:unknown 2:unknown", outcomesOf(Failures(err, 3)), "a/1 was delivered; c/1 was not tried")
	})
}

func TestTimeoutLeavesAlone(t *testing.T) {
	for name, c := range map[string]struct {
		end  time.Duration // of the caller's context
		take time.Duration
		err  error
	}{
		"what failed in time":          {end: time.Hour, take: time.Second, err: errNo},
		"what was delivered too late":  {end: time.Hour, take: time.Minute},
		"a context that ended earlier": {end: time.Second, take: time.Minute, err: errNo},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.end)
				defer cancel()
				stubborn := around(func(context.Context, Publisher, []Event) error {
					time.Sleep(c.take) //nolint:forbidigo // the bubble's clock
					return c.err
				})(answering{})
				start := time.Now()
				require.Equal(t, c.err, Timeout(5*time.Second)(stubborn).Publish(ctx, batchOf("a/1")))
				// Nobody is left behind: what does not return is waited for.
				assert.Equal(t, c.take, time.Since(start))
			})
		})
	}
}
