package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) credentials(run importCredentials) *cobra.Command {
	return command.Group("credentials", "Credentials of agents", p.credentialsList(), p.credentialsCreate(), p.credentialsRotate(), p.credentialsRevoke(), p.credentialsImport(run))
}

func (p program) credentialsList() *cobra.Command {
	cmd := p.api(&cobra.Command{
		Use: "list AGENT", Short: "List the credentials of an agent", Args: takes("AGENT"),
		Long: `List prints an agent's credentials, revoked ones too, never a secret. OLD SECRET ENDS is
until when the secret before a rotation with --overlap works too.`, Example: "  agentidp credentials list screener-001@example.com",
	}, briefly, func(ctx context.Context, s *session, args []string) error {
		id, err := s.agentID(ctx, args[0])
		if err != nil {
			return err
		}
		return list(s.out, s.Credentials(ctx, id), 0, []string{"CREDENTIAL ID", "CLIENT ID", "METHOD", "STATUS", "CREATED", "EXPIRES", "LAST USED", "OLD SECRET ENDS"}, func(c agentidp.Credential) []string {
			return []string{c.CredentialID, c.ClientID, string(c.AuthMethod), string(c.Status), c.CreatedAt.String(), at(c.ExpiresAt), at(c.LastUsedAt), at(c.PreviousSecretExpiresAt)}
		})
	})
	return p.completesAgents(cmd)
}

func (p program) credentialsCreate() *cobra.Command {
	var secretFile, expires string
	var privateKey bool
	cmd := p.api(&cobra.Command{
		Use: "create AGENT", Short: "Make a credential", Args: takes("AGENT"),
		Long: `Create makes a credential and shows its secret, this once. With --secret-file the secret goes
to a file of mode 0600 instead.`,
		Example: `  agentidp credentials create screener-001@example.com --secret-file screener.secret
  agentidp credentials create 3f2b8c1e-… --expires 2160h -o json`,
	}, briefly, func(ctx context.Context, s *session, args []string) error {
		id, err := s.agentID(ctx, args[0])
		if err != nil {
			return err
		}
		request := agentidp.NewCredential{}
		if privateKey {
			request.AuthMethod = agentidp.AuthPrivateKeyJWT
		}
		if request.ExpiresAt, err = end(expires); err != nil {
			return err
		}
		write, err := secretTo(secretFile)
		if err != nil {
			return err
		}
		created, err := s.CreateCredential(ctx, id, request)
		return s.showSecret(created, write, err)
	})
	cmd.Flags().StringVar(&expires, "expires", "", "when it ends: RFC 3339, or in how long, such as 2160h; default: never")
	cmd.Flags().BoolVar(&privateKey, "private-key-jwt", false, "no secret: the agent signs with a key of its jwks or jwksUri")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "write the secret to this new file, mode 0600, and do not show it")
	return p.completesAgents(cmd)
}

func end(text string) (*agentidp.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // never
	}
	if in, err := time.ParseDuration(text); err == nil {
		return agentidp.At(time.Now().Add(in)), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, fmt.Errorf("%w: --expires must be a time in RFC 3339, or in how long, such as 2160h", command.ErrUsage)
	}
	return agentidp.At(t), nil
}

func (p program) credentialsRotate() *cobra.Command {
	var secretFile string
	var overlap time.Duration
	var tokensToo bool
	cmd := p.api(&cobra.Command{
		Use: "rotate AGENT CREDENTIAL", Short: "Replace the secret of a credential", Args: takes("AGENT", "CREDENTIAL"),
		Long: `Rotate replaces the secret and shows the new one, this once; the client id stays. The old
secret dies at once, or after --overlap. CREDENTIAL is its id or client id. When it is
the credential of the profile in use, the profile gets the new secret.`,
		Example: "  agentidp credentials rotate screener-001@example.com aidp_c_… --overlap 1h --secret-file screener.secret",
	}, briefly, func(ctx context.Context, s *session, args []string) error {
		agent, credential, err := s.credentialID(ctx, args)
		if err != nil {
			return err
		}
		rotation := agentidp.Overlap(overlap)
		rotation.RevokeTokens = tokensToo
		write, err := secretTo(secretFile)
		if err != nil {
			return err
		}
		rotated, err := s.RotateCredential(ctx, agent, credential, rotation)
		return s.showSecret(rotated, write, errors.Join(err, s.keep(rotated)))
	})
	cmd.Flags().DurationVar(&overlap, "overlap", 0, "how long the old secret stays good, up to 168h")
	cmd.Flags().BoolVar(&tokensToo, "revoke-tokens", false, "kill the tokens issued to it too")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "write the secret to this new file, mode 0600, and do not show it")
	return p.completesAgents(cmd)
}

func (p program) credentialsRevoke() *cobra.Command {
	var revocation agentidp.CredentialRevocation
	var yes bool
	cmd := p.api(&cobra.Command{
		Use: "revoke AGENT CREDENTIAL", Short: "End a credential for good", Args: takes("AGENT", "CREDENTIAL"),
		Long:    "Revoke ends a credential. Its tokens live to their end, unless --revoke-tokens kills them. CREDENTIAL is its id or client id.",
		Example: "  agentidp credentials revoke screener-001@example.com aidp_c_… --revoke-tokens",
	}, forever, func(ctx context.Context, s *session, args []string) error {
		agent, credential, err := s.credentialID(ctx, args)
		if err != nil {
			return err
		}
		consequence := "Credential " + args[1] + " ends for good: nobody gets a token with it any more. Tokens that are out live on for an hour at most."
		if revocation.Tokens {
			consequence = "Credential " + args[1] + " ends for good, and its live tokens die within a second."
		}
		if err := s.confirm(ctx, yes, consequence, args[1]); err != nil {
			return err
		}
		return s.RevokeCredential(ctx, agent, credential, revocation)
	})
	cmd.Flags().BoolVar(&revocation.Tokens, "revoke-tokens", false, "kill the tokens issued to it too")
	reasonFlag(cmd, &revocation.Reason)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return p.completesAgents(cmd)
}

// credentialID takes an agent, and a credential by its id or client id.
func (s *session) credentialID(ctx context.Context, args []string) (agentID, credentialID string, err error) {
	if agentID, err = s.agentID(ctx, args[0]); err != nil || !strings.HasPrefix(args[1], "aidp_c_") {
		return agentID, args[1], err
	}
	for credential, err := range s.Credentials(ctx, agentID) {
		if err != nil {
			return "", "", err
		}
		if credential.ClientID == args[1] {
			return agentID, credential.CredentialID, nil
		}
	}
	return "", "", &failure{text: plain(fmt.Sprintf("NOT_FOUND: the agent has no credential %s: agentidp credentials list", args[1])), status: exitNotFound}
}

// secretTo opens the file before there is a secret that would be lost without it.
func secretTo(path string) (*os.File, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // to be shown
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there already, and no secret is written over what is in it: name another file, or remove it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return file, nil
}

// showSecret shows a credential with its secret, or keeps the secret in file.
// failed is why there is none, or why something after it failed.
func (s *session) showSecret(c agentidp.CredentialWithSecret, file *os.File, failed error) error {
	if file != nil {
		if c.ClientSecret == "" {
			return errors.Join(failed, file.Close(), os.Remove(file.Name()))
		}
		_, err := fmt.Fprintln(file, c.ClientSecret)
		if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
			c.ClientSecret = "" // it is kept: no need to show it
			fmt.Fprintf(s.Stderr, "the secret is in %[1]s: agentidp login --profile NAME --url %[2]s --client-id %[3]s --secret-file %[1]s\n", file.Name(), s.URL(), plain(c.ClientID))
		}
		failed = errors.Join(failed, err)
	}
	if c.CredentialID == "" {
		return failed
	}
	err := s.out.object(c, func() [][]string {
		rows := [][]string{{"credential", c.CredentialID}, {"client id", c.ClientID}}
		if c.ClientSecret != "" {
			rows = append(rows, []string{"secret", c.ClientSecret})
		}
		rows = append(rows, []string{"method", string(c.AuthMethod)}, []string{"expires", at(c.ExpiresAt)})
		if c.PreviousSecretExpiresAt != nil {
			rows = append(rows, []string{"old secret ends", at(c.PreviousSecretExpiresAt)})
		}
		return rows
	})
	if c.ClientSecret != "" {
		fmt.Fprintf(s.Stderr, "the secret is shown this once: keep it now; to use it here: agentidp login --profile NAME --url %s --client-id %s, which asks for it\n", s.URL(), plain(c.ClientID))
	}
	return errors.Join(failed, err)
}

// keep gives the profile in use the secret that its own credential got.
func (s *session) keep(c agentidp.CredentialWithSecret) error {
	if c.ClientSecret == "" || s.connection.name == "" || c.ClientID != s.connection.ClientID {
		return nil
	}
	all, err := s.profiles()
	if err != nil {
		return err
	}
	kept := all.Profiles[s.connection.name]
	kept.ClientSecret = c.ClientSecret
	all.Profiles[s.connection.name] = kept
	if err := all.save(); err != nil {
		return err
	}
	fmt.Fprintf(s.Stderr, "profile %s has the new secret\n", s.connection.name)
	return nil
}
