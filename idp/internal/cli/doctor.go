package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	agentidp "github.com/sentryagent/agentidp/sdk/go"
	"github.com/sentryagent/agentidp/shared/command"
)

// finding is what one check found.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, WRONG or skipped
	What   string `json:"what"`
	Do     string `json:"do,omitempty"` // what to do about it
}

// The statuses of findings.
const (
	fine    = "ok"
	wrong   = "WRONG"
	skipped = "skipped"
)

func ok(format string, args ...any) finding {
	return finding{Status: fine, What: fmt.Sprintf(format, args...)}
}

func problem(do, format string, args ...any) finding {
	return finding{Status: wrong, What: fmt.Sprintf(format, args...), Do: do}
}

func skip(format string, args ...any) finding {
	return finding{Status: skipped, What: fmt.Sprintf(format, args...)}
}

// examination is one run of doctor. What a check learns, later ones use.
type examination struct {
	*session
	http *http.Client
	now  func() time.Time

	answer   *http.Response // of /health
	asked    time.Time      // when that was sent, and how long it took
	took     time.Duration
	metadata agentidp.Metadata
	jwks     agentidp.JWKS
	keys     *agentidp.KeyList // nil: not to be seen
	self     *agentidp.Agent   // who is logged in; nil: nobody who gets a token
}

var errUnwell = errors.New("something is wrong")

func (p program) doctor() *cobra.Command {
	cmd := p.doctorOffline("Check a deployment, and say what is wrong and what to do", `Doctor looks at a deployment from where you are: reachability, health, TLS, clock, discovery and
keys, the credential, quotas, sidecars, and the signed checkpoint of the audit log,
which must extend the one that doctor saw the last time from here. It changes nothing there.
What the profile's agent may not see is skipped. Exit status 0: nothing is wrong, 1:
something is.

With --offline it looks at the store instead, with the settings of the IdP, which may serve
meanwhile: whether the schema is of this release, the master key opens the keys, the tree
of the audit log agrees with what was signed last, here and in the data folder, and whether
agents and credentials are as many as the counts say.`)
	cmd.Example = "  agentidp doctor\n  agentidp doctor --profile prod -o json\n  agentidp doctor --offline --data-dir ./data"
	cmd = p.either(cmd, briefly, func(ctx context.Context, s *session, _ []string) error {
		client, err := s.connection.http()
		if err != nil {
			return err
		}
		x := &examination{session: s, http: client, now: time.Now}
		return x.run(ctx)
	})
	cmd.Args = takes()
	cmd.Flags().Lookup("offline").Usage = "look at the store instead; the IdP may serve meanwhile, and every setting of serve is a flag"
	return cmd
}

// run makes every check. Without an answer at all there is nothing more to check.
func (x *examination) run(ctx context.Context) error {
	var findings []finding
	for _, check := range []struct {
		name  string
		check func(context.Context) finding
	}{
		{"reachable", x.reachable}, {"health", x.health}, {"tls", x.tls}, {"clock", x.clock}, {"discovery", x.discovery}, {"keys published", x.published},
		{"credential", x.credential}, {"credential's end", x.ending}, {"quota", x.quota}, {"signing keys", x.signing}, {"sidecars", x.fleet},
		{"policy", x.policy}, {"audit log", x.log},
	} {
		f := check.check(ctx)
		f.Check, f.What, f.Do = check.name, plain(f.What), plain(f.Do)
		findings = append(findings, f)
		if x.answer == nil {
			break
		}
	}
	return concluded(x.out, findings)
}

// concluded shows the findings, and fails when something is wrong.
func concluded(out output, findings []finding) error {
	if err := report(out, findings); err != nil {
		return err
	}
	sick := 0
	for _, f := range findings {
		if f.Status == wrong {
			sick++
		}
	}
	if sick > 0 {
		return &failure{text: fmt.Sprintf("%v: %d of %d checks", errUnwell, sick, len(findings)), status: command.ExitFailed, cause: errUnwell}
	}
	return nil
}

func report(out output, findings []finding) error {
	if out.json {
		return out.write(findings)
	}
	rows := [][]string{}
	for _, f := range findings {
		rows = append(rows, []string{f.Check, f.Status, f.What})
		if f.Do != "" {
			rows = append(rows, []string{" ", " ", "→ " + f.Do})
		}
	}
	return out.table(nil, rows)
}

// denied makes a finding of an error: what may not be seen is skipped.
func denied(err error, what string) finding {
	var refused *agentidp.Error
	if errors.As(err, &refused) && exitStatus(refused) == exitNotAllowed {
		return skip("the profile's agent may not see %s", what)
	}
	return problem("try again; the IdP's log has the cause", "%s: %v", what, explain(err))
}

func (x *examination) reachable(ctx context.Context) finding {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, x.URL()+"/health/live", nil)
	if err != nil {
		return problem("correct the URL: agentidp login --url", "%v", err)
	}
	x.asked = x.now()
	answer, err := x.http.Do(request)
	if err != nil {
		return problem("is the IdP running, the name right, the port open, the certificate of an authority that is known here (--ca-file)?", "%v", err)
	}
	x.took = x.now().Sub(x.asked)
	if err := answer.Body.Close(); err != nil {
		return problem("look at what is between here and the IdP", "%v", err)
	}
	x.answer = answer
	if answer.StatusCode != http.StatusOK {
		return problem("is something else answering at that URL?", "%s answers %s", x.URL(), answer.Status)
	}
	return ok("%s answers in %s", x.URL(), x.took.Round(time.Millisecond))
}

func (x *examination) health(ctx context.Context) finding {
	health, err := x.Health(ctx)
	if err != nil {
		return problem("is something else answering at that URL?", "%v", explain(err))
	}
	var ill []string
	for name, dependency := range health.Dependencies {
		if dependency.Status != agentidp.HealthOK {
			ill = append(ill, fmt.Sprintf("%s is %s (%s)", name, dependency.Status, dependency.Reason))
		}
	}
	if health.Status != agentidp.HealthOK || len(ill) > 0 {
		return problem("docs/operations.md and the IdP's log say more", "%s: %s", health.Status, strings.Join(ill, ", "))
	}
	return ok("version %s, %d dependencies are ok", health.Version, len(health.Dependencies))
}
