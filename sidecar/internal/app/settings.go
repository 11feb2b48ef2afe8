package app

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/config"
	"github.com/sentryagent/agentidp/shared/obs"
	"github.com/sentryagent/agentidp/shared/policy"
)

// Logger makes the logger that the settings ask for.
func (c *Config) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	return obs.NewLogger(w, c.LogFormat, level)
}

// CheckPolicy compiles the policy and runs its tests, as a start would; what
// comes as a bundle is not looked at. The error is a *config.Problems.
func (c *Config) CheckPolicy(ctx context.Context) error {
	if c.PolicyBundle {
		return nil // the IdP has it
	}
	if _, err := policy.New(ctx, c.policyFolder(), c.policyOptions(time.Now)); err != nil {
		return &config.Problems{List: []config.Problem{{Key: "policy_dir", Text: err.Error()}}}
	}
	return nil
}

func (c *Config) policyFolder() fs.FS {
	if c.PolicyDir == "" {
		return policies.Sidecar
	}
	return os.DirFS(c.PolicyDir)
}

func (c *Config) policyOptions(now func() time.Time) policy.Options {
	return policy.Options{Sidecar: true, Now: now}
}

// allows decides on organizations. own answers the sidecar's, "" while it is unknown.
func (c *Config) allows(own func() string) func(id string) bool {
	listed := slices.Clone(c.Organizations)
	if c.foreign() {
		return func(id string) bool { return len(listed) == 0 || slices.Contains(listed, id) }
	}
	return func(id string) bool { return id != "" && (id == own() || slices.Contains(listed, id)) }
}
