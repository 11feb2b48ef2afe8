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
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sentryagent/agentidp/bench/load"
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
