package webhook

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                               0,
		"0":                              0,
		"120":                            2 * time.Minute,
		"-5":                             0,
		"1.5":                            0,
		"soon":                           0,
		"7200":                           time.Hour,
		"9223372036854775807":            time.Hour,
		"99999999999999999999":           0,
		"Fri, 02 Jan 2026 03:04:35 GMT":  30 * time.Second,
		"Friday, 02-Jan-26 03:04:35 GMT": 30 * time.Second,
		"Fri, 02 Jan 2026 03:04:00 GMT":  0,
		"Sat, 02 Jan 2027 03:04:05 GMT":  time.Hour,
	} {
		assert.Equal(t, want, retryAfter(value, now), "%q", value)
	}
}
