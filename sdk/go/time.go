package agentidp

import (
	"fmt"
	"time"
)

// timeLayout is how the API writes times: UTC, three decimals.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Time is a time of the API. It keeps milliseconds.
type Time struct{ time.Time }

// At is t as a *Time, for members that may be absent.
func At(t time.Time) *Time { return &Time{t} }

// String is the API's form.
func (t Time) String() string { return t.UTC().Format(timeLayout) }

// MarshalText is the API's form.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalJSON is the API's form; without it time.Time's would be taken.
func (t Time) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// UnmarshalText reads RFC 3339.
func (t *Time) UnmarshalText(text []byte) (err error) {
	if t.Time, err = time.Parse(time.RFC3339Nano, string(text)); err != nil {
		return fmt.Errorf("agentidp: %w", err)
	}
	return nil
}
