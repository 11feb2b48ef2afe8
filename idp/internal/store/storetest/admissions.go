package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/store"
	"github.com/sentryagent/agentidp/shared/capability"
)

// admission asks for a token as the gate stood when a and c were inserted under o.
func admission(o idp.Organization, a idp.Agent, c idp.Credential, at time.Time) store.Admission {
	return store.Admission{
		ClientID: c.ClientID, AgentID: a.ID, Gate: (&store.Gate{Credential: c, Agent: a, Organization: o}).Version(), KeyID: signer, At: at, MonthlyLimit: 100,
	}
}

// admit returns the verdicts of one batch in one transaction.
func admit(t *testing.T, db store.DB, batch ...store.Admission) []store.AdmissionResult {
	t.Helper()
	var results []store.AdmissionResult
	update(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		results, err = tx.Admissions.Admit(ctx, batch)
		return err
	})
	return results
}

func tokensUsed(t *testing.T, db store.DB, agentID string, at time.Time) int64 {
	t.Helper()
	return read(t, db, func(ctx context.Context, tx *store.Tx) (int64, error) {
		return tx.Agents.TokensUsed(ctx, agentID, at)
	})
}

var admissionFacts = []fact{
	{"an admitted token is counted and stamped, and nothing else moves", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		require.Equal(t, []store.AdmissionResult{store.Admitted}, admit(t, b.DB, admission(o, a, c, zoned)))
		a.LastAuthAt, c.LastUsedAt = noon, noon
		require.Equal(t, a, getAgent(t, b.DB, "acme", a.ID))
		require.Equal(t, c, getCredential(t, b.DB, a.ID, c.ID))
		require.Equal(t, int64(1), tokensUsed(t, b.DB, a.ID, noon))
		require.Zero(t, tokensUsed(t, b.DB, "other", noon))
	}},
	{"an empty batch is answered", func(t *testing.T, b Backend) { require.Empty(t, admit(t, b.DB)) }},
	{"whatever moved since the gate refuses, and a refusal changes nothing", func(t *testing.T, b Backend) {
		insertSigner(t, b.DB)
		for name, move := range movesSinceTheGate {
			t.Run(name, func(t *testing.T) {
				o := organization("org-" + name)
				a := agent(o.ID, "agent-"+name)
				c := credential(a, name)
				insertOrganizations(t, b.DB, o)
				insertAgents(t, b.DB, a)
				insertCredentials(t, b.DB, c)
				asked := admission(o, a, c, noon)
				move(t, b.DB, a, c, &asked)
				require.Equal(t, []store.AdmissionResult{store.GateChanged}, admit(t, b.DB, asked))
				require.Zero(t, tokensUsed(t, b.DB, a.ID, noon))
				require.True(t, getAgent(t, b.DB, o.ID, a.ID).LastAuthAt.IsZero())
				require.True(t, getCredential(t, b.DB, a.ID, c.ID).LastUsedAt.IsZero())
			})
		}
	}},
	{"an expired credential refuses from its expiry on", func(t *testing.T, b Backend) {
		o, a, _ := seed(t, b.DB)
		c := credential(a, "short")
		c.ExpiresAt = noon
		insertCredentials(t, b.DB, c)
		require.Equal(t, []store.AdmissionResult{store.Admitted, store.GateChanged},
			admit(t, b.DB, admission(o, a, c, noon.Add(-time.Millisecond)), admission(o, a, c, noon)))
	}},
	{"a secret past the organization's age refuses, another method does not", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		keyed := credential(a, "keyed")
		keyed.Method, keyed.Secret = idp.MethodPrivateKey, idp.SecretHash{}
		insertCredentials(t, b.DB, keyed)
		end := noon.Add(o.MaxCredentialAge)
		require.Equal(t, []store.AdmissionResult{store.Admitted, store.GateChanged, store.Admitted},
			admit(t, b.DB, admission(o, a, c, end.Add(-time.Millisecond)), admission(o, a, c, end), admission(o, a, keyed, end)))
	}},
	{"a key that is not active, or revoked by the feed, refuses", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		asked := admission(o, a, c, noon)
		unknown := asked
		unknown.KeyID = "other"
		require.Equal(t, []store.AdmissionResult{store.KeyChanged, store.Admitted, store.KeyChanged}, admit(t, b.DB, unknown, asked, unknown))
		for _, status := range []store.KeyStatus{store.KeyNext, store.KeyRetired, store.KeyRevoked} {
			update(t, b.DB, func(ctx context.Context, tx *store.Tx) error { return tx.Keys.SetStatus(ctx, signer, status, noon) })
			require.Equal(t, []store.AdmissionResult{store.KeyChanged}, admit(t, b.DB, asked), status)
		}
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			return tx.Keys.SetStatus(ctx, signer, store.KeyActive, noon)
		})
		require.Equal(t, []store.AdmissionResult{store.Admitted}, admit(t, b.DB, asked))
		update(t, b.DB, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Revocations.Append(ctx, idp.Revocation{Type: idp.RevokeKID, ID: signer, Reason: "test", At: noon})
			return err
		})
		require.Equal(t, []store.AdmissionResult{store.KeyChanged}, admit(t, b.DB, asked))
		require.Equal(t, int64(2), tokensUsed(t, b.DB, a.ID, noon))
	}},
	{"last use is written at most once a minute", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		second := credential(a, "second")
		insertCredentials(t, b.DB, second)
		for _, step := range []struct {
			asked           idp.Credential
			after           time.Duration
			auth, one, both time.Duration // LastAuthAt, and LastUsedAt of the two credentials; -1: never
		}{
			{c, 0, 0, 0, -1},
			{c, 59_999 * time.Millisecond, 0, 0, -1},
			{second, 59_999 * time.Millisecond, 0, 0, 59_999 * time.Millisecond},
			{c, time.Minute, time.Minute, time.Minute, 59_999 * time.Millisecond},
			{c, time.Second, time.Minute, time.Minute, 59_999 * time.Millisecond}, // the clock went back
		} {
			admit(t, b.DB, admission(o, a, step.asked, noon.Add(step.after)))
			require.Equal(t, noon.Add(step.auth), getAgent(t, b.DB, "acme", a.ID).LastAuthAt)
			require.Equal(t, noon.Add(step.one), getCredential(t, b.DB, a.ID, c.ID).LastUsedAt)
			if step.both < 0 {
				require.True(t, getCredential(t, b.DB, a.ID, second.ID).LastUsedAt.IsZero())
			} else {
				require.Equal(t, noon.Add(step.both), getCredential(t, b.DB, a.ID, second.ID).LastUsedAt)
			}
		}
	}},
	{"last use is written at most once a minute within a batch too", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		second := credential(a, "second")
		insertCredentials(t, b.DB, second)
		at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
		admit(t, b.DB, admission(o, a, c, at(0)), admission(o, a, second, at(30)), admission(o, a, c, at(60)), admission(o, a, second, at(89)))
		require.Equal(t, at(60), getAgent(t, b.DB, "acme", a.ID).LastAuthAt)
		require.Equal(t, at(60), getCredential(t, b.DB, a.ID, c.ID).LastUsedAt)
		require.Equal(t, at(30), getCredential(t, b.DB, a.ID, second.ID).LastUsedAt)
		admit(t, b.DB, admission(o, a, second, at(91)), admission(o, a, c, at(119)))
		require.Equal(t, at(60), getAgent(t, b.DB, "acme", a.ID).LastAuthAt)
		require.Equal(t, at(91), getCredential(t, b.DB, a.ID, second.ID).LastUsedAt)
	}},
	{"an assertion is used up by the one admission that passes", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		second := credential(a, "second")
		insertCredentials(t, b.DB, second)
		asserted := func(c idp.Credential, jti string) store.Admission {
			asked := admission(o, a, c, noon)
			asked.Assertion = store.AssertionUse{JTI: jti, Expires: noon.Add(time.Minute)}
			return asked
		}
		once := asserted(c, "once")
		stale, full, unsigned := once, once, once
		stale.Gate.Credential, full.MonthlyLimit, unsigned.KeyID = c.Version+1, 1, "other"
		require.Equal(t, []store.AdmissionResult{store.Admitted}, admit(t, b.DB, admission(o, a, c, noon)))
		require.Equal(t, []store.AdmissionResult{store.GateChanged, store.QuotaExceeded, store.KeyChanged}, admit(t, b.DB, stale, full, unsigned), "refused ones use nothing up")
		require.Equal(t, []store.AdmissionResult{store.Admitted, store.Replayed, store.Admitted, store.Admitted},
			admit(t, b.DB, once, once, asserted(c, "ONCE"), asserted(second, "once")), "byte for byte, per client")
		require.Equal(t, []store.AdmissionResult{store.Replayed}, admit(t, b.DB, once), "in another transaction")
		require.Equal(t, []store.AdmissionResult{store.GateChanged, store.QuotaExceeded}, admit(t, b.DB, stale, full), "the other verdicts come first")
		refuse(t, b.DB, idp.ErrConflict, use(c.ClientID, "once", noon))
		update(t, b.DB, use(c.ClientID, "used", noon))
		require.Equal(t, []store.AdmissionResult{store.Replayed}, admit(t, b.DB, asserted(c, "used")), "used up elsewhere")
		require.Equal(t, int64(4), tokensUsed(t, b.DB, a.ID, noon), "a replay is not counted")
	}},
	{"an assertion is used up once by many writers", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		asked := admission(o, a, c, noon)
		asked.Assertion = store.AssertionUse{JTI: "once", Expires: noon.Add(time.Minute)}
		verdicts := make(chan store.AdmissionResult, 8)
		for range cap(verdicts) {
			go func() {
				var results []store.AdmissionResult
				err := b.DB.Update(context.WithoutCancel(t.Context()), func(ctx context.Context, tx *store.Tx) (err error) {
					results, err = tx.Admissions.Admit(ctx, []store.Admission{asked})
					return err
				})
				if err != nil {
					results = []store.AdmissionResult{store.AdmissionResult(err.Error())}
				}
				verdicts <- results[0]
			}()
		}
		count := map[store.AdmissionResult]int{}
		for range cap(verdicts) {
			count[<-verdicts]++
		}
		require.Equal(t, map[store.AdmissionResult]int{store.Admitted: 1, store.Replayed: cap(verdicts) - 1}, count)
		require.Equal(t, int64(1), tokensUsed(t, b.DB, a.ID, noon))
	}},
	{"verdicts come in the order of the batch", func(t *testing.T, b Backend) {
		o, a, c := seed(t, b.DB)
		good, stale, full := admission(o, a, c, noon), admission(o, a, c, noon), admission(o, a, c, noon)
		stale.Gate.Credential, full.MonthlyLimit = c.Version+1, 1
		require.Equal(t, []store.AdmissionResult{store.GateChanged, store.Admitted, store.QuotaExceeded, store.Admitted, store.GateChanged},
			admit(t, b.DB, stale, good, full, good, stale))
		require.Equal(t, int64(2), tokensUsed(t, b.DB, a.ID, noon))
	}},
	{"a batch of 500 from 50 clients is admitted whole", func(t *testing.T, b Backend) {
		o := organization("acme")
		insertOrganizations(t, b.DB, o)
		insertSigner(t, b.DB)
		var batch []store.Admission
		for i := range 50 {
			a := agent("acme", fmt.Sprintf("agent-%d", i))
			c := credential(a, fmt.Sprint(i))
			insertAgents(t, b.DB, a)
			insertCredentials(t, b.DB, c)
			for range 10 {
				batch = append(batch, admission(o, a, c, noon))
			}
		}
		for _, result := range admit(t, b.DB, batch...) {
			require.Equal(t, store.Admitted, result)
		}
		require.Equal(t, int64(10), tokensUsed(t, b.DB, "agent-49", noon))
	}},
}

// movesSinceTheGate changes one thing between the gate and the admission.
var movesSinceTheGate = map[string]func(t *testing.T, db store.DB, a idp.Agent, c idp.Credential, asked *store.Admission){
	"suspended": func(t *testing.T, db store.DB, a idp.Agent, _ idp.Credential, asked *store.Admission) {
		a.Status = idp.Suspended
		asked.Gate.Agent++ // so that the status alone refuses
		update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, a) })
	},
	"decommissioned": func(t *testing.T, db store.DB, a idp.Agent, _ idp.Credential, asked *store.Admission) {
		a.Status = idp.Decommissioned
		asked.Gate.Agent++
		update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, a) })
	},
	"another capability": func(t *testing.T, db store.DB, a idp.Agent, _ idp.Credential, _ *store.Admission) {
		a.Capabilities = capability.Set{"notes:write"}
		update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, a) })
	},
	"another plan": func(t *testing.T, db store.DB, a idp.Agent, _ idp.Credential, _ *store.Admission) {
		o := organization(a.OrganizationID)
		o.Plan = idp.PlanCustom
		update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Organizations.Update(ctx, o) })
	},
	"agent epoch": func(t *testing.T, db store.DB, a idp.Agent, _ idp.Credential, asked *store.Admission) {
		a.Epoch++
		asked.Gate.Agent++ // so that the epoch alone refuses
		update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Agents.Update(ctx, a) })
	},
	"organization epoch": func(t *testing.T, db store.DB, a idp.Agent, _ idp.Credential, _ *store.Admission) {
		update(t, db, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Organizations.RaiseEpoch(ctx, a.OrganizationID)
			return err
		})
	},
	"credential epoch": func(t *testing.T, db store.DB, _ idp.Agent, c idp.Credential, asked *store.Admission) {
		c.Epoch++
		asked.Gate.Credential++ // so that the epoch alone refuses
		update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Update(ctx, c) })
	},
	"rotated": func(t *testing.T, db store.DB, _ idp.Agent, c idp.Credential, _ *store.Admission) {
		c.Secret.Encoded = "fresh"
		update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Update(ctx, c) })
	},
	"revoked": func(t *testing.T, db store.DB, _ idp.Agent, c idp.Credential, asked *store.Admission) {
		c.Status = idp.CredentialRevoked
		asked.Gate.Credential++
		update(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.Credentials.Update(ctx, c) })
	},
	"other agent": func(_ *testing.T, _ store.DB, _ idp.Agent, _ idp.Credential, asked *store.Admission) {
		asked.AgentID = "other"
	},
	"unknown client": func(_ *testing.T, _ store.DB, _ idp.Agent, _ idp.Credential, asked *store.Admission) {
		asked.ClientID = "none"
	},
}
