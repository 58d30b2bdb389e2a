# What can be done with this repository, by name. `make help` lists it, CI (.ci/run) calls only what is here.
# With Go and make alone: run, cluster, test, bench, microbench, soak, fuzz. The others also need git, and -race a C compiler.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# A workspace of yours must not hide a wrong require.
export GOWORK := off

# Every module is found by its go.mod; this is the only place that knows them. The tools have no code of their own.
modules      := $(sort $(patsubst %/go.mod,%,$(shell find . -name go.mod \
                  -not -path '*/.*' -not -path '*/testdata/*' -not -path './bin/*')))
tool_modules := $(filter ./internal/tools/%,$(modules))
code_modules := $(filter-out $(tool_modules),$(modules))

# The folders that generate code from .proto files: examples have their own.
proto_folders := $(sort $(patsubst %/buf.gen.yaml,%,$(shell find . -name buf.gen.yaml -not -path '*/.*')))

# $(call in-each,<folders>,<command>) runs a command in each folder, in all of them even if one fails.
define in-each
@failed=; for folder in $(1); do \
	printf '%s: %s\n' '$@' "$$folder"; \
	(cd "$$folder" && $(2)) || failed="$$failed $$folder"; \
done; \
if [ -n "$$failed" ]; then printf '%s failed in:%s\n' '$@' "$$failed" >&2; exit 1; fi
endef

# A tool is built once, and again when its pinned version changes. It comes before one of that name elsewhere.
export PATH := $(CURDIR)/bin:$(PATH)

bin/%: internal/tools/%/go.mod internal/tools/%/go.sum
	cd internal/tools/$* && go build -o ../../../bin/ tool
	@touch $@

##@ Use

.PHONY: help
help: ## show this
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@printf '\nModules: %s\n' '$(code_modules)'

.PHONY: run
run: ## run the main job, examples/quickstart (ARGS="-h" lists its flags)
	cd examples/quickstart && go build -o ../../bin/ .
	exec bin/quickstart -data examples/quickstart/data $(ARGS)

.PHONY: cluster
cluster: ## run one outbox over three members, one of which is killed: examples/cluster (ARGS="-h" lists its flags)
	cd examples/cluster && go build -o ../../bin/ .
	exec bin/cluster -data examples/cluster/data $(ARGS)

##@ Test

.PHONY: services
services: ## start what the tests need and what does not answer: with docker compose, else from Debian's packages (SERVICES=<names>)
	internal/services/start.sh $(SERVICES)

.PHONY: test
test: ## run the tests of every module
	$(call in-each,$(code_modules),go test ./...)

.PHONY: race
race: ## the same with the race detector, in random order
	$(call in-each,$(code_modules),go test -race -shuffle=on -timeout=45m ./...)

.PHONY: bench
bench: ## measure against the bars in docs/benchmarks.md (BENCH=<pattern>, SCALE=0.1, CHECK=1 fails at a miss)
	cd internal/bench && go run . -run='$(or $(BENCH),.)' -scale=$(or $(SCALE),1) $(if $(CHECK),-check)

.PHONY: microbench
microbench: ## run the go benchmarks of every module (BENCH=<pattern>, COUNT=<n>; compare with bin/benchstat)
	$(call in-each,$(code_modules),go test -run='^$$' -bench='$(or $(BENCH),.)' -benchmem -count=$(or $(COUNT),1) ./...)

.PHONY: soak
soak: ## simulate by seed and kill -9 for long: over an hour (CONTRIBUTING.md has the variables)
	OUTBOX_SIM_SEEDS=$(or $(OUTBOX_SIM_SEEDS),1000000) go test -count=1 -timeout=0 -v ./outbox/internal/ledger/...
	cd internal/crash && OUTBOX_CRASH_KILLS=$(or $(OUTBOX_CRASH_KILLS),200) OUTBOX_CRASH_STOPS=$(or $(OUTBOX_CRASH_STOPS),20) go test -count=1 -timeout=0 -v ./...
	cd internal/takeover && OUTBOX_TAKEOVER_KILLS=$(or $(OUTBOX_TAKEOVER_KILLS),20) OUTBOX_TAKEOVER_EVENTS=$(or $(OUTBOX_TAKEOVER_EVENTS),40000) go test -count=1 -timeout=0 -v ./...
	cd persistence/postgres && OUTBOX_FAULT_ROUNDS=$(or $(OUTBOX_FAULT_ROUNDS),10) go test -race -count=1 -timeout=0 -v -run '$(fault_tests)' .
	cd persistence/postgres && OUTBOX_STRESS=$(or $(OUTBOX_STRESS),60s) go test -count=1 -timeout=0 -v -run '^TestOrderUnderStress$$' .

# The tests that cut connections, and stop, fill and exchange servers: those in files of that name.
fault_tests = $(shell sed -n 's/^func \(Test[A-Za-z0-9_]*\).*/^\1$$/p' persistence/postgres/*_fault_test.go | paste -sd '|' -)

# Every fuzz target, as <folder>:<name>. There is no list.
fuzz_targets = $(shell grep -roE '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' . | \
                 sed -E 's|/[^/]*:func |:|' | grep -E '$(or $(FUZZ),.)' | sort)

.PHONY: fuzz
fuzz: ## fuzz each target in turn (FUZZTIME=30s, FUZZ=<pattern>); what fails is kept in its testdata/fuzz
	$(if $(fuzz_targets),,$(error there is no fuzz target like $(FUZZ)))
	@failed=; for target in $(fuzz_targets); do \
		folder="$${target%:*}"; name="$${target##*:}"; \
		printf '%s: %s %s\n' '$@' "$$folder" "$$name"; \
		(cd "$$folder" && go test -run='^$$' -fuzz="^$$name\$$" -fuzztime=$(or $(FUZZTIME),30s) .) || failed="$$failed $$target"; \
	done; \
	if [ -n "$$failed" ]; then printf '%s failed in:%s\n' '$@' "$$failed" >&2; exit 1; fi

##@ Before you hand in

.PHONY: check
check: check-format vet lint check-proto check-tidy race consumer ## everything that CI checks

.PHONY: format
format: bin/golangci-lint bin/buf ## format the Go code and the .proto files
	$(call in-each,$(code_modules),golangci-lint fmt ./...)
	$(call in-each,$(proto_folders),buf format -w)

.PHONY: check-format
check-format: bin/golangci-lint bin/buf
	$(call in-each,$(code_modules),golangci-lint fmt --diff ./...)
	$(call in-each,$(proto_folders),buf format -d --exit-code)

.PHONY: vet
vet: ## go vet every module
	$(call in-each,$(code_modules),go vet ./...)

.PHONY: lint
lint: bin/golangci-lint ## lint every module (.golangci.yml)
	$(call in-each,$(code_modules),golangci-lint run ./...)

.PHONY: tidy
tidy: ## go mod tidy every module
	$(call in-each,$(modules),go mod tidy)

# What a module replaces is the repository's own.
.PHONY: next
next: ## after a release, let the modules require each other at VERSION=<the next one>
	$(if $(VERSION),,$(error VERSION is missing: make next VERSION=v0.2.0))
	$(call in-each,$(code_modules),for path in $$(go list -m -f '{{if .Replace}}{{.Path}}{{end}}' all); do \
		go mod edit -require="$$path@$(VERSION)"; done && go mod tidy)

.PHONY: check-tidy
check-tidy:
	$(call in-each,$(modules),go mod tidy -diff)

.PHONY: consumer
consumer: ## build a program outside the repository with the modules as they would be released
	cd internal/consumer && go run .

##@ Generate

.PHONY: generate
generate: bin/buf bin/protoc-gen-go ## generate the Go code of the .proto files
	$(call in-each,$(proto_folders),buf generate)

.PHONY: check-proto
check-proto: bin/buf check-generated ## lint the .proto files, and compare with what was promised (AGAINST=<commit>)
	$(call in-each,$(proto_folders),buf lint)
	internal/tools/breaking.sh $(AGAINST)

# Generated beside the tree and compared with it, so that changes not yet committed do not get in the way.
.PHONY: check-generated
check-generated: bin/buf bin/protoc-gen-go
	@rm -rf bin/_generated bin/_committed && mkdir -p bin/_generated bin/_committed
	$(call in-each,$(proto_folders),buf generate -o '$(CURDIR)/bin/_generated/'"$$folder")
	@find . -name '*.pb.go' -not -path './bin/*' | tar -cf - -T - | tar -xf - -C bin/_committed
	@diff -ru bin/_committed bin/_generated || { echo 'the generated code is not up to date: make generate' >&2; exit 1; }

.PHONY: tools
tools: $(patsubst ./internal/tools/%,bin/%,$(tool_modules)) ## build the pinned tools into bin/

.PHONY: clean
clean: ## remove the tools and what else was built
	rm -rf bin
