package scale

import (
	"errors"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/bench/result"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// spread is the sample of one revocation: when each had it and when its caller
// had an answer, both from the call, and what all of it cost. The commit is
// between the call and the first who had it.
func spread(at []time.Duration, answered, cpu time.Duration, page int64) result.Sample {
	slices.Sort(at)
	return result.Sample{
		AnswerMS: milliseconds(answered), FirstMS: milliseconds(at[0]), HalfMS: milliseconds(at[len(at)/2]), LastMS: milliseconds(at[len(at)-1]),
		EachCPU: float64(cpu.Microseconds()) / float64(len(at)), PageBytes: float64(page),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// unanswered says that a revocation may have been done, but its caller's time was over.
func unanswered(err error) bool {
	var said *apierr.Error
	return errors.As(err, &said) && said.Reason == "outcome_unknown"
}
