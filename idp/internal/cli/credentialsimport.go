package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/shared/command"
)

// importCredentials opens the store of the configuration and imports into it.
type importCredentials func(ctx context.Context, cfg app.Config, lines []registry.ImportLine, onlyCheck bool) (registry.ImportReport, error)

func (p program) credentialsImport(run importCredentials) *cobra.Command {
	var file string
	var onlyCheck bool
	cmd := offline(p.settings.Command("import", "Import client secrets that another system hashed with bcrypt", `Import brings in credentials whose secrets exist already, as bcrypt hashes of another system. The
file is NDJSON with the members clientId, agentId, secretHash and, optionally, expiresAt, or CSV
whose first line names these columns:

    clientId    1 to 128 of A-Z a-z 0-9 . _ ~ -, taken by nobody
    agentId     an agent that is registered here
    secretHash  $2a$, $2b$ or $2y$ with a cost of 4 to 15; of a secret of at most 64 bytes
    expiresAt   RFC 3339, in the future

Every line is checked before anything is imported; each that is wrong is reported with its
number, field and rule, and then nothing is imported. 100 lines are committed at a time: when the
store fails in between, the same import again brings the rest. Every credential is audited. Its
hash is replaced by one of the configured scheme on its first use.

Exit status 0: imported, or nothing wrong with --dry-run; 1: not imported, or not all; 2: wrong usage.`,
		func(cmd *cobra.Command, cfg app.Config) error {
			if file == "" {
				return fmt.Errorf("%w: --file FILE is required", command.ErrUsage)
			}
			lines, err := readImport(file)
			if err != nil {
				return p.badLines(err)
			}
			report, err := run(cmd.Context(), cfg, lines, onlyCheck)
			if err != nil {
				return p.badLines(err)
			}
			return p.imported(report, onlyCheck, cfg.BcryptCost)
		}))
	cmd.Flags().StringVar(&file, "file", "", "file of the credentials, NDJSON or CSV")
	cmd.Flags().BoolVar(&onlyCheck, "dry-run", false, "check every line and import nothing")
	return cmd
}

func readImport(path string) (lines []registry.ImportLine, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	lines, err = registry.ReadImport(file)
	return lines, errors.Join(err, file.Close())
}

// badLines lists what is wrong with the lines, if that is what is wrong.
func (p program) badLines(err error) error {
	var bad registry.BadLines
	if errors.As(err, &bad) {
		for _, line := range bad {
			fmt.Fprintf(p.Stderr, "line %d: %s %s\n", line.Number, line.Field, line.Rule)
		}
		return fmt.Errorf("nothing is imported: %w", err)
	}
	return err
}

func (p program) imported(r registry.ImportReport, onlyCheck bool, cost int) error {
	did := "imported"
	if onlyCheck {
		did = "to import, nothing is wrong"
	}
	if r.MaxCost > cost {
		fmt.Fprintf(p.Stderr, "hashes of bcrypt cost %d are dearer than new ones: set AGENTIDP_BCRYPT_COST to %[1]d until they have been used, or the time of a refusal tells that such a client exists\n", r.MaxCost)
	}
	_, err := fmt.Fprintf(p.Stdout, "%d credentials %s, %d were there already\n", r.Imported, did, r.Present)
	return err
}
