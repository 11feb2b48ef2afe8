package scenario

import (
	"context"
	"strconv"

	"github.com/sentryagent/agentidp/bench/lab"
	"github.com/sentryagent/agentidp/bench/result"
)

// verify measures the signatures of tokens on the measured cores: as both
// programs verify them, and as Go does.
func verify(ctx context.Context, r *Run) ([]result.Row, error) {
	if err := r.Focus(ctx, lab.Sidecar); err != nil {
		return nil, err
	}
	return r.interleave(ctx, r.Rounds, r.limit("verify", "own", false), r.limit("verify", "go", true))
}

// limit is what the measured cores do when they do nothing else: sign or verify.
func (r *Run) limit(what, name string, pureGo bool) *subject {
	return newSubject(what, name, nil, func(ctx context.Context) (measured, error) {
		return r.inside(ctx, what, "-for", r.Slice.String(), "-go="+strconv.FormatBool(pureGo))
	})
}
