package cli

import (
	"fmt"
	"time"
)

// fromNow words how far away a moment is, as people say it and the dashboard
// does: rounded to the nearest whole unit, under two days in hours.
func fromNow(d time.Duration) string {
	words := spanned(d.Abs())
	switch {
	case d.Abs() < time.Second/2:
		return "now"
	case d < 0:
		return words + " ago"
	default:
		return "in " + words
	}
}

func spanned(d time.Duration) string {
	unit, name := 24*time.Hour, "day"
	for _, smaller := range []struct {
		unit time.Duration
		end  time.Duration // how many of them are the next unit
		name string
	}{{time.Second, 60, "second"}, {time.Minute, 60, "minute"}, {time.Hour, 48, "hour"}} {
		if d.Round(smaller.unit)/smaller.unit < smaller.end {
			unit, name = smaller.unit, smaller.name
			break
		}
	}
	return counted(int64(d.Round(unit)/unit), name)
}

func counted(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
