# The commands a person types; `make` lists them. ARGS goes to the program: make run ARGS="-c perennial.toml"

.DEFAULT_GOAL := help
.PHONY: help run demo test bench lint fuzz docs web soak

FUZZ_SECONDS ?= 600
SOAK_SECONDS ?= 600

help:
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 14

run: ## the gateway, on loopback unless a configuration says otherwise
	cargo run --release -- $(ARGS)

demo: ## everything on made-up sources, with a page to break them
	cargo run --release -- demo $(ARGS)

test: ## installs what is missing, then checks everything; CI runs this
	scripts/test.sh

bench: ## our numbers beside their yardsticks, from one run
	scripts/install.sh bench
	scripts/bench.sh $(ARGS)

lint: ## formatting, Clippy, licences and bans
	scripts/install.sh lint
	scripts/lint.sh

fuzz: ## looks for bytes that break a parser: FUZZ_SECONDS=600 for each target, ARGS=ts for one
	scripts/install.sh fuzz
	scripts/fuzz.sh $(FUZZ_SECONDS) $(ARGS)

docs: ## writes docs/ref again and renders the crates' documentation
	UPDATE_DOCS=1 cargo test -p perennial --test config_sample
	cargo doc --workspace --no-deps

web: ## builds the watch page into web/dist
	scripts/install.sh web
	cd web && npm ci --no-audit --no-fund && npm run build

soak: ## the long tests: SOAK_SECONDS=600 of a live origin and of ten failing channels, five minutes of a continuous stream and of links that expire
	scripts/install.sh test
	PERENNIAL_HOURS=50000 PERENNIAL_LIVE_SECONDS=$(SOAK_SECONDS) PERENNIAL_LISTEN_SECONDS=300 PERENNIAL_SOAK_SECONDS=$(SOAK_SECONDS) \
		PERENNIAL_FAULT_SECONDS=20 PERENNIAL_SEED=$${PERENNIAL_SEED:-$$(date +%s)} scripts/nextest.sh --profile soak \
		-E 'test(two_second_segments) + test(over_six_switches) + test(random_faults) + test(thousands_of_hours) + test(tokens_of_twenty_seconds) + test(a_link_dies)' $(ARGS)
