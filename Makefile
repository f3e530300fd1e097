# Everything a reader, a teacher or a maintainer does. The first call creates .venv and installs requirements.txt.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BOOK   := build/book-env

.DEFAULT_GOAL := help
.PHONY: help figures row notebooks answers test lint lab train train-gcm paper data bench book slides clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

figures: $(VENV)/installed  ## run every notebook (copies of them) and write figures/: ONLY="03 05" LANGUAGE=ja FORMAT=svg
	@$(BIN)/python scripts/run_notebooks.py $(if $(filter command,$(origin LANGUAGE)),--language $(LANGUAGE)) $(if $(FORMAT),--format $(FORMAT)) $(ONLY)

row: $(VENV)/installed  ## your photo, its scores and two maps, in saved/: PICTURE=photo.jpg CLASS="espresso" CREDIT="..." NETWORK=<runs/name or a model file> FORMAT=svg LANGUAGE=ja
	@$(BIN)/python scripts/draw_row.py "$(PICTURE)" $(if $(CLASS),--class "$(CLASS)") $(if $(NETWORK),--network "$(NETWORK)") $(if $(OUTPUT),--output "$(OUTPUT)") $(if $(CREDIT),--credit "$(CREDIT)") $(if $(FORMAT),--format $(FORMAT)) $(if $(filter command,$(origin LANGUAGE)),--language $(LANGUAGE))

notebooks: $(VENV)/installed  ## re-run the stored notebooks in place (maintainers)
	@$(BIN)/python scripts/run_notebooks.py --inplace $(ONLY)

answers: $(VENV)/installed  ## record what the solutions find as the exercises' answers (maintainers; with CIFAR-10): ONLY="03 05"
	@$(BIN)/python scripts/run_notebooks.py --record $(ONLY)

test: lint  ## style, unit tests, notebooks in quick mode
	$(BIN)/python -m pytest -n 2 --dist loadfile --nbval-lax --nbval-cell-timeout=600 tests notebooks

lint: $(VENV)/installed  ## style only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lab: $(VENV)/installed  ## open the notebooks in JupyterLab: ARGS="--port 9000 --no-browser"
	UPLOAD_MB=250 $(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)" \
		--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb \
		--ServerApp.tornado_settings="{'websocket_max_message_size': 268435456}" $(ARGS)

train: $(VENV)/installed  ## train a classifier: PHOTOS=<folder of class folders> (without: the drawn kitchen) NETWORK=blog|imagenet EPOCHS=<n>
	$(BIN)/python scripts/train_classifier.py $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(NETWORK),--network $(NETWORK)) $(if $(EPOCHS),--epochs $(EPOCHS)) $(ARGS)

train-gcm: $(VENV)/installed  ## train on CIFAR-10: VARIANT=gcm|gcm-clipped|gcm-separate|cnn EPOCHS=<n, default 180>
	$(BIN)/python scripts/train_gcm.py --variant $(or $(VARIANT),gcm) $(if $(EPOCHS),--epochs $(EPOCHS)) $(ARGS)

paper: $(VENV)/installed  ## the GCM paper's experiment: three networks, 180 epochs, a table beside its numbers; RECIPE=letter|found
	$(BIN)/python scripts/train_paper.py $(if $(RECIPE),--recipe $(RECIPE)) $(ARGS)

data: $(VENV)/installed  ## collect photos (Openverse, or Flickr with a key); MANIFEST=<file> fetches the same set again
	$(BIN)/python scripts/collect_photos.py $(if $(MANIFEST),--manifest "$(MANIFEST)") $(ARGS)

bench: $(VENV)/installed  ## what the explanations cost, in forward passes, beside two other libraries (half an hour)
	$(BIN)/python benchmarks/peers.py $(ARGS)

book: $(BOOK)/installed  ## a website of the stored notebooks and docs/, in build/book
	$(BOOK)/bin/sphinx-build -q -E -W --keep-going -c book -d build/book-doctrees . build/book
	@$(BOOK)/bin/python book/check.py build/book

slides: $(BOOK)/installed  ## decks for four lessons (TEACHING.md), in build/slides
	@$(BOOK)/bin/python book/slides.py

clean:  ## remove .venv, the executed copies, the book and the slides; data, runs and figures stay
	rm -rf $(VENV) build

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 13) else f"Python {v[0]}.{v[1]} found; TensorFlow needs 3.10 to 3.13: make PYTHON=python3.12 ...")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements.txt into $(VENV) (once; a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(BOOK)/installed: book/requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else f"Python {v[0]}.{v[1]} found; the book needs 3.11 or later: make PYTHON=python3.12 ...")'
	@$(BOOK)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(BOOK)
	@echo "installing book/requirements.txt into $(BOOK) (once; a minute) ..."
	@$(BOOK)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
