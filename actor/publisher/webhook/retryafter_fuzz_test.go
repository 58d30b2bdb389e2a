package webhook

import (
	"math"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{
		"", "0", "120", "-5", "+5", "-10000000000", "9223372036854775807", "-9223372036854775808", "99999999999999999999", "1.5", "0x10", "\xff",
		"Fri, 02 Jan 2026 03:04:35 GMT", "Friday, 02-Jan-26 03:04:35 GMT", "Fri Jan  2 03:04:35 2026", "Mon, 01 Jan 0000 00:00:00 GMT",
	} {
		f.Add(value, int64(1_767_323_045))
		f.Add(value, int64(math.MaxInt64))
		f.Add(value, int64(math.MinInt64))
	}
	f.Fuzz(func(t *testing.T, value string, unix int64) {
		now := time.Unix(unix, 0)
		wait := retryAfter(value, now)
		assert.GreaterOrEqual(t, wait, time.Duration(0))
		assert.LessOrEqual(t, wait, maxRetryAfter)
		date, notADate := http.ParseTime(value)
		if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
			assert.Equal(t, seconds > 0, wait > 0)
			assert.LessOrEqual(t, int64(wait/time.Second), max(seconds, 0))
		} else if notADate != nil {
			assert.Zero(t, wait, "nonsense asks for nothing")
		} else if !date.After(now) {
			assert.Zero(t, wait, "the past asks for nothing")
		}
	})
}
