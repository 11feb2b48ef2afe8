package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/apierr"
)

// importBatch is how many credentials one commit imports.
const importBatch = 100

// ImportLine is one credential of an import, as it was read.
type ImportLine struct {
	Number     int // of the line, from 1
	ClientID   string
	AgentID    string
	SecretHash string // bcrypt; see clientauth.ImportBcrypt
	ExpiresAt  string // RFC 3339; empty: never
}

// BadLine is one rule that a line breaks.
type BadLine struct {
	Number int
	Field  string
	Rule   string
}

// BadLines is the error of an import that imports nothing: every rule broken, in
// the order of the lines.
type BadLines []BadLine

func (b BadLines) Error() string {
	return fmt.Sprintf("%d problems, the first on line %d: %s %s", len(b), b[0].Number, b[0].Field, b[0].Rule)
}

// ImportReport says what an import did, or would do.
type ImportReport struct {
	Imported int
	Present  int // lines that an earlier import brought
	MaxCost  int // the highest bcrypt cost among the lines
}

// ImportCredentials brings in credentials whose secrets another system hashed.
// Every line is checked first, against the store too; BadLines lists all that is
// wrong, and then nothing is imported. It commits 100 lines at a time: what is
// committed when the store fails stays, and the same import again skips it. A
// secret counts as new for MaxCredentialAge. Only checking, it changes nothing.
func (s *Service) ImportCredentials(ctx context.Context, lines []ImportLine, onlyCheck bool) (ImportReport, error) {
	in := importing{now: s.now(), limit: s.limits.Credentials, agents: map[string]*importAgent{}, lines: map[string]int{}}
	var fresh []importRow
	for begin := 0; begin < len(lines); begin += importBatch {
		batch := lines[begin:min(begin+importBatch, len(lines))]
		err := s.view(ctx, func(ctx context.Context, tx *store.Tx) error {
			for i := range batch {
				row, err := in.check(ctx, tx, &batch[i])
				if err != nil {
					return err
				}
				if row.credential.ID != "" {
					fresh = append(fresh, row)
				}
			}
			return nil
		})
		if err != nil {
			return ImportReport{}, err
		}
	}
	if in.bad != nil {
		return ImportReport{}, in.bad
	}
	report := ImportReport{Present: in.present, MaxCost: in.maxCost}
	if onlyCheck {
		report.Imported = len(fresh)
		return report, nil
	}
	for begin := 0; begin < len(fresh); begin += importBatch {
		batch := fresh[begin:min(begin+importBatch, len(fresh))]
		if err := s.importBatch(ctx, batch); err != nil {
			return report, fmt.Errorf("%d of %d credentials are imported, the same import again brings the rest: %w", report.Imported, len(fresh), err)
		}
		report.Imported += len(batch)
	}
	return report, nil
}

// importRow is a line that is right.
type importRow struct {
	number     int
	credential idp.Credential
}

func (s *Service) importBatch(ctx context.Context, batch []importRow) error {
	// Past Actor.Commit: whoever holds the data folder asks, without a token.
	return s.log.Commit(ctx, func(ctx context.Context, tx *store.Tx) ([]idp.Event, error) {
		events, system, seen := make([]idp.Event, len(batch)), Actor{}, map[string]bool{}
		for i := range batch {
			c := &batch[i].credential
			if !seen[c.AgentID] { // asked again: this transaction decides
				agent, err := tx.Agents.Get(ctx, c.OrganizationID, c.AgentID)
				if err != nil || agent.Status == idp.Decommissioned {
					return nil, changedMeanwhile(batch[i].number, err)
				}
				seen[c.AgentID] = true
			}
			if err := tx.Credentials.Insert(ctx, *c); err != nil {
				return nil, changedMeanwhile(batch[i].number, err)
			}
			more := map[string]any{"scheme": c.Secret.Scheme}
			if !c.ExpiresAt.IsZero() {
				more["expiresAt"] = c.ExpiresAt.Format(idp.TimeLayout)
			}
			events[i] = system.Event(idp.ActionCredentialImported, c.OrganizationID, credentialMetadata(c, more))
		}
		return events, nil
	})
}

// changedMeanwhile names the line that was right when it was checked.
func changedMeanwhile(number int, err error) error {
	if err == nil || errors.Is(err, idp.ErrNotFound) || errors.Is(err, idp.ErrConflict) {
		return apierr.New(apierr.InvalidState, "line %d: agent or client id changed while the import ran", number).WithReason("import_overtaken")
	}
	return fmt.Errorf("line %d: %w", number, err)
}

// importAgent is what is known of an agent that lines name.
type importAgent struct {
	agent  idp.Agent // zero: there is none
	usable int       // credentials that can authenticate, the lines' own too
}

// importing collects what is wrong with the lines of one import.
type importing struct {
	now     time.Time
	limit   int // credentials per agent; 0: none
	agents  map[string]*importAgent
	lines   map[string]int // by client id
	bad     BadLines
	present int
	maxCost int
}

var importedClientID = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

const maxImportedClientID = 128 // bytes

// check makes the line a row, which has no id when the line is bad or present.
// Only the store's failure is an error.
func (in *importing) check(ctx context.Context, tx *store.Tx, line *ImportLine) (importRow, error) {
	broken := len(in.bad)
	breaks := func(field, rule string) { in.bad = append(in.bad, BadLine{line.Number, field, rule}) }
	if len(line.ClientID) > maxImportedClientID || !importedClientID.MatchString(line.ClientID) {
		breaks("clientId", "must be 1 to 128 of A-Z, a-z, 0-9, dot, underscore, tilde and hyphen")
	} else if first, twice := in.lines[line.ClientID]; twice {
		breaks("clientId", fmt.Sprintf("is on line %d already", first))
	} else {
		in.lines[line.ClientID] = line.Number
	}
	hash, err := clientauth.ImportBcrypt(line.SecretHash)
	if err != nil {
		breaks("secretHash", err.Error())
	}
	expires, rule := in.expiry(line.ExpiresAt)
	if rule != "" {
		breaks("expiresAt", rule)
	}
	holder, err := in.holder(ctx, tx, line.AgentID)
	if err != nil {
		return importRow{}, err
	}
	switch {
	case holder.agent.ID == "":
		breaks("agentId", "must be an agent")
	case holder.agent.Status == idp.Decommissioned:
		breaks("agentId", "must not be decommissioned")
	}
	if len(in.bad) > broken {
		return importRow{}, nil
	}
	in.maxCost = max(in.maxCost, clientauth.BcryptCost(hash))
	taken, err := tx.Credentials.Gate(ctx, line.ClientID)
	switch {
	case err == nil && taken.Credential.AgentID == line.AgentID && taken.Credential.Secret == hash:
		in.present++
		return importRow{}, nil
	case err == nil:
		breaks("clientId", "is taken")
		return importRow{}, nil
	case !errors.Is(err, idp.ErrNotFound):
		return importRow{}, err
	case in.limit > 0 && holder.usable >= in.limit:
		breaks("agentId", fmt.Sprintf("would have more than %d live credentials", in.limit))
		return importRow{}, nil
	}
	holder.usable++
	row := importRow{line.Number, newCredential(holder.agent.OrganizationID, line.AgentID, hash, in.now)}
	row.credential.ClientID, row.credential.ExpiresAt = line.ClientID, expires
	return row, nil
}

func (in *importing) expiry(text string) (expires time.Time, rule string) {
	if text == "" {
		return time.Time{}, ""
	}
	expires, err := time.Parse(time.RFC3339, text)
	if err != nil || expires.UTC().Year() > 9999 {
		return time.Time{}, "must be a time in RFC 3339 such as 2026-07-01T12:00:00Z"
	}
	if broken := idp.CheckExpiry(expires, in.now); broken != nil {
		return time.Time{}, broken[0].Text
	}
	return idp.Time(expires), ""
}

// holder reads an agent that lines name, once.
func (in *importing) holder(ctx context.Context, tx *store.Tx, id string) (*importAgent, error) {
	if known := in.agents[id]; known != nil {
		return known, nil
	}
	agent, err := tx.Agents.Get(ctx, store.AnyOrganization, id)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return nil, err
	}
	holder := &importAgent{}
	if err == nil {
		holder.agent = agent
		live, err := tx.Credentials.Live(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, c := range live {
			if c.Usable(in.now, 0) {
				holder.usable++
			}
		}
	}
	in.agents[id] = holder
	return holder, nil
}
