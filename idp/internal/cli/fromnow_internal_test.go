package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimesAreSaidAsPeopleSayThem(t *testing.T) {
	const day = 24 * time.Hour
	for d, words := range map[time.Duration]string{
		0:                             "now",
		-400 * time.Millisecond:       "now",
		600 * time.Millisecond:        "in 1 second",
		-59400 * time.Millisecond:     "59 seconds ago",
		-59600 * time.Millisecond:     "1 minute ago",
		time.Hour - 20*time.Second:    "in 1 hour",
		47*time.Hour + 20*time.Minute: "in 47 hours",
		47*time.Hour + 40*time.Minute: "in 2 days",
		29*day + 10*time.Hour:         "in 29 days",
		30*day - time.Second:          "in 30 days",
		-(400*day + 13*time.Hour):     "401 days ago",
		1<<63 - 1:                     "in 106751 days",
		-1 << 63:                      "106751 days ago",
	} {
		require.Equal(t, words, fromNow(d), d.String())
	}
}
