package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/app"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

func (p program) keys() *cobra.Command {
	return command.Group("keys", "Signing keys", p.keysList(), p.keysRotate(), p.keysEmergency(), p.keysImport())
}

func (p program) keysList() *cobra.Command {
	cmd := p.settings.Command("list", "List the signing keys", `List prints every signing key: id, status, when it was made. With --offline it reads the store of
an IdP that does not run.`,
		func(cmd *cobra.Command, cfg app.Config) (err error) {
			store, err := openStore(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			keys, err := store.Keys(cmd.Context())
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(p.Stdout, 0, 8, 2, ' ', 0)
			fmt.Fprintln(table, "KID\tSTATUS\tCREATED")
			for _, k := range keys {
				fmt.Fprintf(table, "%s\t%s\t%s\n", k.ID, k.Status, k.CreatedAt.Format(idp.TimeLayout))
			}
			return table.Flush()
		})
	cmd.Example = "  agentidp keys list\n  agentidp keys list -o json | jq -r .verifierKey"
	return p.either(cmd, briefly, func(ctx context.Context, s *session, _ []string) error {
		keys, err := s.Keys(ctx)
		if err != nil {
			return err
		}
		if s.out.json {
			return s.out.write(keys)
		}
		rows := [][]string{}
		for _, k := range keys.Data {
			rows = append(rows, []string{k.KID, string(k.Status), strconv.Itoa(k.Bits), k.CreatedAt.String(), at(firstOf(k.ActivatedAt, k.ActivateAt)), at(firstOf(k.RotateAt, k.RetiredAt)), at(k.LeavesAt)})
		}
		return s.out.table([]string{"KID", "STATUS", "BITS", "CREATED", "SIGNS FROM", "SIGNS UNTIL", "VERIFIES UNTIL"}, rows)
	})
}

func firstOf(times ...*agentidp.Time) *agentidp.Time {
	for _, t := range times {
		if t != nil {
			return t
		}
	}
	return nil
}

func (p program) keysRotate() *cobra.Command {
	return p.api(&cobra.Command{
		Use: "rotate", Short: "Let another key sign, without a token refused", Args: takes(),
		Long: `Rotate publishes the next key, or takes the one that is published, and lets it sign as soon as
every verifier has had time to fetch it. The key before it goes on verifying until its
last token has expired. When a key may be known to others: "agentidp keys emergency".`,
		Example: "  agentidp keys rotate",
	}, briefly, func(ctx context.Context, s *session, _ []string) error {
		key, err := s.RotateKey(ctx, agentidp.KeyRotation{})
		if err != nil {
			return err
		}
		return s.showKey(key)
	})
}

func (p program) keysEmergency() *cobra.Command {
	var yes bool
	var reason string
	cmd := p.api(&cobra.Command{
		Use: "emergency", Short: "Revoke the key that signs, and every token that it signed", Args: takes(),
		Long:    "Emergency is for a signing key that others may know. Another key signs from the answer on. Every agent has to get another token; SDKs do by themselves.",
		Example: "  agentidp keys emergency --reason incident_4711",
	}, forever, func(ctx context.Context, s *session, _ []string) error {
		keys, err := s.Keys(ctx)
		if err != nil {
			return err
		}
		signing := "the key that signs"
		for _, k := range keys.Data {
			if k.Status == agentidp.KeyActive {
				signing = k.KID
			}
		}
		if err := s.confirm(ctx, yes, "Key "+signing+" is revoked with every live token of the installation: all agents are refused until they have another token.", "emergency"); err != nil {
			return err
		}
		key, err := s.RotateKey(ctx, agentidp.KeyRotation{Emergency: true, Reason: reason})
		if err != nil {
			return err
		}
		return s.showKey(key)
	})
	reasonFlag(cmd, &reason)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it without asking")
	return cmd
}

func (s *session) showKey(k agentidp.Key) error {
	return s.out.object(k, func() [][]string {
		return [][]string{{"kid", k.KID}, {"status", string(k.Status)}, {"created", k.CreatedAt.String()}, {"signs from", at(firstOf(k.ActivatedAt, k.ActivateAt))}}
	})
}

func (p program) keysImport() *cobra.Command {
	var file string
	cmd := offline(p.settings.Command("import", "Import an RSA private key as the signing key", `Import takes a PEM file with an RSA private key of 2048 to 4096 bits (PKCS#1 or PKCS#8). It becomes
the key that signs; the one before stays published until its tokens have expired.`,
		func(cmd *cobra.Command, cfg app.Config) (err error) {
			if file == "" {
				return fmt.Errorf("%w: --pem FILE is required", command.ErrUsage)
			}
			pem, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("read the key: %w", err)
			}
			store, err := app.OpenOffline(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, store.Close()) }()
			kid, err := store.ImportKey(cmd.Context(), pem)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.Stdout, kid)
			return err
		}))
	cmd.Flags().StringVar(&file, "pem", "", "PEM file of the private key")
	return cmd
}
