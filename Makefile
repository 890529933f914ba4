# The commands of daily work; each sets up what is missing first. `make help` lists them.
# ARGS is passed on: make run ARGS="--seed 7".

CACHE := $(or $(GALAPAGOS_CACHE),$(HOME)/.cache/galapagos)
BIN   := $(or $(CARGO_TARGET_DIR),target)/release
ARGS  :=

export PATH := $(CACHE)/bin:$(PATH)
# One computing thread a process: several processes share the cores, and OpenMP threads that spin while they wait for each
# other on a busy machine bring it to a halt.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help setup setup-vllm build run tiny test faults soak check reproduce evidence bench bench-vllm bench-train bench-search bench-sandbox bench-weights check-vllm check-cuda clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18

setup: ## install everything that `run`, `test` and `check` need
	scripts/setup.sh check

setup-vllm: ## install vLLM for CPU, a peer of the benchmarks (1.5 GB, outside CI)
	scripts/setup.sh vllm

build: ## build the executables (release)
	scripts/setup.sh tiny
	cargo build --release --locked -p galapagos-cli -p galapagos-worker -p galapagos-sandbox -p galapagos-trainer

run: ## evolve SmolLM2 on verified tasks: the main job, about 10 minutes on 2 idle cores once it is built
	scripts/setup.sh run
	$(MAKE) --no-print-directory build
	$(BIN)/galapagos run recipes/quickstart.yaml $(ARGS)

tiny: build ## the small main job, from scratch in under 3 minutes, no weights to download
	$(BIN)/galapagos run recipes/tiny.yaml $(ARGS)

reproduce: ## the quickstart's claim with its negative control
	scripts/setup.sh run
	$(MAKE) --no-print-directory build
	$(BIN)/galapagos reproduce quickstart $(ARGS)

evidence: ## every experiment whose evidence is missing or out of date: hours; it may be stopped and started again
	scripts/setup.sh run
	$(MAKE) --no-print-directory build
	$(BIN)/galapagos reproduce --all $(ARGS)

# On a machine that does nothing else: threads may wait actively, as peers do by default.
bench: ## the generation engine beside transformers, in turns: about 30 minutes on 2 idle cores once it is built
	scripts/setup.sh test
	$(MAKE) --no-print-directory build
	env -u OMP_WAIT_POLICY $(BIN)/galapagos bench engine --against hf $(ARGS)

bench-vllm: ## the generation engine beside vLLM
	scripts/setup.sh vllm
	$(MAKE) --no-print-directory build
	env -u OMP_WAIT_POLICY $(BIN)/galapagos bench engine --against vllm $(ARGS)

bench-train: ## training steps beside PyTorch, in turns: time, memory, ranks, layouts
	scripts/setup.sh test
	$(MAKE) --no-print-directory build
	$(BIN)/galapagos bench train --against torch $(ARGS)

bench-search: ## searches over many trees beside lock-step, and beside the engine alone
	scripts/setup.sh run
	$(MAKE) --no-print-directory build
	$(BIN)/galapagos bench search $(ARGS)

bench-sandbox: build ## checks of programs a second
	$(BIN)/galapagos bench sandbox $(ARGS)

bench-weights: ## storing and sending children as deltas, beside whole
	scripts/setup.sh test
	scripts/bench_weights.sh $(ARGS)

test: ## every test that needs no GPU
	scripts/setup.sh test
	scripts/test.sh

check-cuda: ## compile and link collectives (with NCCL), trainer and worker with libtorch for CUDA, and run them (outside CI)
	scripts/setup.sh test
	scripts/check_cuda.sh

faults: ## the long fault test: make faults KILLS=100
	scripts/setup.sh test
	scripts/faults.sh $(KILLS)

soak: ## 10,000 random requests through the generation engine: no wrong token, no leak
	scripts/setup.sh tiny
	cargo run --release --locked -p galapagos-model --example soak -- $(ARGS)

check: ## the gate: format, lints, tests, documentation, dependencies, form
	scripts/check.sh

check-vllm: ## the remote engine against a real vLLM server on CPU (outside CI)
	scripts/setup.sh vllm
	scripts/check_vllm.sh

clean: ## delete build results; the cache in $(CACHE) stays
	cargo clean
