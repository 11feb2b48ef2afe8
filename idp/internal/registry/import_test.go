package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/sentryagent/agentidp/idp"
	"github.com/sentryagent/agentidp/idp/internal/clientauth"
	"github.com/sentryagent/agentidp/idp/internal/registry"
	"github.com/sentryagent/agentidp/idp/internal/store"
)

func crypted(t *testing.T, secret string) string {
	t.Helper()
	hashed, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	require.NoError(t, err)
	return string(hashed)
}

func read(t *testing.T, text string) []registry.ImportLine {
	t.Helper()
	lines, err := registry.ReadImport(strings.NewReader(text))
	require.NoError(t, err)
	return lines
}

func (w *world) gate(clientID string) (gate store.Gate, err error) {
	w.view(func(tx *store.Tx) { gate, err = tx.Credentials.Gate(w.ctx, clientID) })
	return gate, err
}

func TestImportedCredentialsAuthenticate(t *testing.T) {
	w := newWorld(t, idp.FreeLimits)
	a := w.agent(w.root, "a", "notes:read")
	hash := crypted(t, "an old secret")
	forms := map[string]string{
		"ndjson": fmt.Sprintf("\n{\"clientId\":\"old.1~x_-\",\"agentId\":%q,\"secretHash\":%q,\"expiresAt\":\"2026-03-01T15:00:00+02:00\"}\n\n{\"agentId\":%[1]q,\"clientId\":\"b\",\"secretHash\":%[2]q}\n", a.ID, hash),
		"csv":    fmt.Sprintf("\ufeffagentId,clientId,secretHash,expiresAt\r\n%s,old.1~x_-,%s,2026-03-01T15:00:00+02:00\r\n%[1]s,\"b\",%[2]s,\r\n", a.ID, hash),
	}
	require.Equal(t, read(t, strings.TrimPrefix(forms["ndjson"], "\n"))[0], withNumber(read(t, forms["csv"])[0], 1))
	lines := read(t, forms["ndjson"])
	require.Equal(t, []int{2, 4}, []int{lines[0].Number, lines[1].Number})

	w.seen = len(w.events())
	report, err := w.ImportCredentials(w.ctx, lines, true)
	require.NoError(t, err)
	require.Equal(t, registry.ImportReport{Imported: 2, MaxCost: 4}, report)
	w.happened()
	_, err = w.gate("b")
	require.ErrorIs(t, err, idp.ErrNotFound, "only checked")

	report, err = w.ImportCredentials(w.ctx, lines, false)
	require.NoError(t, err)
	require.Equal(t, 2, report.Imported)
	events := w.happened(idp.ActionCredentialImported, idp.ActionCredentialImported)
	gate, err := w.gate("old.1~x_-")
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"targetAgentId": a.ID, "credentialId": gate.Credential.ID, "clientId": "old.1~x_-", "scheme": "bcrypt", "expiresAt": "2026-03-01T13:00:00.000Z",
	}, events[0].Metadata)
	require.NotContains(t, events[0].raw, hash)
	require.Equal(t, w.now(), gate.Credential.SecretSetAt)
	require.Equal(t, w.now().Add(time.Hour), gate.Credential.ExpiresAt)

	slow, err := clientauth.NewBcrypt(0)
	require.NoError(t, err)
	auth, err := clientauth.New(clientauth.Options{DB: w.db, Hasher: slow, Now: w.now})
	require.NoError(t, err)
	defer auth.Close()
	got, err := auth.Authenticate(w.ctx, clientauth.Attempt{ClientID: "b", Secret: "an old secret"})
	require.NoError(t, err)
	require.Equal(t, a.ID, got.Agent.ID)

	report, err = w.ImportCredentials(w.ctx, lines, false)
	require.NoError(t, err)
	require.Equal(t, registry.ImportReport{Present: 2, MaxCost: 4}, report, "the same again")
	w.happened()
}

func withNumber(line registry.ImportLine, number int) registry.ImportLine {
	line.Number = number
	return line
}

// One bad line, and nothing is imported; all that is wrong is listed.
func TestABadLineImportsNothing(t *testing.T) {
	w := newWorld(t, idp.Limits{Credentials: 2})
	a, gone := w.agent(w.root, "a"), w.agent(w.root, "gone")
	taken := w.credential(w.root, a.ID)
	require.NoError(t, w.DecommissionAgent(w.ctx, w.root, gone.ID, registry.Decommission{}))
	hash := crypted(t, "s")
	w.seen = len(w.events())
	_, err := w.ImportCredentials(w.ctx, []registry.ImportLine{
		{Number: 1, ClientID: "good", AgentID: a.ID, SecretHash: hash},
		{Number: 2, ClientID: "", AgentID: "nobody", SecretHash: "plain", ExpiresAt: "tomorrow"},
		{Number: 3, ClientID: "good", AgentID: gone.ID, SecretHash: hash, ExpiresAt: "2020-01-01T00:00:00Z"},
		{Number: 4, ClientID: taken.ClientID, AgentID: a.ID, SecretHash: hash},
		{Number: 5, ClientID: "one-too-many", AgentID: a.ID, SecretHash: hash},
		{Number: 6, ClientID: "with space", AgentID: a.ID, SecretHash: hash},
		{Number: 7, ClientID: strings.Repeat("x", 129), AgentID: a.ID, SecretHash: hash},
	}, false)
	var bad registry.BadLines
	require.ErrorAs(t, err, &bad)
	var found []string
	for _, line := range bad {
		require.NotEmpty(t, line.Rule)
		found = append(found, fmt.Sprintf("%d %s", line.Number, line.Field))
	}
	require.Equal(t, []string{
		"2 clientId", "2 secretHash", "2 expiresAt", "2 agentId", "3 clientId", "3 expiresAt", "3 agentId", "4 clientId", "5 agentId", "6 clientId", "7 clientId",
	}, found)
	require.ErrorContains(t, err, "11 problems, the first on line 2")
	w.happened()
	_, err = w.gate("good")
	require.ErrorIs(t, err, idp.ErrNotFound)
}

func TestAnImportOfManyLines(t *testing.T) {
	w := newWorld(t, idp.Limits{})
	a := w.agent(w.root, "a")
	hash := crypted(t, "s")
	var text strings.Builder
	text.WriteString("clientId,agentId,secretHash\n")
	for i := range 251 {
		fmt.Fprintf(&text, "c-%d,%s,%s\n", i, a.ID, hash)
	}
	report, err := w.ImportCredentials(w.ctx, read(t, text.String()), false)
	require.NoError(t, err)
	require.Equal(t, 251, report.Imported)
	w.view(func(tx *store.Tx) {
		_, total, err := tx.Credentials.List(w.ctx, a.ID, firstPage)
		require.NoError(t, err)
		require.Equal(t, 251, total)
	})
}

func TestReadImportRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "no line",
		"\n \n":                                  "line 1",
		"clientId,agentId\n":                     "line 1",
		"clientId,agentId,secretHash,colour\n":   "line 1",
		"clientId,agentId,secretHash,clientId\n": "line 1",
		"clientId,agentId,secretHash\n":          "no line",
		"clientId,agentId,secretHash\na,b\n":     "line 2",
		"clientId,agentId,secretHash\na,b,c\nx\"y,b,c\n":                       "line 3",
		"{\"clientId\":\"a\"}\n{\"clientId\":1}\n":                             "line 2",
		"{\"clientId\":\"a\",\"role\":\"admin\"}\n":                            "line 1",
		"{\"clientId\":\"a\"} {}\n":                                            "line 1",
		"{\"clientId\":\"a\",\"clientId\":\"b\"}\n":                            "line 1",
		"{\"clientID\":\"a\"}\n":                                               "line 1",
		"{\"clientId\":null}\n":                                                "line 1",
		"{\"clientId\":\"\\ud800\"}\n":                                         "line 1",
		"{\"clientId\":\"" + strings.Repeat("x", 5000) + "\"}\n":               "line 1",
		"clientId,agentId,secretHash\n" + strings.Repeat("a,b,c\n", 100_001):   "more than 100000",
		"clientId,agentId,secretHash\n" + strings.Repeat("x", 64<<20) + ",b,c": "longer than",
	} {
		_, err := registry.ReadImport(strings.NewReader(text))
		require.ErrorContains(t, err, want, "%.60q", text)
	}
	_, err := registry.ReadImport(failing{})
	require.ErrorContains(t, err, "disk")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk") }
