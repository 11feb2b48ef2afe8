package app_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A relying party that asks a process which has just begun hears what the one
// before it knew.
func TestARestartForgetsNoDeadToken(t *testing.T) {
	cfg := settings(t)
	a, _, stop := run(t, cfg)
	cfg.Addr = a.Addr().String() // the same after the restart, as the issuer is
	first := admin(t, cfg)
	issue := func() (raw string) {
		t.Helper()
		status, body := token(t, a, first.ClientID, first.ClientSecret)
		require.Equal(t, http.StatusOK, status, body)
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		return answer.AccessToken
	}
	dead, live := issue(), issue()
	answer, err := http.PostForm(a.Issuer()+"/api/v1/token/revoke", url.Values{
		"token": {dead}, "client_id": {first.ClientID}, "client_secret": {first.ClientSecret},
	})
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Eventually(t, func() bool { return invalid(t, dead) == 1 }, time.Minute, 20*time.Millisecond)
	require.Zero(t, invalid(t, live))
	require.NoError(t, stop())

	_, _, stop = run(t, cfg)
	require.Eventually(t, func() bool { return invalid(t, dead) >= 0 }, time.Minute, 5*time.Millisecond)
	require.Equal(t, 1, invalid(t, dead), "the first list that is served has it")
	require.Zero(t, invalid(t, live))
	require.NoError(t, stop())
}

// invalid is a token's status in its list, -1 while there is none to be had.
func invalid(t *testing.T, raw string) int {
	t.Helper()
	var claims struct {
		Status struct {
			List struct {
				Index int    `json:"idx"`
				URI   string `json:"uri"`
			} `json:"status_list"`
		} `json:"status"`
	}
	middle(t, raw, &claims)
	status, body := get(t, claims.Status.List.URI)
	if status == http.StatusServiceUnavailable {
		return -1
	}
	require.Equal(t, http.StatusOK, status, body)
	var list struct {
		List struct {
			List string `json:"lst"`
		} `json:"status_list"`
	}
	middle(t, body, &list)
	packed, err := base64.RawURLEncoding.DecodeString(list.List.List)
	require.NoError(t, err)
	reader, err := zlib.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	bits, err := io.ReadAll(reader)
	require.NoError(t, err)
	return int(bits[claims.Status.List.Index/8] >> (claims.Status.List.Index % 8) & 1)
}

// middle reads the payload of a JWS, unverified.
func middle(t *testing.T, signed string, into any) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(payload, into))
}
