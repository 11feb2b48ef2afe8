package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/policies"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/policy"
)

func (p program) policy() *cobra.Command {
	return command.Group("policy", "Test a policy, explain one decision, replay recorded ones", p.policyTest(), p.policyExplain(), p.policyReplay())
}

// policyFolder is the folder that a flag names; "" is the built-in policy.
func policyFolder(dir string) fs.FS {
	if dir == "" {
		return policies.Sidecar
	}
	return os.DirFS(dir)
}

// sidecarOptions are those that a running sidecar loads its policy with.
var sidecarOptions = policy.Options{Sidecar: true}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %s takes no arguments, got %q", command.ErrUsage, cmd.CommandPath(), args)
	}
	return nil
}

func (p program) policyTest() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "test", Short: "Run a policy's own unit tests", Args: noArguments,
		Long: `Test compiles the policy and runs the rules named test_… in its *_test.rego files, as a
sidecar does before it puts a policy into force. The exit status is 1 when it does not
compile or a test fails.`,
		Example: `  agentidp-sidecar policy test --policy-dir ./policies`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			results, err := policy.Test(cmd.Context(), policyFolder(dir), sidecarOptions)
			failed := 0
			for _, r := range results {
				verdict, why := "PASS", ""
				if r.Failed {
					failed++
					verdict, why = "FAIL", "\n      "+r.Why
				}
				fmt.Fprintf(p.Stdout, "%s  %s  %s  %s%s\n", verdict, r.Name, r.Duration.Round(time.Microsecond), r.Location, strings.TrimRight(why, " \n"))
			}
			if err != nil {
				return err
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d tests failed", failed, len(results))
			}
			fmt.Fprintf(p.Stdout, "%d tests passed in %s\n", len(results), time.Since(began).Round(time.Millisecond))
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "policy-dir", "", "folder of the policy; default: the built-in one")
	return cmd
}

func (p program) policyExplain() *cobra.Command {
	var (
		dir, file string
		in        policy.Input
	)
	cmd := &cobra.Command{
		Use: "explain", Short: "Explain one decision of a policy", Args: noArguments,
		Long: `Explain asks the policy for one decision and prints it with every rule that was tried:
those that held with their value, the others with the expression that did not hold. What
is asked comes from flags, or from a JSON file of the form that policies see (--input, "-"
is standard input).`,
		Example: `  agentidp-sidecar policy explain --policy-dir ./policies \
      --route '/notes/{id}' --capability notes:read --method GET --path /notes/7 --scope 'notes:*'
  agentidp-sidecar policy explain --input request.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file != "" {
				if err := readInput(file, cmd.InOrStdin(), &in); err != nil {
					return err
				}
			}
			if !strings.Contains(in.Route.ID, "/") {
				return fmt.Errorf("%w: a route of a sidecar is the pattern of a path, such as /notes/{id}", command.ErrUsage)
			}
			engine, err := policy.New(cmd.Context(), policyFolder(dir), sidecarOptions)
			if err != nil {
				return err
			}
			printExplanation(p.Stdout, engine, engine.Explain(cmd.Context(), in))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "policy-dir", "", "folder of the policy; default: the built-in one")
	f.StringVar(&file, "input", "", "JSON file of the whole input, instead of the flags below")
	f.StringVar(&in.Route.ID, "route", "", "pattern of the route's path, as in the route file")
	f.StringVar(&in.Route.Capability, "capability", "", "capability that the route demands, or public")
	f.StringVar(&in.Request.Method, "method", "GET", "method of the request")
	f.StringVar(&in.Request.Path, "path", "", "path of the request")
	f.StringVar(&in.Request.Host, "host", "", "host of the request")
	f.StringVar(&in.Request.Peer, "peer", "", "address of the client")
	f.StringVar(&in.Agent.ID, "agent", "", "id of the agent; none: no token")
	f.StringVar(&in.Agent.OrganizationID, "organization", "", "organization of the agent")
	f.StringVar(&in.Agent.ClientID, "client-id", "", "client id of the agent's credential")
	f.StringVar(&in.Token.JTI, "jti", "", "id of the token")
	f.StringSliceVar(&in.Token.Scope, "scope", nil, "scope of the token; repeat it or separate by commas")
	f.StringSliceVar(&in.Token.Audience, "audience", nil, "audience of the token")
	f.Int64Var(&in.Token.ExpiresAt, "exp", 0, "end of the token, in Unix seconds")
	cmd.MarkFlagsMutuallyExclusive("input", "route")
	return cmd
}

// maxInput bounds a file of one input.
const maxInput = 1 << 20

func readInput(path string, stdin io.Reader, in *policy.Input) (err error) {
	source := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // only read
		source = file
	}
	*in = policy.Input{}
	decoder := json.NewDecoder(io.LimitReader(source, maxInput))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(in); err != nil {
		return fmt.Errorf("%w: %s is no input: %w", command.ErrUsage, path, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s must hold one object", command.ErrUsage, path)
	}
	return nil
}

func printExplanation(w io.Writer, engine *policy.Engine, x *policy.Explanation) {
	answer := "denied"
	if x.Decision.Allow {
		answer = "allowed"
	}
	fmt.Fprintf(w, "%s: %s  (revision %s)\n", answer, x.Decision.Reason, engine.Revision())
	if x.Err != nil {
		fmt.Fprintf(w, "  because %v\n", errors.Unwrap(x.Err))
	}
	for _, s := range x.Steps {
		what := "no   " + s.Rule
		if s.Held {
			what = "yes  " + s.Rule
			if s.Value != "true" {
				what += " = " + s.Value
			}
		}
		indent := strings.Repeat("  ", s.Depth+1)
		fmt.Fprintf(w, "%s%s  (%s)\n", indent, what, s.Location)
		if s.Stopped != "" {
			fmt.Fprintf(w, "%s       stopped at: %s\n", indent, s.Stopped)
		}
	}
}
