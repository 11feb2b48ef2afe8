package app

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/obs"
	"github.com/sentryagent/agentidp/shared/policy"
)

// CheckPolicy compiles the policy and runs its tests, as a start would.
func (c *Config) CheckPolicy(ctx context.Context) error {
	if _, err := policy.New(ctx, c.policyFolder(), policy.Options{}); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	return nil
}

func (c *Config) policyFolder() fs.FS {
	if c.PolicyDir == "" {
		return policies.Sidecar
	}
	return os.DirFS(c.PolicyDir)
}

// Logger makes the logger that the settings ask for.
func (c *Config) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	return obs.NewLogger(w, c.LogFormat, level)
}
