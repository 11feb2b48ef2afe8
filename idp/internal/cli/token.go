package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
	"github.com/sentryagent/agentidp/shared/token"
)

func (p program) token() *cobra.Command {
	return command.Group("token", "Access tokens", p.tokenGet(), p.tokenInspect(), p.tokenIntrospect(), p.tokenRevoke())
}

func (p program) tokenGet() *cobra.Command {
	var resources, scopes []string
	cmd := p.api(&cobra.Command{
		Use: "get", Short: "Get an access token", Args: takes(),
		Long: `Get asks for a token with the credential of the profile and prints it alone, with -o json the
whole answer. Without --resource it is for the management API of the IdP.`,
		Example: `  curl -H "Authorization: Bearer $(agentidp token get --resource https://notes.example.com)" https://notes.example.com/notes`,
	}, briefly, func(ctx context.Context, s *session, _ []string) error {
		answer, err := s.config.WithResources(resources...).WithScopes(scopes...).IssueToken(ctx)
		if err != nil {
			return err
		}
		if s.out.json {
			return s.out.write(answer)
		}
		_, err = fmt.Fprintln(s.Stdout, answer.AccessToken)
		return err
	})
	cmd.Flags().StringArrayVar(&resources, "resource", nil, "the API that the token is for (RFC 8707); may be repeated")
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "capabilities to ask for; default: all the agent holds")
	return cmd
}

// fromFile is the use of commands that take a token: never on the command line.
const fromFile = " [FILE]"

func (p program) readToken(ctx context.Context, args []string) (string, error) {
	file := ""
	if len(args) > 0 {
		file = args[0]
	}
	return p.secretFrom(ctx, file, "Token: ")
}

func (p program) tokenInspect() *cobra.Command {
	var jwks, issuer, audience string
	flags := &connectFlags{}
	cmd := &cobra.Command{
		Use: "inspect" + fromFile, Short: "Decode a token and verify it against the IdP's keys", Args: upToOne,
		Long: `Inspect decodes a token from FILE, or the standard input, and verifies it as a resource server
does: signature, type, issuer, times, and with --audience the audience. It asks the IdP
for its keys alone; with --jwks-file and --issuer it asks nobody. A revoked token looks
good here: "agentidp token introspect" asks about that. Exit status 1: not valid.`,
		Example: "  agentidp token get | agentidp token inspect\n  agentidp token inspect token.jwt --audience https://notes.example.com",
	}
	flags.add(cmd, briefly)
	cmd.Flags().StringVar(&jwks, "jwks-file", "", "key set to verify with, instead of asking the IdP")
	cmd.Flags().StringVar(&issuer, "issuer", "", "who must have issued it; default: the IdP of the profile")
	cmd.Flags().StringVar(&audience, "audience", "", "whom it must be for; default: anybody")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := flags.check(); err != nil {
			return err
		}
		ctx, cancel := flags.context(cmd.Context())
		defer cancel()
		raw, err := p.readToken(ctx, args)
		if err != nil {
			return err
		}
		keys, iss, err := p.keySet(ctx, jwks, issuer, flags)
		if err != nil {
			return explain(err)
		}
		return p.inspect(ctx, p.output(flags.format == "json"), raw, &token.Verifier{Issuer: iss, Audience: audience, Keys: keys, Leeway: 30 * time.Second})
	}
	return cmd
}

// keySet reads the keys from a file, or from the IdP, and who issues.
func (p program) keySet(ctx context.Context, file, issuer string, flags *connectFlags) (*token.KeySet, string, error) {
	var raw []byte
	var err error
	if file != "" {
		if issuer == "" {
			return nil, "", fmt.Errorf("%w: --jwks-file wants --issuer", command.ErrUsage)
		}
		raw, err = os.ReadFile(file)
	} else {
		var s *session
		if s, err = p.open(flags); err != nil {
			return nil, "", err
		}
		var found agentidp.JWKS
		if found, err = s.JWKS(ctx); err == nil {
			raw, err = json.Marshal(found)
		}
		if err == nil && issuer == "" {
			var metadata agentidp.Metadata
			metadata, err = s.Metadata(ctx)
			issuer = metadata.Issuer
		}
	}
	if err != nil {
		return nil, "", err
	}
	keys, _, err := token.ParseJWKS(raw)
	return keys, issuer, err
}

// inspected is what inspect prints for scripts.
type inspected struct {
	Valid  bool            `json:"valid"`
	Reason string          `json:"reason,omitempty"` // why it is not
	Header json.RawMessage `json:"header"`
	Claims json.RawMessage `json:"claims"`
}

var errInvalidToken = errors.New("the token is NOT valid")

func (p program) inspect(ctx context.Context, out output, raw string, verifier *token.Verifier) error {
	header, claims, err := decode(raw)
	if err != nil {
		return err
	}
	if verifier.Audience == "" {
		verifier.Audience = anyAudience(claims)
	}
	result := inspected{Header: header, Claims: claims, Valid: true}
	var refused *token.Error
	if _, err := verifier.Verify(ctx, raw); errors.As(err, &refused) {
		result.Valid, result.Reason = false, string(refused.Reason)
	} else if err != nil {
		return err
	}
	if err := out.object(result, func() [][]string { return tokenRows(result) }); err != nil {
		return err
	}
	if !result.Valid {
		return fmt.Errorf("%w: %s", errInvalidToken, result.Reason)
	}
	return nil
}

func decode(raw string) (header, claims json.RawMessage, err error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, nil, errors.New("that is no JWT: it has not three parts")
	}
	for i, into := range []*json.RawMessage{&header, &claims} {
		if *into, err = base64.RawURLEncoding.DecodeString(parts[i]); err != nil || !json.Valid(*into) {
			return nil, nil, errors.New("that is no JWT: its parts are not base64url of JSON")
		}
	}
	return header, claims, nil
}

// anyAudience is one that the token names, so that the other rules are held to it.
func anyAudience(claims json.RawMessage) string {
	var named struct {
		Aud agentidp.Audience `json:"aud"`
	}
	if json.Unmarshal(claims, &named) != nil || len(named.Aud) == 0 {
		return "none"
	}
	return named.Aud[0]
}

func tokenRows(r inspected) [][]string {
	state := "ok"
	if !r.Valid {
		state = "WRONG"
	}
	rows := [][]string{{"verified", state}}
	if r.Reason != "" {
		rows = append(rows, []string{"reason", r.Reason})
	}
	for _, part := range []json.RawMessage{r.Header, r.Claims} {
		var members map[string]json.RawMessage
		if json.Unmarshal(part, &members) != nil {
			continue
		}
		var sorted [][]string
		for name, value := range members {
			sorted = append(sorted, []string{name, claim(name, value)})
		}
		slices.SortFunc(sorted, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
		rows = append(rows, sorted...)
	}
	return rows
}

// claim is a value as people read it.
func claim(name string, value json.RawMessage) string {
	var text string
	var seconds int64
	switch {
	case json.Unmarshal(value, &text) == nil:
		return text
	case slices.Contains([]string{"exp", "iat", "nbf"}, name) && json.Unmarshal(value, &seconds) == nil:
		t := time.Unix(seconds, 0).UTC()
		return fmt.Sprintf("%s (%s)", t.Format(time.RFC3339), fromNow(time.Until(t)))
	default:
		return string(value)
	}
}

func (p program) tokenIntrospect() *cobra.Command {
	return p.api(&cobra.Command{
		Use: "introspect" + fromFile, Short: "Ask the IdP whether a token is live", Args: upToOne,
		Long:    "Introspect asks about a token from FILE or the standard input (RFC 7662). Of a token that is not the caller's to see the IdP says that it is dead.",
		Example: "  agentidp token introspect token.jwt",
	}, briefly, func(ctx context.Context, s *session, args []string) error {
		raw, err := s.readToken(ctx, args)
		if err != nil {
			return err
		}
		state, err := s.Introspect(ctx, raw)
		if err != nil {
			return err
		}
		return s.out.object(state, func() [][]string {
			if !state.Active {
				return [][]string{{"state", "dead"}}
			}
			return [][]string{
				{"state", "active"}, {"agent", state.Subject}, {"client id", state.ClientID}, {"organization", state.Org}, {"scope", state.Scope},
				{"audience", strings.Join(state.Audience, " ")}, {"jti", state.JTI}, {"expires", fromNow(time.Until(time.Unix(state.ExpiresAt, 0)))},
			}
		})
	})
}

func (p program) tokenRevoke() *cobra.Command {
	var reason string
	cmd := p.api(&cobra.Command{
		Use: "revoke" + fromFile, Short: "Kill one token", Args: upToOne,
		Long:    "Revoke kills a token from FILE or the standard input (RFC 7009): sidecars refuse it within a second. One that is dead already is no error.",
		Example: "  agentidp token revoke token.jwt\n  pbpaste | agentidp token revoke",
	}, briefly, func(ctx context.Context, s *session, args []string) error {
		raw, err := s.readToken(ctx, args)
		if err != nil {
			return err
		}
		return s.RevokeToken(ctx, raw, reason)
	})
	reasonFlag(cmd, &reason)
	return cmd
}
