package ratelimit

import (
	"strconv"
	"time"
)

// Header is one response header.
type Header struct{ Name, Value string }

// Headers words the verdict: RateLimit-Policy and RateLimit (IETF draft
// ratelimit-headers, seconds to go), X-RateLimit-Limit, -Remaining and -Reset
// (Unix seconds, as most clients read it) and, if refused, Retry-After. Seconds
// are rounded up. now is the time of the verdict. No headers if not limited.
func Headers(v Verdict, now time.Time) []Header {
	if v.Limit == 0 {
		return nil
	}
	limit, remaining := strconv.Itoa(v.Limit), strconv.Itoa(v.Remaining)
	headers := []Header{
		{"RateLimit-Policy", `"default";q=` + limit + ";w=" + seconds(v.Window)},
		{"RateLimit", `"default";r=` + remaining + ";t=" + seconds(v.Reset)},
		{"X-RateLimit-Limit", limit},
		{"X-RateLimit-Remaining", remaining},
		{"X-RateLimit-Reset", strconv.FormatInt(now.Add(v.Reset+time.Second-1).Unix(), 10)},
	}
	if !v.Allowed {
		headers = append(headers, Header{"Retry-After", seconds(max(v.RetryAfter, time.Second))})
	}
	return headers
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
