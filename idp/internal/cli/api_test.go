package cli_test

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
)

// One IdP serves all: starting one is what takes time.
func TestCommandsOverTheAPI(t *testing.T) {
	w := newWorld(t)
	for _, fact := range []struct {
		name  string
		check func(*world)
	}{
		{"agents", agentsFact}, {"credentials", credentialsFact}, {"tokens", tokensFact}, {"audit", auditFact}, {"keys", keysFact},
		{"organizations", organizationsFact}, {"policies", policiesFact}, {"errors say what to do", errorsFact}, {"completion", completionFact}, {"doctor", doctorFact},
		{"revocations", revocationsFact}, {"emergency", emergencyFact},
	} {
		t.Run(fact.name, func(t *testing.T) {
			in := *w
			in.T = t
			fact.check(&in)
		})
	}
}

func agentsFact(w *world) {
	table := w.run("agents", "list")
	require.Regexp(w, `^AGENT ID +EMAIL +TYPE +ENVIRONMENT +STATUS +CAPABILITIES +LAST TOKEN\n`, table)
	require.Contains(w, table, w.screen.AgentID+"  screener-001@example.com  custom")
	require.NotContains(w, table, "\x1b", "no colour without a terminal")
	require.Equal(w, 1, strings.Count(w.run("agents", "list", "--capability", "notes:write"), "@"))

	var listed []any
	require.NoError(w, json.Unmarshal([]byte(w.run("agents", "list", "-o", "json", "--sort", "email")), &listed))
	require.Equal(w, w.api("/api/v1/agents?sort=email")["data"], listed)
	require.NoError(w, json.Unmarshal([]byte(w.run("agents", "list", "-o", "json", "--limit", "1")), &listed))
	require.Len(w, listed, 1)

	created := w.object("agents", "create", "--email", "new@example.com", "--type", "router", "--capabilities", "notes:read,notes:write", "--metadata", `{"team":"a&b","n":1e3}`)
	id := created["agentId"].(string)
	require.Equal(w, w.api("/api/v1/agents/"+id), created)
	require.Equal(w, created, w.object("agents", "get", "NEW@example.com"))
	shown := w.run("agents", "get", id)
	require.Regexp(w, `(?m)^status +active$`, shown)
	require.Regexp(w, `(?m)^tokens in \d{4}-\d\d +0 of 10000$`, shown)

	require.Equal(w, []any{"mail:send", "notes:write"}, w.object("agents", "update", id, "--add-capability", "mail:send", "--remove-capability", "notes:read")["capabilities"])
	updated := w.object("agents", "update", id, "--capabilities", "", "--metadata", "null", "--owner", "platform")
	require.Empty(w, updated["capabilities"])
	require.NotContains(w, updated, "metadata")
	require.Equal(w, "platform", updated["owner"])
	w.fails(2, "agents", "update", id, "--capabilities", "a:b", "--add-capability", "c:d")
	w.fails(2, "agents", "update", id, "--metadata", "{")
	require.Equal(w, "https://agents.example.com/jwks.json", w.object("agents", "update", id, "--jwks-uri", "https://agents.example.com/jwks.json")["jwksUri"])
	require.NotContains(w, w.object("agents", "update", id, "--jwks-uri", "null"), "jwksUri")

	require.Equal(w, "suspended", w.object("agents", "suspend", id, "--reason", "incident 4711")["status"])
	require.Contains(w, w.fails(1, "agents", "reactivate", id, "--reason", "über"), "printable ASCII")
	require.Equal(w, "active", w.object("agents", "reactivate", "new@example.com")["status"])
	require.Contains(w, w.fails(2, "agents", "decommission", id), "say --yes")
	_, stderr := w.input("", 0, "agents", "decommission", id, "--yes", "--reason", "over")
	require.Contains(w, stderr, "Agent new@example.com ("+id+") ends for good")
	require.Equal(w, "decommissioned", w.api("/api/v1/agents/" + id)["status"])
	require.Contains(w, w.run("agents", "list", "--status", "decommissioned"), id)
	w.recorded("agent.suspended", "incident 4711")
	require.Regexp(w, `agent.suspended +success +- +admin@localhost +`+id+` `, w.run("audit", "list", "--action", "agent.suspended"), "who is decommissioned is not on the list")
	w.recorded("agent.decommissioned", "over")
	done := w.run("audit", "list", "--target", id)
	require.Contains(w, done, "agent.decommissioned")
	require.Contains(w, done, "agent.created")
	require.NotContains(w, w.run("audit", "list", "--target", id, "--action", "agent.created"), "agent.decommissioned")
}

var secretForm = regexp.MustCompile(`aidp_sk_[0-9A-Za-z]{49}`)

func credentialsFact(w *world) {
	stdout, stderr := w.input("", 0, "credentials", "create", "screener-001@example.com", "--expires", "48h")
	require.Len(w, secretForm.FindAllString(stdout, -1), 1)
	require.NotRegexp(w, secretForm, stderr)
	require.Contains(w, stderr, "shown this once")
	clientID := regexp.MustCompile(`aidp_c_\w{22}`).FindString(stdout)

	listed := w.run("credentials", "list", w.screen.AgentID)
	require.NotRegexp(w, secretForm, listed)
	require.Contains(w, listed, clientID)
	var all []any
	require.NoError(w, json.Unmarshal([]byte(w.run("credentials", "list", w.screen.AgentID, "-o", "json")), &all))
	require.Equal(w, w.api("/api/v1/agents/" + w.screen.AgentID + "/credentials")["data"], all)

	file := filepath.Join(w.TempDir(), "secret")
	stdout, stderr = w.input("", 0, "credentials", "rotate", w.screen.AgentID, clientID, "--overlap", "1h", "--secret-file", file, "-o", "json")
	require.NotRegexp(w, secretForm, stdout+stderr)
	var rotated struct{ PreviousSecretExpiresAt string }
	require.NoError(w, json.Unmarshal([]byte(stdout), &rotated))
	require.NotEmpty(w, rotated.PreviousSecretExpiresAt)
	require.Regexp(w, `(?m)^`+"CREDENTIAL ID .* OLD SECRET ENDS$", w.run("credentials", "list", w.screen.AgentID))
	require.Contains(w, w.run("credentials", "list", w.screen.AgentID), rotated.PreviousSecretExpiresAt)
	content, err := os.ReadFile(file)
	require.NoError(w, err)
	require.Regexp(w, secretForm, string(content))
	info, err := os.Stat(file)
	require.NoError(w, err)
	require.Equal(w, os.FileMode(0o600), info.Mode().Perm())
	require.Contains(w, w.fails(1, "credentials", "rotate", w.screen.AgentID, clientID, "--secret-file", file), "name another file")
	w.fails(3, "credentials", "rotate", w.screen.AgentID, "aidp_c_0000000000000000000000")
	w.fails(2, "credentials", "create", w.screen.AgentID, "--expires", "tomorrow")
	require.Contains(w, w.fails(1, "credentials", "create", w.screen.AgentID, "--private-key-jwt"), "neither jwks nor jwksUri")

	w.fails(2, "credentials", "revoke", w.screen.AgentID, clientID)
	_, stderr = w.input("", 0, "credentials", "revoke", w.screen.AgentID, clientID, "--yes", "--revoke-tokens", "--reason", "leaked")
	w.recorded("credential.revoked", "leaked")
	require.Contains(w, stderr, "its live tokens die")
	require.Contains(w, w.run("credentials", "list", w.screen.AgentID), "revoked")

	// The profile's own credential: the profile goes on to work.
	_, stderr = w.input(w.other.ClientSecret, 0, "login", "--profile", "self", "--url", w.idp.URL, "--client-id", w.other.ClientID)
	require.Contains(w, stderr, `self is the current profile now: "agentidp profiles use default" goes back`)
	_, stderr = w.input("", 0, "credentials", "rotate", w.other.AgentID, w.other.ClientID, "--profile", "self")
	require.Contains(w, stderr, "profile self has the new secret")
	w.run("token", "get", "--profile", "self")
	w.run("profiles", "use", "default")
}

func tokensFact(w *world) {
	raw := w.run("token", "get", "--resource", "https://notes.example.com", "--scope", "agents:read")
	answer := w.object("token", "get")
	require.Equal(w, "Bearer", answer["token_type"])
	shown, _ := w.input(raw, 0, "token", "inspect")
	for _, line := range []string{`(?m)^verified +ok$`, `(?m)^aud +https://notes.example.com$`, `(?m)^exp +20\S+ \(in (59 minutes|1 hour)\)$`, `(?m)^typ +at\+jwt$`} {
		require.Regexp(w, line, shown)
	}
	require.NotContains(w, shown, strings.TrimSpace(raw))
	file := w.file("token.jwt", raw)
	w.run("token", "inspect", file, "--audience", "https://notes.example.com")
	require.Contains(w, w.fails(1, "token", "inspect", file, "--audience", "https://other.example.com"), "audience_mismatch")
	forged := w.file("forged.jwt", raw[:len(raw)-10]+"AAAAAAAAA\n")
	require.Contains(w, w.fails(1, "token", "inspect", forged), "signature")
	require.Contains(w, w.fails(1, "token", "inspect", w.file("none", "nonsense")), "no JWT")
	w.fails(2, "token", "inspect", "-")

	// Nobody is asked.
	jwks, err := json.Marshal(w.api("/.well-known/jwks.json"))
	require.NoError(w, err)
	keys := w.file("jwks.json", string(jwks))
	var inspected struct {
		Valid  bool
		Header struct{ Typ string }
		Claims struct{ Iss string }
	}
	require.NoError(w, json.Unmarshal([]byte(w.run("token", "inspect", file, "--jwks-file", keys, "--issuer", w.idp.URL, "-o", "json", "--profile", "nobody")), &inspected))
	require.True(w, inspected.Valid)
	require.Equal(w, w.idp.URL, inspected.Claims.Iss)
	w.fails(2, "token", "inspect", file, "--jwks-file", keys)

	require.Regexp(w, `(?m)^state +active$`, w.run("token", "introspect", file))
	require.Empty(w, w.run("token", "revoke", file, "--reason", "found in a log"))
	w.recorded("token.revoked", "found in a log")
	require.Regexp(w, `(?m)^state +dead$`, w.run("token", "introspect", file))
	require.Equal(w, map[string]any{"active": false}, w.object("token", "introspect", file))
	require.Contains(w, w.fails(1, "token", "get", "--scope", "mars:land"), "invalid_scope")
}

func auditFact(w *world) {
	table := w.run("audit", "list", "--action", "agent.created", "--from", "1h")
	require.Regexp(w, `^SEQUENCE +TIME +ACTION +OUTCOME +REASON +AGENT +ABOUT +EVENT\n`, table)
	require.Contains(w, table, "agent.created")
	var listed []map[string]any
	require.NoError(w, json.Unmarshal([]byte(w.run("audit", "list", "--action", "agent.created", "--limit", "2", "-o", "json")), &listed))
	require.Equal(w, w.api("/api/v1/audit?limit=2&action=agent.created")["data"], []any{listed[0], listed[1]})
	event := listed[1]["eventId"].(string)
	require.Contains(w, w.run("audit", "list", "--search", event), event)
	require.Regexp(w, `agent.created +success +- +admin@localhost +other@example.com +\S{36}\n`, table, "people go by their emails")
	require.Regexp(w, `credential.created +success +- +admin@localhost +other@example.com `, w.run("audit", "tail", "--target", "other@example.com"))
	require.NotContains(w, w.run("audit", "list", "-o", "json"), "admin@localhost")
	require.Regexp(w, `token.issued +success +- +admin@localhost +agents:\* audit:\* .{30,}… +\S{36}\n`, w.run("audit", "list", "--limit", "1", "--action", "token.issued"), "of a token its scope, not its key")

	require.Len(w, strings.Split(strings.TrimSpace(w.run("audit", "tail", "-n", "3")), "\n"), 3)
	require.Contains(w, w.run("audit", "tail", "--agent", "other@example.com", "-o", "json", "-n", "1"), `"eventId"`)
	w.fails(2, "audit", "tail", "-n", "-1")
	w.fails(2, "audit", "list", "--from", "yesterday")

	key := w.object("keys", "list")["verifierKey"].(string)
	stdout, stderr := w.input("", 0, "audit", "get", event, "--proof", "--key", key)
	require.Contains(w, stdout, "agent.created")
	require.Contains(w, stderr, "proven: it is event ")
	require.Equal(w, w.api("/api/v1/audit/"+event), w.object("audit", "get", event))
	_, stranger, err := note.GenerateKey(rand.Reader, "other/audit")
	require.NoError(w, err)
	w.fails(1, "audit", "get", event, "--proof", "--key", stranger)

	out := filepath.Join(w.TempDir(), "audit.ndjson")
	w.run("audit", "export", "--out", out)
	require.Contains(w, w.run("audit", "verify", "--export", out, "--key", key), "proven: this is the whole log")
	require.Contains(w, w.run("audit", "export", "--out", "-", "--format", "csv"), "eventId")
	narrowed := filepath.Join(w.TempDir(), "narrowed.ndjson")
	w.run("audit", "export", "--out", narrowed, "--target", "other@example.com", "--action", "agent.created", "--from", "1h")
	require.Equal(w, 1, strings.Count(string(w.read(narrowed)), `"eventId"`))
	require.Contains(w, w.run("audit", "verify", "--export", narrowed, "--key", key), "NOT proven: that no event of the log done by others to "+w.other.AgentID+" of action agent.created from ")
	require.Contains(w, w.fails(1, "audit", "export", "--out", "-", "--outcome", "maybe"), "outcome must be one of")
	w.fails(2, "audit", "list", "--from", "1h", "--to", "2h")
	content, err := os.ReadFile(out)
	require.NoError(w, err)
	require.NoError(w, os.WriteFile(out, []byte(strings.Replace(string(content), "agent.created", "agent.creates", 1)), 0o600))
	require.Contains(w, w.fails(1, "audit", "verify", "--export", out, "--key", key), "NOT valid")
	w.fails(2, "audit", "verify", "--export", out)
	w.fails(2, "audit", "verify", "--data-dir", "/nowhere")
	empty := w.TempDir()
	for _, command := range [][]string{{"audit", "verify"}, {"audit", "export", "--out", "-"}, {"keys", "list"}, {"bootstrap", "reset"}} {
		require.Contains(w, w.fails(2, append(command, "--offline", "--data-dir", empty)...), "there is no store in "+empty)
	}
	made, err := os.ReadDir(empty)
	require.NoError(w, err)
	require.Empty(w, made, "nothing was made where nothing was")
	w.fails(2, "audit", "export")

	stdout, stderr = w.input("", 0, "audit", "verify")
	require.Regexp(w, `(?s)^valid: .*\n(1 later event belongs|\d+ later events belong) to the next checkpoint\n$`, stdout, "the export itself is one")
	require.Contains(w, stderr, key)
	_, stderr = w.input("", 0, "audit", "verify", "--key", key)
	require.NotContains(w, stderr, "own word")
}

func keysFact(w *world) {
	require.Equal(w, w.api("/api/v1/keys"), w.object("keys", "list"))
	require.Regexp(w, `^KID +STATUS +BITS +CREATED +SIGNS FROM +SIGNS UNTIL +VERIFIES UNTIL\n\S{43}  active`, w.run("keys", "list"))
	next := w.object("keys", "rotate")
	require.Equal(w, "next", next["status"])
	require.Equal(w, next["activateAt"], w.api("/api/v1/keys")["data"].([]any)[0].(map[string]any)["rotateAt"])
	w.fails(2, "keys", "list", "--data-dir", "/nowhere")
	w.fails(2, "keys", "emergency")
}

func organizationsFact(w *world) {
	stdout, stderr := w.input("", 0, "organizations", "create", "acme", "--name", "Acme Ltd", "--administrator", "admin@acme.example")
	require.Len(w, secretForm.FindAllString(stdout, -1), 1)
	require.NotRegexp(w, secretForm, stderr)
	require.Contains(w, w.run("organizations", "list"), "Acme Ltd")
	require.Equal(w, w.api("/api/v1/organizations/acme"), w.object("organizations", "get", "acme"))
	require.Regexp(w, `(?m)^agents +1 of 100$`, w.run("organizations", "get", "acme"))
	require.Equal(w, float64(7776000), w.object("organizations", "update", "acme", "--max-credential-age", "2160h", "--plan", "custom")["maxCredentialAge"])
	created := w.object("organizations", "create", "beta", "--name", "Beta")
	require.Regexp(w, secretForm, created["credential"].(map[string]any)["clientSecret"])
	file := filepath.Join(w.TempDir(), "secret")
	require.NotRegexp(w, secretForm, w.run("organizations", "create", "gamma", "--name", "Gamma", "--secret-file", file))
	w.fails(2, "organizations", "create", "delta")
	require.Contains(w, w.fails(1, "organizations", "create", "-", "--name", "x"), "organizationId")
}

func policiesFact(w *world) {
	require.Regexp(w, `(?m)^source +builtIn$`, w.run("policies", "get"))
	require.Equal(w, w.api("/api/v1/policies"), w.object("policies", "get"))
	require.Regexp(w, `(?m)^decision +allow$`, w.run("policies", "evaluate", "--agent", "screener-001@example.com", "--capability", "notes:read", "--path", "/notes"))
	decision := w.object("policies", "evaluate", "--scope", "notes:read", "--capability", "notes:write", "--method", "POST")
	require.Equal(w, false, decision["allow"])
	require.Equal(w, "capability_missing", decision["reason"])
	w.fails(2, "policies", "evaluate")
}

func revocationsFact(w *world) {
	require.Contains(w, w.fails(2, "revoke", "agent", w.screen.AgentID), "say --yes")
	raw := w.idp.Token(w.screen)
	_, stderr := w.input("", 0, "revoke", "agent", "screener-001@example.com", "--yes", "--reason", "incident_4711")
	require.Regexp(w, `All live tokens of agent screener-001@example.com .* Now that is \d+ live tokens of 1 active agents, with 0 sidecars connected`, stderr)
	require.Regexp(w, `(?m)^state +dead$`, w.run("token", "introspect", w.file("token", raw)))
	require.Equal(w, "credential", w.object("revoke", "credential", w.screen.ClientID, "--yes")["type"])
	require.Equal(w, "jti", w.object("revoke", "token", "some-jti", "--yes")["type"])
	_, stderr = w.input("", 0, "revoke", "organization", "acme", "--yes")
	require.Contains(w, stderr, "at most 0 live tokens of 1 active agents")
	w.fails(3, "revoke", "key", "nosuchkey", "--yes")
	listed := w.run("revoke", "list")
	require.Contains(w, listed, w.screen.AgentID)
	require.NotEmpty(w, w.object("revoke", "list")["entries"])
	require.Regexp(w, `^SIDECAR ID +NAME +AGENT ID +STATE +SEEN`, w.run("sidecars", "list"))
}

func emergencyFact(w *world) {
	_, stderr := w.input("", 0, "keys", "emergency", "--yes", "--reason", "incident_4712")
	require.Contains(w, stderr, "is revoked with every live token")
	require.Contains(w, w.run("keys", "list"), "active")
}

func errorsFact(w *world) {
	missing := "3f2b8c1e-6f0a-4d0e-9a53-0d8b8a7c1f11"
	require.Regexp(w, `^agentidp: NOT_FOUND: .* \[request [\w.-]+\]: check the id`, w.fails(3, "agents", "get", missing))
	require.Contains(w, w.fails(3, "agents", "get", "nobody@example.com"), "agentidp agents list")
	require.Regexp(w, `AGENT_ALREADY_EXISTS: .* \[request .*\]: another email`, w.fails(1, "agents", "create", "--email", "screener-001@example.com"))
	require.Regexp(w, `VALIDATION_FAILED: .*; capabilities\[0\] .*\[request`, w.fails(1, "agents", "create", "--email", "x@example.com", "--capabilities", "nonsense"))
	w.fails(2, "agents", "get")
	w.fails(2, "agents", "list", "-o", "xml")
	w.fails(2, "agents", "list", "--profile", "nobody")

	w.logIn("screener", w.screen)
	require.Regexp(w, `FORBIDDEN: .*: the profile's agent lacks a capability`, w.fails(4, "agents", "list"))
	w.run("agents", "suspend", w.screen.AgentID, "--profile", "default")
	require.Contains(w, w.fails(4, "token", "get"), "agentidp agents reactivate")
	w.run("agents", "reactivate", w.screen.AgentID, "--profile", "default")
	w.run("profiles", "use", "default")

	wrong := *w
	wrong.env = append(wrong.env, "AGENTIDP_URL="+w.idp.URL, "AGENTIDP_CLIENT_ID="+w.screen.ClientID, "AGENTIDP_CLIENT_SECRET=aidp_sk_wrong")
	line := wrong.fails(4, "token", "get")
	require.Contains(w, line, "invalid_client")
	require.NotContains(w, line, "aidp_sk_wrong")
	wrong.env = append(wrong.env, "AGENTIDP_URL=http://127.0.0.1:1")
	require.Contains(w, wrong.fails(5, "agents", "list"), "UNREACHABLE")
}

func completionFact(w *world) {
	require.Contains(w, w.run("completion", "bash"), "agentidp")
	require.Contains(w, w.run("__complete", "agents", "get", ""), w.screen.AgentID+"\tscreener-001@example.com")
	require.Contains(w, w.run("__complete", "agents", "list", "-o", ""), "json")
	require.NotContains(w, w.run("__complete", "agents", "get", w.screen.AgentID, ""), "@")
}

func doctorFact(w *world) {
	for range 2 {
		found := w.run("doctor")
		require.NotContains(w, found, "WRONG")
		require.NotContains(w, found, "skipped")
		require.Regexp(w, `(?m)^quota +ok +every agent is below 90 % of the month's tokens$`, found)
		require.Regexp(w, `(?m)^audit log +ok +the checkpoint of \d+ events? is signed`, found)
	}
	require.Contains(w, w.run("doctor"), "extends the one seen last")

	w.logIn("screener", w.screen)
	found := w.run("doctor")
	require.Regexp(w, `(?m)^signing keys +skipped +the profile's agent may not see`, found)
	require.Regexp(w, `(?m)^quota +skipped +the profile's agent may not see what agents use$`, found)
	w.run("profiles", "use", "default")
}
