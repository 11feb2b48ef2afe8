package agentidp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sentryagent/agentidp/idp/idptest"
	agentidp "github.com/sentryagent/agentidp/sdk/go"
)

func TestVectorsOfLostSecrets(t *testing.T) {
	for _, row := range vectors[struct {
		Cases []struct {
			Name, Result, Code, CredentialID string
			OverlapSeconds                   int64
			Answers                          []retryAnswer
			Attempts, Status                 int
		}
	}](t, "lost-secrets.json").Cases {
		synctest.Test(t, func(t *testing.T) {
			var attempts int
			keys := map[string]bool{}
			client, err := agentidp.NewClient(config(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/api/v1/token" {
					return answer(r, 200, nil, fmt.Sprintf(tokenAnswer, 1)), nil
				}
				require.Equal(t, "/api/v1/agents/a/credentials/c/rotate", r.URL.Path)
				keys[r.Header.Get("Idempotency-Key")] = true
				require.Less(t, attempts, len(row.Answers), row.Name)
				a := row.Answers[attempts]
				attempts++
				if a.Connection != "" {
					return nil, errors.New("connection " + a.Connection)
				}
				return answer(r, a.Status, nil, a.body("rotate", 0)), nil
			}))
			require.NoError(t, err)
			began := time.Now()
			rotated, err := client.RotateCredential(t.Context(), "a", "c", agentidp.Rotation{OverlapSeconds: row.OverlapSeconds})
			require.Equal(t, row.Attempts, attempts, row.Name)
			require.Len(t, keys, 1, row.Name)
			require.False(t, keys[""], row.Name)
			var lost *agentidp.SecretLostError
			var refused *agentidp.Error
			switch row.Result {
			case "success":
				require.NoError(t, err, row.Name)
				require.Equal(t, "aidp_sk_2", rotated.ClientSecret)
			case "refused":
				require.False(t, errors.As(err, &lost), row.Name)
				require.ErrorAs(t, err, &refused, row.Name)
				require.Equal(t, row.Status, refused.Status, row.Name)
				require.Equal(t, row.Code, refused.Code, row.Name)
			case "secret_lost":
				require.ErrorAs(t, err, &lost, row.Name)
				require.Equal(t, row.CredentialID, lost.CredentialID, row.Name)
				require.Equal(t, began.Add(time.Duration(row.OverlapSeconds)*time.Second), lost.OldSecretUntil, row.Name)
				require.ErrorAs(t, err, &refused, row.Name)
				require.Equal(t, row.CredentialID, refused.Details.CredentialID, row.Name)
				require.ErrorContains(t, err, "rotate again", row.Name)
			default:
				require.Fail(t, row.Result)
			}
		})
	}
}

// The IdP makes the rotation, and its answer is lost on the way: the helper says
// so, and goes on with the old secret, which the overlap keeps good.
func TestARotationWhoseAnswerIsLost(t *testing.T) {
	idp := idptest.Start(t)
	address, err := url.Parse(idp.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(address)
	var rotations atomic.Int64
	proxy.ModifyResponse = func(answer *http.Response) error {
		if strings.HasSuffix(answer.Request.URL.Path, "/rotate") && rotations.Add(1) == 1 {
			return errors.New("lost")
		}
		return nil
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	between := httptest.NewServer(proxy)
	defer between.Close()

	source, err := agentidp.Config{URL: between.URL, ClientID: idp.Admin.ClientID, ClientSecret: idp.Admin.ClientSecret}.TokenSource()
	require.NoError(t, err)
	stored := 0
	store := func(context.Context, agentidp.CredentialWithSecret) error { stored++; return nil }
	began := time.Now()
	_, err = source.RotateSecret(t.Context(), 0, store)
	var lost *agentidp.SecretLostError
	require.ErrorAs(t, err, &lost)
	require.False(t, lost.OldSecretUntil.Before(began.Add(agentidp.DefaultOverlap)))
	require.Equal(t, refusedWith(t, err, 409, agentidp.CodeInvalidState).Details.CredentialID, lost.CredentialID)
	require.NotEmpty(t, lost.CredentialID)
	require.EqualValues(t, 2, rotations.Load(), "once, and the question what became of it")
	require.Zero(t, stored)

	source.Forget()
	_, err = source.TokenContext(t.Context())
	require.NoError(t, err, "the old secret is good")
	rotated, err := source.RotateSecret(t.Context(), 0, store) // as the error says
	require.NoError(t, err)
	require.NotEqual(t, idp.Admin.ClientSecret, rotated.ClientSecret)
	require.Equal(t, 1, stored)
	source.Forget()
	_, err = source.TokenContext(t.Context())
	require.NoError(t, err, "the new one too")
}

func TestAnOverlapIsRoundedUp(t *testing.T) {
	for overlap, seconds := range map[time.Duration]int64{
		0: 0, 1: 1, 500 * time.Millisecond: 1, time.Second: 1, time.Second + 1: 2, time.Hour: 3600, -500 * time.Millisecond: 0, -time.Minute: -60, 1<<63 - 1: 9223372037,
	} {
		require.Equal(t, agentidp.Rotation{OverlapSeconds: seconds}, agentidp.Overlap(overlap), overlap)
	}
}

// What a call costs at most, whatever hangs: attempts of calls and of token
// requests do not multiply.
func TestACallHasOneBudget(t *testing.T) {
	hang := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	for name, row := range map[string]struct {
		token, call transport
		most        time.Duration
		tokens      int
	}{
		"the token endpoint refuses connections": {token: func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }, most: 2 * time.Second, tokens: 4},
		"the token endpoint is overloaded": {token: func(r *http.Request) (*http.Response, error) {
			return answer(r, 503, map[string]string{"Retry-After": "9"}, `{"error":"temporarily_unavailable"}`), nil
		}, most: 30 * time.Second, tokens: 4},
		"the token endpoint hangs": {token: hang, most: 30 * time.Second, tokens: 3},
		"the API is overloaded": {call: func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(20 * time.Second):
				return answer(r, 503, map[string]string{"Retry-After": "9"}, ""), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}, most: 60 * time.Second, tokens: 1},
		"the API hangs": {call: hang, most: 30 * time.Second, tokens: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tokens := 0
				client, err := agentidp.NewClient(config(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path != "/api/v1/token" {
						return row.call(r)
					}
					tokens++
					if row.token != nil {
						return row.token(r)
					}
					return answer(r, 200, nil, fmt.Sprintf(tokenAnswer, tokens)), nil
				}))
				require.NoError(t, err)
				began := time.Now()
				_, err = client.Agent(t.Context(), "a")
				require.Error(t, err)
				require.LessOrEqual(t, time.Since(began), row.most)
				synctest.Wait()
				require.Equal(t, row.tokens, tokens)
			})
		})
	}
}

func TestALongRetryAfterIsLong(t *testing.T) {
	for text, least := range map[string]time.Duration{
		"2147483648": 2147483648 * time.Second, "9999999999999": 200 * 365 * 24 * time.Hour, "99999999999999999999": 200 * 365 * 24 * time.Hour,
		"Fri, 31 Dec 9999 23:59:59 GMT": 200 * 365 * 24 * time.Hour, "-1": 0, "-99999999999999999999": 0, "Thu, 01 Jan 1970 00:00:00 GMT": 0, "soon": 0,
	} {
		headers := map[string]string{"Retry-After": text, "Date": "Mon, 02 Nov 2026 08:00:00 GMT"}
		client, err := agentidp.NewClient(config(func(r *http.Request) (*http.Response, error) { return answer(r, 500, headers, ""), nil }))
		require.NoError(t, err)
		_, err = client.Metadata(t.Context())
		var refused *agentidp.Error
		require.ErrorAs(t, err, &refused)
		require.GreaterOrEqual(t, refused.RetryAfter, least, text)
		require.Equal(t, least == 0, refused.RetryAfter == 0, text)
	}
}
