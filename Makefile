# Everything a person or a machine does with this repository. `make` alone lists it.
#
# Works as root and as a plain user. PostgreSQL's server programs, and PgBouncer for
# the tests, are installed when they are missing; set TENANTD_DATABASE__URL (demo) or
# TEST_DATABASE_URL (tests) to use a server of your own instead.

.DEFAULT_GOAL := help
SHELL := /bin/sh
ARGS ?=
# What else is built with the program. Cargo unites the features of all that is built at once, so
# after `make test` a program built with an example is the one the tests ran, and nothing is
# compiled anew: `.ci/run` says BESIDE="--example jwe_tool".
BESIDE ?=
export BESIDE
# Where cargo builds, unless its own configuration says otherwise.
TARGET := $(or $(CARGO_TARGET_DIR),target)
# A DATABASE_URL of the caller's own must not decide how the SQL macros compile.
export SQLX_OFFLINE = true

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Guided tour on this machine alone; ARGS="--tenants 50 --exit" for scripts
	@[ -n "$$TENANTD_DATABASE__URL" ] || scripts/install-postgres
	@echo "Building tenantd; the first time this takes some minutes." >&2
	cargo build --bin tenantd $(BESIDE)
	$(if $(BESIDE),"$(TARGET)/debug/tenantd",cargo run --quiet --) demo $(ARGS)

.PHONY: test
test: ## All tests, on a private PostgreSQL of their own
	@[ -n "$$TEST_DATABASE_URL" ] || scripts/install-postgres
	@scripts/install-pgbouncer
	cargo test $(ARGS)

.PHONY: lint
lint: ## Formatting, clippy and documentation, all without a warning
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

.PHONY: sqlx
sqlx: install-postgres ## Refresh .sqlx after a change of SQL or schema
	scripts/sqlx-prepare

.PHONY: sqlx-check
sqlx-check: install-postgres ## Fail when .sqlx is not current
	scripts/sqlx-prepare --check

.PHONY: schema
schema: ## Refresh docs/schema.sql and docs/reasons.md after a change of the schema or of reasons
	@[ -n "$$TEST_DATABASE_URL" ] || scripts/install-postgres
	WRITE_SCHEMA=1 cargo test --quiet --test it -- schema::the_schema_in_the_documents book::the_page_of_reasons

.PHONY: bench
bench: install-postgres ## Measure one row of docs/benchmarks.md: ARGS="flat --fleet 1000000"
	cargo bench --bench provision -- $(ARGS)

.PHONY: interop
interop: export INTEROP_DIR := $(or $(INTEROP_DIR),$(CURDIR)/target/interop)
interop: ## Open our JWEs with the stock libraries of other languages, and run the examples
	@[ -n "$$TEST_DATABASE_URL" ] || scripts/install-postgres
	tests/interop/run.sh
	examples/end-to-end/run.sh

.PHONY: drivers
drivers: export DRIVERS_DIR := $(or $(DRIVERS_DIR),$(CURDIR)/target/drivers)
drivers: install-postgres ## Write tenants with the drivers that pipelines use, without casts
	tests/drivers/run.sh

.PHONY: clients
clients: export CLIENTS_DIR := $(or $(CLIENTS_DIR),$(CURDIR)/target/interop)
clients: install-postgres ## Hold the client libraries against the real daemon, through rotations, outages and removals
	tests/clients/run.sh

.PHONY: clients-long
clients-long: export CLIENTS_DIR := $(or $(CLIENTS_DIR),$(CURDIR)/target/interop)
clients-long: install-postgres ## The same with more tenants and outages, and behind PgBouncer
	@scripts/install-pgbouncer
	tests/clients/run.sh --long

.PHONY: upgrade
upgrade: install-postgres ## Run the previous version and this one side by side, and upgrade what it left
	scripts/with-previous

.PHONY: monitoring
monitoring: install-postgres ## Try alerts and dashboard with Prometheus itself, beside a busy daemon
	tests/monitoring/run.sh

.PHONY: api-test
api-test: export API_DIR := $(or $(API_DIR),$(CURDIR)/target/api-test)
api-test: install-postgres ## Hold a running daemon's HTTP API against its OpenAPI document
	tests/api/run.sh $(ARGS)

.PHONY: page-test
page-test: export PAGE_DIR := $(or $(PAGE_DIR),$(CURDIR)/target/page-test)
page-test: install-postgres ## Look at the status page of a running daemon with headless Chromium
	tests/page/run.sh $(ARGS)

.PHONY: page-times
page-times: install-postgres ## Measure each page and list with 100,000 tenants
	tests/page/times.sh

.PHONY: rekey-check
rekey-check: ## Seal 100,000 secrets anew beside a daemon that rotates, with 20 kills (minutes)
	@[ -n "$$TEST_DATABASE_URL" ] || scripts/install-postgres
	cargo test --test it -- --ignored --nocapture --exact rekey::a_hundred_thousand_secrets_survive_twenty_kills

.PHONY: import-check
import-check: install-postgres ## Import a million tenants, kill it, go on, mend what was rejected
	tests/import/run.sh

.PHONY: book
book: ## Build the book of docs/ into target/book, and hold its links
	tests/book/build.sh

.PHONY: book-test
book-test: export BOOK_LIBRARIES := $(or $(BOOK_LIBRARIES),$(CURDIR)/target/interop)
book-test: install-postgres ## Run every command and example that README and book show
	@scripts/install-pgbouncer
	tests/book/run.sh $(ARGS)

.PHONY: book-pages
book-pages: install-postgres ## Refresh docs/sql.md after a change of the schema, its comments or its roles
	tests/book/run.sh --write

.PHONY: deploy-check
deploy-check: ## Check unit, image, compose, Kubernetes, bill of materials and licences as what reads them would
	scripts/check-deploy

.PHONY: deny
deny: ## Hold licences, bans and sources of all crates to deny.toml
	"$$(scripts/install-checkers)/cargo-deny" --log-level error check licenses bans sources

.PHONY: sbom
sbom: ## Write what the program is made of to target/tenantd.cdx.json (CycloneDX)
	mkdir -p target && scripts/sbom >target/tenantd.cdx.json

.PHONY: advisories
advisories: ## Ask the RustSec database at GitHub about all crates
	"$$(scripts/install-checkers)/cargo-deny" check advisories

# Packages. PROFILE is what is shipped; `PROFILE=release` takes a fraction of the time to build, for trying.
PROFILE ?= dist
export PROFILE
MUSL := $(shell uname -m)-unknown-linux-musl

.PHONY: deb
deb: ## Make the Debian package in target/debian
	scripts/package-deb

.PHONY: deb-check
deb-check: install-postgres ## Install, upgrade under load, go back, remove and purge the package in a Debian of its own
	previous=$$(scripts/package-previous) && made=$$(scripts/package-deb) && tests/packages/run.sh "$$previous" "$$made"

.PHONY: musl
musl: ## Build a program that needs no library of the system
	@command -v musl-gcc >/dev/null || scripts/install-packages musl musl-gcc apt-get=musl-tools apk=musl-dev dnf=musl-gcc
	rustup target add $(MUSL)
	cargo build --profile $(PROFILE) --locked --bin tenantd --target $(MUSL)

.PHONY: musl-check
musl-check: musl install-postgres ## See that it is static, and that its tour provisions
	tests/musl/run.sh "$(TARGET)/$(MUSL)/$(PROFILE)/tenantd"

.PHONY: image
image: musl ## Make the container image, without a daemon or a registry, in target/image
	scripts/package-image

.PHONY: image-check
image-check: image install-postgres ## Run the daemon confined to what the image holds
	tests/image/run.sh

# The long proofs, one after another: a line more is one more.
LONG += deb-check
LONG += musl-check
LONG += image-check
LONG += import-check
LONG += clients-long
LONG += rekey-check

.PHONY: ci-long
ci-long: ## What takes too long for .ci/run: each of LONG, one after another, and how long it took
	@set -e; for proof in $(LONG); do \
		began=$$(date +%s); echo "== $$proof"; $(MAKE) --no-print-directory "$$proof"; \
		echo "== done in $$(($$(date +%s) - began))s: $$proof"; \
	done

.PHONY: install-postgres
install-postgres: ## Install PostgreSQL's server programs where they are missing
	@scripts/install-postgres

PREFIX ?= /usr/local
.PHONY: install
install: ## Build what is shipped; install program and manual pages to PREFIX (/usr/local; the unit wants /usr)
	cargo build --profile dist --locked --bin tenantd
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/share/man/man1"
	install -m 0755 "$(TARGET)/dist/tenantd" "$(DESTDIR)$(PREFIX)/bin/tenantd"
	"$(TARGET)/dist/tenantd" man --out "$(DESTDIR)$(PREFIX)/share/man/man1"

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean
