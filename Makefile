# Countersign. `make demo` and `make test` do all their own set-up.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X countersign.dev/internal/cli.version=$(VERSION)
BUILD   := go build -ldflags "$(LDFLAGS)"
TOOL    := go tool -modfile=tools/go.mod

# Of everything that is compiled here, by tests too: with one set of flags, one finds
# compiled what another has compiled. Only the race detector needs others.
export CGO_ENABLED := 0
export GOFLAGS     := $(strip $(filter-out -trimpath,$(shell go env GOFLAGS)) -trimpath)

# What has goroutines that meet: these run once more under the race detector.
RACED := ./internal/authz/... ./internal/issuer ./internal/storage/... ./internal/server/... ./deviceflow/... ./protect/...

# How long each target is fuzzed in `make test` (inputs), and in `make fuzz`.
FUZZ_SHORT := 3000x
FUZZ_LONG  := 60s

PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

.PHONY: help
help: ## List what there is to make
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-15s %s\n", $$1, $$2 }'

.PHONY: build
build: ## Build bin/countersign
	$(BUILD) -o bin/countersign ./cmd/countersign

.PHONY: run
run: build ## Build and run the server
	bin/countersign serve

.PHONY: demo
demo: build ## Show the whole story: a device asks, its owner countersigns
	bin/countersign demo

.PHONY: test
test: ## Check everything
	@./tools/stages prepare,vet test-unit test-postgres test-web test-e2e test-browser test-race -- lint race-libraries test-fuzz

# Left out here: what takes a PostgreSQL of its own, tests that take seconds each
# (testing.Short), and vet. `make test` runs all of it.
.PHONY: test-fast
test-fast: ## Check the Go code only, in under a minute once `make build` has compiled its libraries
	go test -short -vet=off -ldflags "-s -w" $$(go list ./... | grep -vE '/storage/(postgres|transfer)')

.PHONY: vet
vet:
	go vet -tags e2e ./...
	go -C e2e/goclients vet .

# vet has looked at all of it: so here, and in what follows, go test need not.
.PHONY: test-unit
test-unit:
	go test -vet=off -timeout 25m ./...

# The server's and the domain's tests once more, on PostgreSQL.
.PHONY: test-postgres
test-postgres:
	COUNTERSIGN_TEST_STORE=postgres go test -vet=off -count=1 -timeout 25m ./internal/server ./internal/issuer

# The race detector needs a C compiler; setup installs one where it can. What it
# compiles, it compiles for itself only: race-libraries does most of that in advance.
.PHONY: race-libraries
race-libraries:
	CGO_ENABLED=1 go build -race $(RACED)

.PHONY: test-race
test-race:
	CGO_ENABLED=1 go test -race -vet=off -short -count=1 -timeout 25m $$(go list -e -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' $(RACED))

.PHONY: test-fuzz
test-fuzz:
	./tools/fuzz $(FUZZ_SHORT)

# The scripts of the device page: types, unit tests, and that the bundle in
# internal/server/page/assets is the one that web/ gives.
.PHONY: test-web
test-web: web/node_modules/.installed
	cd web && node_modules/.bin/tsc --project .
	./tools/web unit
	@$(MAKE) --no-print-directory web-check

.PHONY: web
web: web/node_modules/.installed ## Bundle the device page's scripts into internal/server/page/assets
	./tools/web build

.PHONY: web-check
web-check: web/node_modules/.installed
	./tools/web check

web/node_modules/.installed: web/package.json web/package-lock.json
	@echo "installing the npm packages of web"
	cd web && npm ci --no-audit --no-fund
	touch $@

.PHONY: test-e2e
test-e2e: build clients
	go test -tags e2e -vet=off -count=1 -parallel 16 -timeout 20m -skip '^TestPage' ./e2e

# The pages in a real Chromium: the tests whose names begin with TestPage, and
# those of what drives it.
.PHONY: test-browser
test-browser: web/node_modules/.installed e2e/clients/node_modules/.installed ## Test the pages in Chromium
	go test -tags e2e -vet=off -count=1 -p 1 -parallel 4 -timeout 20m -run '^TestPage' ./e2e ./e2e/browser

.PHONY: screenshots
screenshots: web/node_modules/.installed e2e/clients/node_modules/.installed ## Take the pictures of e2e/screenshots anew
	rm -rf e2e/screenshots
	SCREENSHOTS=1 go test -tags e2e -count=1 -parallel 4 -timeout 8m -run '^TestPage' ./e2e

# The clients and servers that others wrote, at the versions of the lock files.
.PHONY: clients
clients: e2e/clients/node_modules/.installed e2e/clawnet/node_modules/.installed bench/peers/node_modules/.installed
e2e/clients/node_modules/.installed: e2e/clients/package.json e2e/clients/package-lock.json
	@echo "installing the npm clients of e2e/clients"
	cd e2e/clients && npm ci --no-audit --no-fund
	touch $@
e2e/clawnet/node_modules/.installed: e2e/clawnet/package.json e2e/clawnet/package-lock.json
	@echo "installing clawnet in e2e/clawnet"
	cd e2e/clawnet && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

.PHONY: setup
setup:
	@./tools/setup

.PHONY: prepare
prepare: setup
	@$(MAKE) --no-print-directory -j4 web/node_modules/.installed clients

.PHONY: lint
lint: ## Check style and common mistakes
	$(TOOL) golangci-lint run ./...

.PHONY: format
format: ## Format the Go code
	$(TOOL) golangci-lint fmt ./...

.PHONY: fuzz
fuzz: ## Fuzz every target for a minute
	./tools/fuzz $(FUZZ_LONG)

# Half an hour on two cores. MUTANTS="-package internal/authz/guard" or "-sample 100"
# for a part of it.
MUTANTS ?=
.PHONY: mutants
mutants: ## Change each condition, and name the changes that no test notices
	@go -C tools build -o ../bin/mutants ./mutants
	bin/mutants $(MUTANTS)

.PHONY: bench
bench: build ## Measure the server beside a bare handler, and each step in Go
	./bench/run.sh
	go test -bench . -benchmem -run '^$$' ./...

# The servers of bench/peers are others', at the versions of the lock file.
.PHONY: bench-peers
bench-peers: bench/peers/node_modules/.built ## Measure the server beside others' on this machine
	./bench/peers.sh
# SQLite for Node comes later: the tests, which run the SDK against the same servers, need none.
bench/peers/node_modules/.built: bench/peers/node_modules/.installed
	cd bench/peers && npm rebuild better-sqlite3
	touch $@
bench/peers/node_modules/.installed: bench/peers/package.json bench/peers/package-lock.json
	@echo "installing the npm packages of bench/peers"
	cd bench/peers && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

# How many stored device requests and grants; several with commas.
GROWTH ?= 10000,1000000
GROWTH_FLAGS ?=
.PHONY: bench-growth
bench-growth: build ## Measure each step with few and with many stored rows
	go run ./bench/growth -server bin/countersign -rows $(GROWTH) $(GROWTH_FLAGS)

# The largest takes half an hour, and 30 GiB under TMPDIR.
.PHONY: bench-growth-large
bench-growth-large:
	@$(MAKE) --no-print-directory bench-growth GROWTH=10000,1000000,10000000

.PHONY: bench-waiting
bench-waiting: build ## Measure the memory of 100 000 polls that wait, and how soon they wake
	go run ./bench/waiting -server bin/countersign -pipes
	go run ./bench/waiting -server bin/countersign
	go run ./bench/waiting -server bin/countersign -database postgres

# The costs of bench/results/example.jsonl are those of one machine; bench-cost
# measures this one's.
COSTS ?= bench/results/example.jsonl
.PHONY: bench-cost
bench-cost: build ## Measure what each step costs the server and the database
	go run ./bench/cost -server bin/countersign > bench/results/here.jsonl
	@echo "now: make bench-capacity COSTS=bench/results/here.jsonl"

.PHONY: bench-capacity
bench-capacity: ## Compute what millions of devices cost, and simulate them
	go run ./bench/capacity -costs $(COSTS)
	go run ./bench/simulate -costs $(COSTS)

.PHONY: vuln
vuln: ## Look for known vulnerabilities (fetches the database of them)
	$(TOOL) govulncheck ./...

.PHONY: build-all
build-all: ## Build for every platform into dist/
	@for p in $(PLATFORMS); do \
		os=$${p%/*}; arch=$${p#*/}; out=dist/countersign-$$os-$$arch; \
		if [ $$os = windows ]; then out=$$out.exe; fi; \
		echo "$$out"; \
		GOOS=$$os GOARCH=$$arch $(BUILD) -o $$out ./cmd/countersign; \
	done

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist bench/peers/node_modules e2e/clients/node_modules web/node_modules
