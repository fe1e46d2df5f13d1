# Every target does its own set-up: the first run of any of them makes .venv, later ones find it in place.
# PYTHON picks the interpreter (3.11 or later); pip's own settings pick the package index.
PYTHON ?= python3
export OMP_WAIT_POLICY = passive

VENV := .venv
BIN := $(VENV)/bin
SHRINKML := $(BIN)/shrinkml
READY := $(VENV)/.runtime-ready
DEV_READY := $(VENV)/.dev-ready

# Tests run on one thread each, and wait for processes that they start: three at a time fill a machine of two cores.
TEST_PROCESSES ?= 3

# Recordings of real people; nothing is downloaded. Elsewhere: make digits FSDD=/path/to/free-spoken-digit-dataset
FSDD ?= ../shared/data/fsdd
LIBRISPEECH ?= ../shared/data/librispeech_dev_clean_20spk

# A model that others trained: OpenAI's Whisper tiny.en. Elsewhere: make whisper WHISPER=hf:openai/whisper-tiny.en
WHISPER ?= ../shared/models/whisper-tiny.en
# English that is neither trained nor tested on: its words stay whole tokens. Any folder of LibriSpeech transcripts.
LIBRISPEECH_TEXT ?= ../shared/data/librispeech_text

# Recognisers that stream: trained by configs/train/transducer.yaml and configs/train/tied.yaml.
STREAMING_MODELS ?= runs/models/transducer

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo serve test test-slow test-postgres check format reference bench bench-iterative bench-search bench-transfer bench-factorizers bench-growth bench-tuned bench-liteasr bench-windows bench-racing bench-versions bench-fidelity bench-look bench-levers bench-gptq bench-activations bench-onnx bench-quantization bench-memory bench-transducer bench-streaming bench-structure bench-stock bench-pretrained bench-load digits whisper results clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## Make the bundled recogniser five times smaller through the real service (minutes).
	$(BIN)/python -m server.cli.demo

serve: $(READY)  ## Start the HTTP service and its worker on this machine.
	$(SHRINKML) serve

test: $(DEV_READY)  ## Run the tests (about 15 minutes on two cores, no network).
	$(BIN)/pytest -m "not slow and not postgres" --numprocesses $(TEST_PROCESSES) --dist loadfile

test-slow: $(DEV_READY)  ## Run the proofs that take minutes.
	tests/with_postgres.sh --if-installed $(BIN)/pytest -m slow

test-postgres: $(DEV_READY)  ## Run the stores' tests over Postgres, with a server of its own (needs Debian's postgresql).
	tests/with_postgres.sh $(BIN)/pytest -m "postgres and not slow"

check: $(DEV_READY)  ## Format, lint, types, then the tests: what CI runs.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory test

format: $(DEV_READY)  ## Format the code and apply the linter's safe fixes.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

reference: $(READY)  ## Retrain the bundled models from synthetic speech.
	$(SHRINKML) prepare commands data/commands
	$(SHRINKML) train configs/train/commands.yaml --out shrinkml/reference/las
	$(SHRINKML) train configs/train/ctc.yaml --out shrinkml/reference/ctc
	$(SHRINKML) train configs/train/whisper.yaml --out shrinkml/reference/whisper

bench: $(READY)  ## Measure the low-rank LSTM against the dense one.
	$(BIN)/python benchmarks/lstm.py

bench-iterative: data/commands/train.jsonl  ## Iterative against one-shot against a narrower model, at 12x and 16x; --ratios adds more (resumable).
	$(BIN)/python benchmarks/iterative.py

bench-gptq: data/commands/train.jsonl  ## Weights of few bits, rounded to the nearest or so that outputs stay close (minutes).
	$(BIN)/python benchmarks/gptq.py

bench-activations: data/commands/train.jsonl  ## Activations in 8, 6 and 4 bits on the bundled models without LSTMs, and as graphs of integers (minutes).
	$(BIN)/python benchmarks/activations.py

bench-onnx: $(READY)  ## ONNX Runtime against torch, float32 and int8, on the bundled model (needs data/commands).
	$(BIN)/python benchmarks/export.py

bench-quantization: data/commands/train.jsonl  ## Static and torch's own int8 beside what jobs use, on the bundled CTC model.
	$(BIN)/python benchmarks/quantization.py

bench-memory: $(READY)  ## Memory and time of Whisper's full shapes, and of larger ones by their shapes (needs LIBRISPEECH).
	$(BIN)/python benchmarks/memory.py --source $(LIBRISPEECH)

bench-transducer: $(READY)  ## Time and memory of the transducer loss (seconds).
	$(BIN)/python benchmarks/transducer.py

bench-streaming: $(READY)  ## Latency of the streaming recognisers in STREAMING_MODELS, piece by piece (needs data/commands).
	$(BIN)/python benchmarks/streaming.py $(STREAMING_MODELS)

bench-stock: data/librispeech-30s/train.jsonl $(DEV_READY)  ## WHISPER, and a COMPRESSED checkpoint, in the programs of others that are installed.
	$(BIN)/python benchmarks/stock_runtimes.py $(WHISPER) $(COMPRESSED) --int8-speech data/librispeech-30s/dev.jsonl

bench-structure: $(READY)  ## Count folders, words, forms, dictionaries, lengths and tests of the sources (seconds).
	$(BIN)/python benchmarks/structure.py

bench-load: $(READY)  ## The service under load: 100 clients poll, 20 follow, 200 submit a second, while a job runs (minutes).
	$(BIN)/python benchmarks/load.py

bench-search: data/commands/train.jsonl  ## Search strategies at equal evaluations, without retraining (resumable; hours).
	$(BIN)/python benchmarks/search.py

bench-transfer: runs/models/small/config.json  ## Whether a policy learned by one search helps another (resumable; two hours).
	$(BIN)/python benchmarks/transfer.py

bench-pretrained: data/librispeech-30s/train.jsonl data/librispeech-30s/words.txt  ## Whisper tiny.en without training: sizes, LiteASR, int8 and int4, searches (resumable; hours).
	$(BIN)/python benchmarks/pretrained.py --model $(WHISPER)

bench-factorizers: data/commands/train.jsonl  ## Whether layers want factorizers of their own (minutes a model).
	$(BIN)/python benchmarks/factorizers.py

bench-growth: $(READY)  ## How a search's own time grows with layers and evaluations, on toys (resumable; an hour).
	$(BIN)/python benchmarks/growth.py

bench-tuned: data/commands/train.jsonl  ## What the same fine-tuning leaves of the strategies' difference (resumable; an hour).
	$(BIN)/python benchmarks/tuned.py

bench-liteasr: data/commands/train.jsonl  ## LiteASR's plans against ours at the same sizes, without retraining (resumable).
	$(BIN)/python benchmarks/liteasr.py

bench-windows: data/librispeech-30s/train.jsonl  ## Whisper in short windows, in silence, in loops and on long recordings (minutes a model).
	$(BIN)/python benchmarks/windows.py $(WHISPER)

bench-racing: data/commands/train.jsonl  ## What it saves to give up plans that cannot win, and how often that is false.
	$(BIN)/python benchmarks/racing.py

bench-levers: data/commands/train.jsonl  ## Rank, bits and identity blocks in one plan against single levers, at equal bytes (resumable; hours).
	$(BIN)/python benchmarks/levers.py

bench-versions: data/commands/train.jsonl  ## Whether this version does what the one in BEFORE=path/to/checkout does.
	$(BIN)/python benchmarks/versions.py --before $(BEFORE)

bench-fidelity: data/commands/train.jsonl  ## How cheaply plans can be judged, and how well that ranks them.
	$(BIN)/python benchmarks/fidelity.py

bench-look: data/commands/train.jsonl  ## How well the losses of few ranks foretell those of the others (minutes).
	$(BIN)/python benchmarks/look.py

data/commands/train.jsonl: | $(READY)
	$(SHRINKML) prepare commands data/commands

digits: runs/models/digits/config.json  ## Train on real people's digits (once), then compress.
	$(SHRINKML) compress configs/digits.yaml --out runs/digits

whisper: data/librispeech-30s/train.jsonl  ## Compress OpenAI's Whisper tiny.en on real read speech (an hour and a half to two).
	$(SHRINKML) compress configs/whisper-tiny-en.yaml --model $(WHISPER) --allow-hub --out runs/whisper-tiny-en

data/librispeech-30s/train.jsonl: | $(READY)
	$(SHRINKML) prepare librispeech $(@D) --source $(LIBRISPEECH) --longest 30 --test-speakers 5

data/librispeech-30s/words.txt: data/librispeech-30s/train.jsonl
	test -d $(LIBRISPEECH_TEXT) || { echo 'set LIBRISPEECH_TEXT to a folder with LibriSpeech transcripts (*.trans.txt of test-clean)' >&2; exit 1; }
	find $(LIBRISPEECH_TEXT)/ -path '*test-clean*' -name '*.trans.txt' -exec cut -d ' ' -f 2- {} + | tr A-Z a-z > $@

runs/models/digits/config.json: configs/train/digits.yaml | $(READY)
	$(SHRINKML) prepare digits data/digits --source $(FSDD)
	$(SHRINKML) train $< --out $(@D)

runs/models/small/config.json: configs/train/small.yaml | data/commands/train.jsonl
	$(SHRINKML) train $< --out $(@D)

results: $(READY)  ## Print the README's table from the reports under runs/.
	$(BIN)/python benchmarks/results.py

clean:  ## Remove the environment, caches and build leftovers; keeps data/ and runs/.
	rm -rf $(VENV) build dist *.egg-info shrinkml/layers/kernel/*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.txt pyproject.toml setup.py shrinkml/layers/kernel/lstm_kernel.c
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "ShrinkML needs Python 3.11 or later; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(DEV_READY): $(READY) requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	touch $@
