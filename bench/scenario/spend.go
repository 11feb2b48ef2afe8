package scenario

import (
	"time"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
)

// spending is processor time so far.
type spending struct {
	at   time.Time
	own  time.Duration // of what is measured
	busy time.Duration // of its cores, whoever used them; 0: they are not its own, or the system does not tell
	of   int           // cores
}

func (r *Run) spend(pids []int) (s spending, err error) {
	s.of = len(r.Servers)
	if s.busy, err = lab.Busy(r.Servers); err != nil {
		return s, err
	}
	s.own, err = cpu(pids)
	s.at = time.Now()
	return s, err
}

// foreign adds the share of the measured cores that others had since then. Who
// shares a core waits for a time slice, milliseconds of it at a wake-up: no
// latency means anything then.
func (s spending) foreign(began spending, sample result.Sample) {
	if s.busy == 0 {
		return
	}
	others := (s.busy - began.busy) - (s.own - began.own)
	sample[result.Foreign] = max(0, others.Seconds()/(s.at.Sub(began.at).Seconds()*float64(s.of)))
}
