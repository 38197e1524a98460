# Everything is installed into $(VENV), at the versions in constraints.txt; git, make and a python3 are enough.
# Another Python: make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO ?= nkg2d_blood__nkg2d_phase1_synthetic
TRIAL ?= nkg2d_phase1_synthetic
PYTEST_ARGS ?= -m "not slow and not cluster"
PARALLEL ?= -n 2 --dist worksteal
UPGRADE ?=

# Which code a test run is of: the name of its junit file's suite, which the dossier of `make docs` shows.
CODE = $$(git describe --always --dirty 2>/dev/null || echo unknown)
JUNIT = --junitxml build/tests/$(1)$(VENV:.venv%=%).xml -o junit_suite_name="$(CODE)"

.PHONY: help install demo submission notebooks docs figures record test test-slow test-cluster lint bench audit constraints clean

help:
	@echo "make demo         fit the synthetic trial, write its report and its dose decision; eight minutes"
	@echo "make submission   plan under lock, the fit of make demo against it, the m5 tree, and its verification"
	@echo "make notebooks    run notebooks/*.py; write each with its figures as .ipynb beside it, and to runs/notebooks/"
	@echo "make docs         build the documentation into site/; open site/index.html"
	@echo "make figures      draw the pictures of the README and of the documentation again; needs a Chromium"
	@echo "make record       keep the results of the last tests for the validation dossier (docs/test_results.json)"
	@echo "make test         the fast tests; make test-slow: the others; make test-cluster: those on a Slurm of their own"
	@echo "make lint         ruff and pyright"
	@echo "make bench        timings"
	@echo "make audit        has a pinned dependency a known weakness? needs the network"
	@echo "make install      only the environment, in $(VENV)"
	@echo "make constraints  pin the versions again (UPGRADE=--upgrade for the newest)"
	@echo "make clean        remove environments, caches and built files; runs/ stays"

install: $(STAMP)

demo: $(STAMP)
	@mkdir -p runs
	$(BIN)/kinetics nca $(TRIAL) --out runs/$(TRIAL)-nca.csv
	$(BIN)/kinetics plot $(TRIAL) --analyte car_copies --out runs/$(TRIAL)-persistence.html
	@echo "A first look at the data: $(CURDIR)/runs/$(TRIAL)-persistence.html. The fit follows."
	$(BIN)/kinetics fit fits/$(DEMO).toml --out runs --force
	$(BIN)/kinetics report runs/$(DEMO)
	$(BIN)/kinetics recommend $(TRIAL) --study $(TRIAL) --run runs/$(DEMO) --strata tumour,ligand_score --out runs/$(TRIAL)-decision.html
	@echo "The report, and the dose decision that rests on the fit:"
	@ls $(CURDIR)/runs/$(DEMO)/*.html $(CURDIR)/runs/$(TRIAL)-decision.html

submission: $(STAMP)
	rm -rf runs/submission && mkdir -p runs/submission
	cp data/$(TRIAL)/map.toml runs/submission/map.toml
	$(BIN)/kinetics map lock runs/submission/map.toml
	$(BIN)/kinetics fit fits/$(DEMO).toml --out runs --force
	$(BIN)/kinetics report runs/$(DEMO) --m15 runs/submission/map.toml
	$(BIN)/kinetics submit runs/submission/tree --run runs/$(DEMO) --map runs/submission/map.toml --protocol $(TRIAL)
	$(BIN)/kinetics submit runs/submission/tree --verify

notebooks: $(STAMP)
	$(BIN)/python -m tests.support.notebook notebooks/*.py --out runs/notebooks

docs: $(STAMP)
	$(BIN)/python -m docs.generate

# PAGES="how_to/blq front" draws those of some pages alone.
figures: $(STAMP)
	$(BIN)/python -m docs.generate.figures $(PAGES)

record: $(STAMP)
	$(BIN)/python -m docs.generate.dossier

# PARALLEL spreads the test files over two processes; PARALLEL= runs them one after the other.
test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS) $(PARALLEL) $(call JUNIT,fast)

test-slow: $(STAMP)
	KINETICS_OPTIMISED=1 $(BIN)/python -m pytest -m "slow and not cluster" $(PARALLEL) $(call JUNIT,slow)

# As root, with Debian's slurmctld, slurmd, slurm-client and munge.
test-cluster: $(STAMP)
	$(BIN)/python -m pytest -m "cluster and not slow" tests/cluster $(call JUNIT,cluster)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

bench: $(STAMP)
	$(BIN)/python -m bench.run

# The pins against the dated list of known weaknesses, then pip-audit, run by uv in an environment of its own: nothing
# is installed here. "Not audited" is never taken for "nothing found": the auditor must have looked something up.
audit: $(STAMP)
	@uv=uv; uv --version >/dev/null 2>&1 || uv=$(BIN)/uv; \
	mkdir -p build; rm -f build/audit.json; \
	$(BIN)/python -m tests.support.audit constraints.txt || exit 1; \
	$$uv tool run pip-audit --requirement constraints.txt --no-deps --disable-pip --progress-spinner off \
	  --format json --output build/audit.json 2>build/audit.log; \
	if [ ! -s build/audit.json ]; then code=3; \
	else $(BIN)/python -m tests.support.audit constraints.txt build/audit.json; code=$$?; fi; \
	if [ $$code = 0 ]; then echo "audited: no known weakness in constraints.txt"; \
	elif [ $$code = 3 ]; then \
	  echo "NOT audited but by the list: the auditor (pip-audit, run by uv) or its data cannot be reached; see build/audit.log" >&2; \
	  exit 2; \
	else echo "constraints.txt has dependencies with known weaknesses" >&2; exit 1; fi

# One file of name==version lines serves every supported Python; of the extras only `explore`, which the tests need.
constraints:
	@uv=uv; uv --version >/dev/null 2>&1 || uv=$(BIN)/uv; \
	$$uv pip compile --quiet --no-header --no-annotate --universal --python-version 3.11 \
	  --group dev --group docs --extra explore pyproject.toml --output-file constraints.txt $(UPGRADE)

clean:
	rm -rf .venv .venv-* .pytest_cache .ruff_cache dist build site
	find kinetics models fits data tests notebooks docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "Python 3.11 or newer is needed; $(PYTHON) is %d.%d. Say: make PYTHON=/path/to/python3.12" % v[:2])'
	@set -e; \
	uv=uv; uv --version >/dev/null 2>&1 || uv=; \
	if [ ! -x $(BIN)/python ]; then \
	  if [ -n "$$uv" ]; then \
	    uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	  else \
	    $(PYTHON) -m venv $(VENV) || { \
	      rm -rf $(VENV); \
	      echo "$(PYTHON) cannot make an environment: install its venv package (python3-venv), or uv." >&2; \
	      exit 1; }; \
	  fi; \
	  echo '*' > $(VENV)/.gitignore; \
	fi; \
	if [ -z "$$uv" ] && { [ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; }; then \
	  uv=$(BIN)/uv; \
	fi; \
	if [ -n "$$uv" ]; then install="$$uv pip install --python $(BIN)/python"; \
	else install="$(BIN)/python -m pip install --disable-pip-version-check"; fi; \
	if $(BIN)/python -c 'import pip' >/dev/null 2>&1; then $$install --quiet --upgrade pip setuptools; fi; \
	$$install --quiet -r constraints.txt; \
	$$install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
