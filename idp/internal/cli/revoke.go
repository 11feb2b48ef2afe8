package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

// target is something that can be cut off.
type target struct {
	use, argument, short string
	kind                 agentidp.RevocationType
	// dies says what does, of the id that goes to the API, and what to type to confirm it.
	dies func(ctx context.Context, s *session, name string) (id, consequence, word string, err error)
}

var targets = []target{
	{"agent", "AGENT", "Cut off an agent: all its live tokens", agentidp.RevokeAgent, agentDies},
	{"credential", "CREDENTIAL", "Cut off a credential: all tokens issued to it", agentidp.RevokeCredential, func(_ context.Context, _ *session, name string) (string, string, string, error) {
		return name, "All live tokens of credential " + name + " die within a second. It can get others: \"agentidp credentials revoke\" ends it.", name, nil
	}},
	{"organization", "ORGANIZATION", "Cut off an organization: the live tokens of all its agents", agentidp.RevokeOrganization, func(_ context.Context, _ *session, name string) (string, string, string, error) {
		return name, "All live tokens of organization " + name + " die within a second: its agents are refused until they have others. Your own are among them if it is yours.", name, nil
	}},
	{"key", "KID", "Cut off a signing key: all tokens it signed", agentidp.RevokeKey, func(_ context.Context, _ *session, name string) (string, string, string, error) {
		return name, "Every token that key " + name + " signed dies within a second, of all organizations. When it is the key that signs: \"agentidp keys emergency\".", name, nil
	}},
	{"token", "JTI", "Cut off one token by its jti", agentidp.RevokeToken, func(_ context.Context, _ *session, name string) (string, string, string, error) {
		return name, "The token with the jti " + name + " dies within a second.", name, nil
	}},
}

func agentDies(ctx context.Context, s *session, name string) (id, consequence, word string, err error) {
	if id, err = s.agentID(ctx, name); err != nil {
		return "", "", "", err
	}
	agent, err := s.Agent(ctx, id)
	if err != nil {
		return "", "", "", err
	}
	return id, fmt.Sprintf("All live tokens of agent %s (%s) die within a second. It is %s and can get others when it is active: \"agentidp agents suspend\" stops that.", agent.Email, id, agent.Status), agent.Email, nil
}

// countTime is how long a revocation waits to hear what it would cut off.
const countTime = 5 * time.Second

// toll says how much a revocation would cut off; of a jti there is nothing to
// count. Who cannot count can cut off all the same.
func (s *session) toll(ctx context.Context, kind agentidp.RevocationType, id string) string {
	if kind == agentidp.RevokeToken {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, countTime)
	defer cancel()
	p, err := s.PreviewRevocation(ctx, kind, id)
	if err != nil {
		return fmt.Sprintf(" How many they are could not be counted: %v.", err)
	}
	about := map[agentidp.PreviewBound]string{agentidp.BoundAtLeast: "at least ", agentidp.BoundAtMost: "at most "}[p.Bound]
	return fmt.Sprintf(" Now that is %s%d live tokens of %d active agents, with %d sidecars connected.", about, p.LiveTokens, p.Agents, p.Sidecars)
}

func (p program) revoke() *cobra.Command {
	var commands []*cobra.Command
	for _, t := range targets {
		commands = append(commands, p.revokeTarget(t))
	}
	return command.Group("revoke", "Cut off what is live now", append(commands, p.revokeList())...)
}

func (p program) revokeTarget(t target) *cobra.Command {
	var yes bool
	var reason string
	cmd := p.api(&cobra.Command{
		Use: t.use + " " + t.argument, Short: t.short, Args: takes(t.argument),
		Long:    "Revoke kills what is live now. It suspends nothing: new tokens can be issued. It counts what dies, and wants it confirmed.",
		Example: "  agentidp revoke " + t.use + " " + t.argument + " --reason incident_4711",
	}, forever, func(ctx context.Context, s *session, args []string) error {
		id, consequence, word, err := t.dies(ctx, s, args[0])
		if err != nil {
			return err
		}
		if err := s.confirm(ctx, yes, consequence+s.toll(ctx, t.kind, id), word); err != nil {
			return err
		}
		entry, err := s.Revoke(ctx, agentidp.NewRevocation{Type: t.kind, ID: id, Reason: reason})
		if err != nil {
			return err
		}
		return s.out.object(entry, func() [][]string {
			return [][]string{{"revoked", string(entry.Type) + " " + entry.ID}, {"entry", strconv.FormatInt(entry.Seq, 10)}, {"at", entry.At.String()}}
		})
	})
	reasonFlag(cmd, &reason)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	if t.kind == agentidp.RevokeAgent {
		return p.completesAgents(cmd)
	}
	return cmd
}

func (p program) revokeList() *cobra.Command {
	return p.api(&cobra.Command{
		Use: "list", Short: "List what is cut off", Args: takes(),
		Long:    "List prints the live entries of the revocation feed, whose signature it verifies.",
		Example: "  agentidp revoke list",
	}, briefly, func(ctx context.Context, s *session, _ []string) error {
		page, err := s.Revocations(ctx, "", 0)
		if err != nil {
			return err
		}
		if s.out.json {
			return s.out.write(page)
		}
		var rows [][]string
		for _, e := range page.Entries {
			rows = append(rows, []string{strconv.FormatInt(e.Seq, 10), e.At.String(), string(e.Type), e.ID, e.Reason})
		}
		return s.out.table([]string{"ENTRY", "TIME", "TYPE", "ID", "REASON"}, rows)
	})
}
