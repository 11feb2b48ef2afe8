package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// effective is how long a revoked token may still be let through.
const effective = time.Second

// rotateKey lets another key sign, and wants a call with its first token to pass.
func (w *world) rotateKey(ctx context.Context) error {
	type key struct {
		KID        string    `json:"kid"`
		Status     string    `json:"status"`
		ActivateAt time.Time `json:"activateAt"`
	}
	var next key
	if err := w.admin.JSON(ctx, http.MethodPost, "/api/v1/keys/rotate", struct{}{}, &next); err != nil {
		return err
	}
	within := time.Until(next.ActivateAt) + 5*time.Second
	_, err := until(ctx, "key "+next.KID+" signs", within, 200*time.Millisecond, func(ctx context.Context) (bool, error) {
		token, err := w.token(ctx, w.login.Load().Credential)
		if err != nil {
			return false, err
		}
		if err := w.passes(ctx, token); err != nil {
			return false, err
		}
		kid, err := signer(token)
		return kid == next.KID, err
	})
	return err
}

// signer is the kid of a token.
func signer(token string) (string, error) {
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return "", fmt.Errorf("head of a token: %w", err)
	}
	var header struct {
		KID string `json:"kid"`
	}
	return header.KID, json.Unmarshal(raw, &header)
}

// rotateSecret gives the reader another secret. Both are good until the overlap ends.
func (w *world) rotateSecret(overlap time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		old := w.login.Load().Credential
		var fresh stack.Credential
		path := "/api/v1/agents/" + w.reader.AgentID + "/credentials/" + w.reader.CredentialID + "/rotate"
		if err := w.admin.JSON(ctx, http.MethodPost, path, map[string]int{"overlapSeconds": int(overlap.Seconds())}, &fresh); err != nil {
			return err
		}
		w.use(fresh)
		if _, err := w.token(ctx, old); err != nil {
			return fmt.Errorf("the old secret within its overlap: %w", err)
		}
		if err := pause(ctx, overlap); err != nil {
			return err
		}
		return w.noToken(ctx, old, http.StatusUnauthorized)
	}
}

// revokeToken cuts off a token between two of its calls.
func (w *world) revokeToken(ctx context.Context) error {
	token, err := w.inUse(ctx, w.loser.Credential)
	if err != nil {
		return err
	}
	form := url.Values{"token": {token}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.Issuer()+"/api/v1/token/revoke", strings.NewReader(form))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(w.loser.ClientID, w.loser.ClientSecret)
	if err := send(request); err != nil {
		return err
	}
	return w.refused(ctx, token)
}

// suspend keeps the bystander out for a moment, time after time.
func (w *world) suspend() func(context.Context) error {
	become := func(ctx context.Context, status string) error {
		return w.admin.JSON(ctx, http.MethodPatch, "/api/v1/agents/"+w.bystander.AgentID, map[string]string{"status": status}, nil)
	}
	out := false // for the turn before did not come to its end
	return func(ctx context.Context) error {
		if out {
			if err := become(ctx, "active"); err != nil {
				return err
			}
		}
		token, err := w.inUse(ctx, w.bystander.Credential)
		if err != nil {
			return err
		}
		out = true
		if err := become(ctx, "suspended"); err != nil {
			return err
		}
		err = errors.Join(w.refused(ctx, token), w.noToken(ctx, w.bystander.Credential, http.StatusBadRequest))
		if err := errors.Join(err, become(ctx, "active")); err != nil {
			return err
		}
		out = false
		_, err = w.inUse(ctx, w.bystander.Credential)
		return err
	}
}

// inUse is a token whose calls pass, and which the sidecar remembers.
func (w *world) inUse(ctx context.Context, c stack.Credential) (string, error) {
	token, err := w.token(ctx, c)
	if err != nil {
		return "", err
	}
	for range 3 {
		if err := w.passes(ctx, token); err != nil {
			return "", err
		}
	}
	return token, nil
}

func (w *world) passes(ctx context.Context, token string) error {
	status, err := w.call(ctx, token)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("a call with a good token: %d", status)
	}
	return err
}

// refused wants the token's calls to be refused from soon on, and for good.
func (w *world) refused(ctx context.Context, token string) error {
	is := func(ctx context.Context) (bool, error) {
		status, err := w.call(ctx, token)
		if err == nil && status != http.StatusOK && status != http.StatusUnauthorized {
			err = fmt.Errorf("a call with a dead token: %d", status)
		}
		return status == http.StatusUnauthorized, err
	}
	took, err := until(ctx, "the token is refused", effective, 5*time.Millisecond, is)
	if err != nil {
		return err
	}
	w.reached(took)
	for range 3 {
		still, err := is(ctx)
		if err != nil {
			return err
		}
		if !still {
			return errors.New("a dead token was refused, and then let through")
		}
	}
	return nil
}

// noToken wants the credential to be refused with the status.
func (w *world) noToken(ctx context.Context, c stack.Credential, want int) error {
	_, err := w.token(ctx, c)
	if err == nil {
		return errors.New("a token for one who is to have none")
	}
	var refusal *oauth2.RetrieveError
	if !errors.As(err, &refusal) || refusal.Response.StatusCode != want {
		return fmt.Errorf("not refused with %d: %w", want, err)
	}
	return nil
}
