package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/sentryagent/agentidp/idp/internal/app"
)

// doctorOffline examines the store itself, with the settings of the IdP.
func (p program) doctorOffline(short, long string) *cobra.Command {
	return p.settings.Command("doctor", short, long, func(cmd *cobra.Command, cfg app.Config) error {
		findings, err := examineStore(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		return concluded(p.output(cmd.Flag("output").Value.String() == "json"), findings)
	})
}

// examineStore makes the checks in order; without a store that can be read
// there is nothing more to check.
func examineStore(ctx context.Context, cfg app.Config) (findings []finding, err error) {
	add := func(name string, f finding) {
		f.Check, f.What, f.Do = name, plain(f.What), plain(f.Do)
		findings = append(findings, f)
	}
	if err := storeThere(cfg); err != nil {
		return nil, err
	}
	schema, db := openExamined(ctx, cfg)
	add("schema", schema)
	if db == nil {
		return findings, nil
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	add("master key", masterKeyOf(ctx, db))
	add("audit log", logOf(ctx, db))
	add("counts", countsOf(ctx, db))
	return findings, nil
}

func openExamined(ctx context.Context, cfg app.Config) (finding, *app.Condition) {
	steps, err := app.Migrations(ctx, cfg)
	if err != nil {
		return problem("does DATABASE_URL or --data-dir name the store, and is it up?", "%v", err), nil
	}
	last := steps[len(steps)-1]
	if app.Pending(steps) != nil {
		return problem("make a backup, then agentidp migrate up; replicas of the version before go on serving", "%s is not applied", last.Name), nil
	}
	db, err := app.OpenCondition(ctx, cfg)
	switch {
	case errors.Is(err, app.ErrOtherSchema):
		return problem("use the release that has migrated it; the way back is a backup from before: docs/runbooks/restore.md", "%v", err), nil
	case err != nil:
		return problem("the store cannot be served from either: mend what it says", "%v", err), nil
	default:
		return ok("version %d, which this program knows", last.Version), db
	}
}

func masterKeyOf(ctx context.Context, db *app.Condition) finding {
	if err := db.Keys(ctx); err != nil {
		return problem("set AGENTIDP_MASTER_KEY, or put back master.key, as it was when the keys were made", "%v", err)
	}
	return ok("opens every signing key")
}

func logOf(ctx context.Context, db *app.Condition) finding {
	held, err := db.Log(ctx)
	if err != nil {
		return problem("agentidp audit verify --offline says where; after a restore: docs/runbooks/restore.md", "%v", err)
	}
	return ok("%s, the latest checkpoint covers %d and agrees", counted(held.Events, "event"), held.Signed)
}

func countsOf(ctx context.Context, db *app.Condition) finding {
	wrong, err := db.Miscounted(ctx)
	switch {
	case err != nil:
		return problem("try again when the database has less to do", "%v", err)
	case wrong > 0:
		return problem("find out who else writes to the tables, and report it: totals of lists and the overview are wrong by it, nothing else is",
			"%d of the counts of agents and credentials are not what is there", wrong)
	default:
		return ok("agents and credentials are as many as is said")
	}
}
