package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

const revokedTokens = 120

// revocations measures from the 200 of a token's revocation to its first refusal
// at the sidecar, which had it in its cache.
func (b *bench) revocations(ctx context.Context, r *report) error {
	for range revokedTokens {
		took, err := b.revokeOne(ctx)
		if err != nil {
			return err
		}
		r.revoked = append(r.revoked, took)
	}
	slices.Sort(r.revoked)
	fmt.Printf("sidecar  revocation to refusal: %s of %d\n", spread(r.revoked), len(r.revoked))
	return nil
}

func (b *bench) revokeOne(ctx context.Context) (time.Duration, error) {
	token, err := b.token(ctx)
	if err != nil {
		return 0, err
	}
	for range 2 { // the second time from the cache
		if status, err := b.get(ctx, token); err != nil || status != http.StatusOK {
			return 0, fmt.Errorf("a fresh token: %d %w", status, err)
		}
	}
	form := strings.NewReader(url.Values{"token": {token}}.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.Issuer()+"/api/v1/token/revoke", form)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(b.reader.ClientID, b.reader.ClientSecret)
	if answer, err := stack.Send(http.DefaultClient, request); err != nil || answer.Status != http.StatusOK {
		return 0, fmt.Errorf("revoke: %d %w", answer.Status, err)
	}
	return b.untilRefused(ctx, token, time.Now())
}

func (b *bench) get(ctx context.Context, token string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Resource()+"/notes", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := stack.Send(http.DefaultClient, request)
	return answer.Status, err
}
