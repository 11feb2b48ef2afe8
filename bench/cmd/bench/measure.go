package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
	"github.com/sentryagent/agentidp/deploy/dev/stack"
)

// issuance measures tokens per second beside the limit of the signing backend,
// on the same cores in the same rounds.
func (b *bench) issuance(ctx context.Context) error {
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {b.Resource()}}.Encode()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(b.reader.ClientID+":"+b.reader.ClientSecret))
	scenario := load.Scenario{Name: "issuance", Addr: b.IdP, Want: fasthttp.StatusOK, Fill: func(request *fasthttp.Request, _, _ int) {
		request.Header.SetMethod(fasthttp.MethodPost)
		request.SetRequestURI("/api/v1/token")
		request.Header.SetContentType("application/x-www-form-urlencoded")
		request.Header.Set("Authorization", basic)
		request.SetBodyString(form)
	}}
	before, err := b.issued(ctx)
	if err != nil {
		return err
	}
	var sent int64
	rates, limits := map[int][]float64{}, []float64(nil)
	for range b.rounds {
		limit, err := signLimit(b.slice / 2)
		if err != nil {
			return err
		}
		limits = append(limits, limit)
		for _, connections := range []int{1, 8, 64} {
			result := load.Run(ctx, scenario, connections, b.slice)
			fmt.Println("issuance", result)
			if result.Errors > 0 {
				return fmt.Errorf("issuance: %d errors: %s", result.Errors, result.FirstError)
			}
			sent += result.Requests
			rates[connections] = append(rates[connections], result.Rate())
		}
	}
	after, err := b.issued(ctx)
	if err != nil {
		return err
	}
	verdict := "the store counted each of them with its audit event"
	if after-before != sent {
		verdict = fmt.Sprintf("INVALID: %d tokens, %d counted", sent, after-before)
	}
	fmt.Printf("issuance sign limit of %d cores, crypto/rsa 2048: %.0f/s; %s\n", runtime.GOMAXPROCS(0), median(limits), verdict)
	for _, connections := range []int{1, 8, 64} {
		fmt.Printf("ratio    issuance at %d connections / sign limit %.2f\n", connections, median(rates[connections])/median(limits))
	}
	return nil
}

// signLimit is how many RSA-2048 signatures a second all cores make when they do nothing else.
func signLimit(duration time.Duration) (float64, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return 0, err
	}
	digest := sha256.Sum256([]byte("bench"))
	var made atomic.Int64
	var failed atomic.Pointer[error]
	var workers sync.WaitGroup
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for time.Since(began) < duration {
				if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
					failed.Store(&err)
					return
				}
				made.Add(1)
			}
		})
	}
	workers.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(made.Load()) / time.Since(began).Seconds(), nil
}

// issued is the number of tokens that the store counted for the agent, each in
// the transaction that wrote its audit event.
func (b *bench) issued(ctx context.Context) (int64, error) {
	var usage struct {
		TokensUsed int64 `json:"tokensUsed"`
	}
	err := b.admin.JSON(ctx, http.MethodGet, "/api/v1/agents/"+b.reader.AgentID+"/usage", nil, &usage)
	return usage.TokensUsed, err
}

// proxy measures requests through the sidecar, with a warm token, beside the
// same upstream called directly.
func (b *bench) proxy(ctx context.Context) error {
	token, err := b.token(ctx)
	if err != nil {
		return err
	}
	fill := func(request *fasthttp.Request, _, _ int) {
		request.SetRequestURI("/notes")
		request.Header.Set("Authorization", "Bearer "+token)
	}
	through := load.Scenario{Name: "sidecar, warm token", Addr: b.Sidecar, Want: fasthttp.StatusOK, Fill: fill}
	direct := load.Scenario{Name: "upstream, direct", Addr: b.addr, Want: fasthttp.StatusOK, Fill: fill}
	var ratios []float64
	for _, connections := range []int{1, 64} {
		ratios = nil
		for range b.rounds {
			d, s := load.Run(ctx, direct, connections, b.slice), load.Run(ctx, through, connections, b.slice)
			fmt.Println("proxy   ", d)
			fmt.Println("proxy   ", s)
			if s.Errors > 0 {
				return fmt.Errorf("sidecar: %d errors: %s", s.Errors, s.FirstError)
			}
			ratios = append(ratios, s.Rate()/d.Rate())
		}
		fmt.Printf("ratio    sidecar / direct at %d connections %.2f\n", connections, median(ratios))
	}
	return nil
}

// revocation measures from the 200 of a token's revocation to its refusal at the sidecar.
func (b *bench) revocation(ctx context.Context) error {
	var took []time.Duration
	for range 20 {
		token, err := b.token(ctx)
		if err != nil {
			return err
		}
		if status, err := b.get(ctx, token); err != nil || status != http.StatusOK {
			return fmt.Errorf("a fresh token: %d %w", status, err)
		}
		form := strings.NewReader(url.Values{"token": {token}}.Encode())
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.Issuer()+"/api/v1/token/revoke", form)
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth(b.reader.ClientID, b.reader.ClientSecret)
		if answer, err := stack.Send(http.DefaultClient, request); err != nil || answer.Status != http.StatusOK {
			return fmt.Errorf("revoke: %d %w", answer.Status, err)
		}
		began := time.Now()
		for {
			status, err := b.get(ctx, token)
			if err != nil {
				return err
			}
			if status == http.StatusUnauthorized {
				break
			}
			if time.Since(began) > 10*time.Second {
				return fmt.Errorf("a revoked token still answers %d", status)
			}
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	fmt.Printf("revoke   to effect: p50 %s, max %s of %d\n", took[len(took)/2].Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond), len(took))
	return nil
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

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
