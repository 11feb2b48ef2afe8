package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/feed"
)

func (p program) sidecars() *cobra.Command {
	var organization string
	cmd := p.api(&cobra.Command{
		Use: "list", Short: "List the sidecars, most recently seen first", Args: takes(),
		Long: `List prints the sidecars that report to the IdP: state, version, policy, decisions, and how
long ago they were seen. A sidecar is connected when that was less than 5 minutes ago, else
it is away. FEED AT is the entry of the revocation feed that it acknowledged last.`,
		Example: "  agentidp sidecars list",
	}, briefly, func(ctx context.Context, s *session, _ []string) error {
		return list(s.out, s.Sidecars(ctx, organization), 0, []string{"SIDECAR ID", "NAME", "AGENT ID", "STATE", "SEEN", "VERSION", "POLICY", "DECISIONS", "LAST DECISION", "FEED AT"}, func(c agentidp.Sidecar) []string {
			state := "away"
			if c.Connected {
				state = "connected"
			}
			return []string{
				c.SidecarID, c.Name, c.AgentID, state, fromNow(time.Until(c.SeenAt.Time)), c.Version, c.PolicyRevision, strconv.FormatInt(c.NextSequence, 10),
				at(c.LastDecisionAt), c.FeedCursor,
			}
		})
	})
	cmd.Flags().StringVar(&organization, "organization", "", "another organization's, for the operator")
	return command.Group("sidecars", "Sidecars that report here", cmd)
}

// called is what people know a sidecar by.
func called(c agentidp.Sidecar) string {
	if c.Name == "" {
		return c.SidecarID
	}
	return c.Name + " (" + c.SidecarID + ")"
}

// behind is how many entries of the feed a sidecar has not acknowledged; ok is
// false when its cursor is of another feed.
func behind(head, cursor string) (entries int64, ok bool) {
	last, err := feed.ParseCursor(head)
	if err != nil {
		return 0, false
	}
	here, err := feed.ParseCursor(cursor)
	if err != nil || !strings.EqualFold(here.Epoch, last.Epoch) {
		return 0, false
	}
	return max(last.Seq-here.Seq, 0), true
}
