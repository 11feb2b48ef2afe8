package app

import (
	"context"
	"errors"
	"time"

	"github.com/sentryagent/agentidp/shared/policy"
)

// takePolicy puts a bundle's policy into force. The same policy under another
// key's signature changes nothing: what was decided stays decided.
func (a *App) takePolicy(ctx context.Context, bundle *policy.OpenedBundle) error {
	if bundle.Revision == a.policy.Revision() {
		return nil
	}
	err := a.policy.Reload(ctx, bundle.Folder)
	if a.proxy != nil { // the one on disk at the start is no reload
		a.reloaded(ctx, "policy", err)
	}
	return err
}

// policyState is what /ready says. Until there is a policy nothing can be decided.
func (a *App) policyState(now time.Time, failed string) policyState {
	rules := a.policy.Status()
	s := policyState{part: loadedPart(now, rules.LoadedAt, a.policyError(failed)), Revision: rules.Revision, Source: a.policySource()}
	if s.OK = rules.Revision != ""; !s.OK {
		s.AgeSeconds = nil
	}
	return s
}

// policySource is where the policy comes from.
func (a *App) policySource() string {
	switch {
	case a.cfg.PolicyBundle:
		return "bundle"
	case a.cfg.PolicyDir != "":
		return "folder"
	}
	return "builtIn"
}

// policyError is why the policy in force is not the newest there is; nil when it is.
// With a bundle only the syncer knows: it also meets those that never came to be loaded.
func (a *App) policyError(failed string) error {
	if !a.cfg.PolicyBundle {
		return a.policy.Status().LastError
	}
	if failed == "" {
		return nil
	}
	return errors.New(failed)
}
