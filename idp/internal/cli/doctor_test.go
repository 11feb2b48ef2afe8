package cli_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// finding is one line of doctor.
type finding struct{ Check, Status, What, Do string }

// diagnose runs doctor where something is wrong.
func diagnose(w *world) map[string]finding {
	w.Helper()
	stdout, _ := w.input("", 1, "doctor", "-o", "json")
	var all []finding
	require.NoError(w, json.Unmarshal([]byte(stdout), &all))
	found := map[string]finding{}
	for _, f := range all {
		require.Equal(w, f.Status == "WRONG", f.Do != "", "what is wrong comes with what to do: %v", f)
		found[f.Check] = f
	}
	return found
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	w.run("doctor")

	// The log was replaced by one that forgot.
	kept, err := filepath.Glob(filepath.Join(w.home, "agentidp", "log-*.json"))
	require.NoError(t, err)
	require.Len(t, kept, 1)
	content, err := os.ReadFile(kept[0])
	require.NoError(t, err)
	forged := strings.Replace(string(content), `"verifierKey": "`, `"verifierKey": "x`, 1)
	require.NoError(t, os.WriteFile(kept[0], []byte(forged), 0o600))
	require.Contains(t, diagnose(w)["audit log"].What, "another key")
	other := newWorld(t)
	other.run("doctor")
	theirs, err := filepath.Glob(filepath.Join(other.home, "agentidp", "log-*.json"))
	require.NoError(t, err)
	var mixed, foreign map[string]string
	require.NoError(t, json.Unmarshal(content, &mixed))
	content, err = os.ReadFile(theirs[0])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &foreign))
	mixed["checkpoint"] = foreign["checkpoint"]
	content, err = json.Marshal(mixed)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(kept[0], content, 0o600))
	require.Contains(t, diagnose(w)["audit log"].What, "does not extend")
	require.NoError(t, os.WriteFile(kept[0], []byte("{"), 0o600))
	require.Equal(t, "WRONG", diagnose(w)["audit log"].Status)
	require.NoError(t, os.Remove(kept[0]))

	// A credential that ends soon.
	soon := w.screen
	w.idp.Call(http.MethodPost, "/api/v1/agents/"+soon.AgentID+"/credentials", map[string]any{"expiresAt": time.Now().Add(24 * time.Hour)}, &soon)
	w.logIn("soon", soon)
	require.Contains(t, diagnose(w)["credential's end"].What, "it ends in ")

	// One that is wrong.
	w.run("agents", "suspend", w.screen.AgentID, "--profile", "default")
	require.Contains(t, diagnose(w)["credential"].What, "unauthorized_client")
	w.run("profiles", "use", "default")

	// Something between that calls it by another name, at another time.
	target, err := url.Parse(w.idp.URL)
	require.NoError(t, err)
	front := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(-90*time.Minute).UTC().Format(http.TimeFormat))
			return nil
		},
	}
	server := httptest.NewTLSServer(front)
	t.Cleanup(server.Close)
	authority := w.file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	w.input(w.idp.Admin.ClientSecret, 0, "login", "--profile", "front", "--url", server.URL, "--client-id", w.idp.Admin.ClientID, "--ca-file", authority)
	found := diagnose(w)
	require.Equal(t, "ok", found["tls"].Status)
	require.Contains(t, found["clock"].What, "differ by 1h")
	require.Contains(t, found["discovery"].What, "the issuer is "+w.idp.URL)
	w.run("profiles", "use", "default")

	w.idp.Stop()
	found = diagnose(w)
	require.Len(t, found, 1)
	require.Contains(t, found["reachable"].What, "connection refused")
}
