package vaulttest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
)

// cluster is as much of Kubernetes as Vault asks: whose a token is.
type cluster struct{ addr, certificate, jwt string }

func newCluster(t testing.TB) cluster {
	t.Helper()
	account := map[string]any{"name": "agentidp", "uid": "1f0c4a6e-9d0e-4a53-9d0a-8a4f9a1f5c11"}
	jwt := unsigned(t, map[string]any{
		"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:default:agentidp", "nbf": 1, "iat": 1, "exp": 4102444800,
		"kubernetes.io": map[string]any{"namespace": "default", "serviceaccount": account},
	})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Spec struct {
				Token string `json:"token"`
			} `json:"spec"`
		}
		status := map[string]any{"authenticated": false}
		if json.NewDecoder(r.Body).Decode(&review) == nil && review.Spec.Token == jwt {
			status = map[string]any{"authenticated": true, "user": map[string]any{
				"username": "system:serviceaccount:default:agentidp", "uid": account["uid"],
				"groups": []string{"system:serviceaccounts", "system:authenticated"},
			}}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
	}))
	t.Cleanup(server.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return cluster{addr: server.URL, certificate: string(certificate), jwt: jwt}
}

// unsigned is a token as a pod has it; nobody here checks the signature.
func unsigned(t testing.TB, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","kid":"test"}`)) + "." + encode(payload) + "." + encode([]byte("signature"))
}
