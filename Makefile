# The targets that users of Caffe know, thin over CMake.
#   make all        the library, the tools and the Python module
#   make lib        build/lib/libcaffe.so
#   make tools      the launchers build/tools/caffe and its companions
#   make pycaffe    the compiled module into caffe/, so that `import caffe` works from here
#   make test       the C++ tests (not run); make runtest runs them, and compiles every header on its own
#   make pytest     runs the Python tests
#   make install    the library, its headers and CMake files, to PREFIX
#   make wheel      a self-contained wheel in dist/
#   make lock       pins the Python packages of CI anew; LOCK_ARGS=--upgrade takes the newest
#   make sbom       writes what all this is made of to dist/sbom.cdx.json; WHEEL=FILE for a wheel
#   make lint       checks the style; make format puts it right
#   make tidy       has clang-tidy look at the C++ sources, for an hour of a core; TIDY_ARGS=--changed at those changed
#                   since the last commit
# CAFFE_CUDA=ON builds for GPUs, too, and stays so until CAFFE_CUDA=OFF. CAFFE_CMAKE_ARGS are more options for CMake.
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell sh scripts/jobs.sh)
PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python3)
CLANG_FORMAT ?= $(firstword $(wildcard .venv/bin/clang-format) clang-format)
CXX_FILES = git ls-files '*.cpp' '*.hpp' '*.h' '*.cu' '*.cuh'
RUN_CMAKE = cmake --build $(BUILD) --parallel $(JOBS) --target

.PHONY: all lib tools pycaffe test headers runtest pytest install wheel lock sbom lint format tidy clean configure

all: configure
	@$(RUN_CMAKE) lib tools pycaffe

lib: configure
	@$(RUN_CMAKE) lib

tools: configure
	@$(RUN_CMAKE) tools

pycaffe: configure
	@$(RUN_CMAKE) pycaffe

test: configure
	@$(RUN_CMAKE) caffe_tests

headers: configure
	@$(RUN_CMAKE) caffe_headers

runtest: test headers
	$(BUILD)/test/caffe_tests --gtest_brief=1 $(GTEST_ARGS)

pytest: tools pycaffe
	$(PYTHON) -m pytest $(PYTEST_ARGS)

install: lib
	cmake --install $(BUILD) --prefix $(PREFIX)

wheel:
	PYTHON=$(PYTHON) bash scripts/wheel.sh

lock:
	PYTHON=$(PYTHON) bash scripts/lock.sh $(LOCK_ARGS)

sbom:
	$(PYTHON) scripts/sbom.py $(if $(WHEEL),--wheel $(WHEEL)) --out dist/sbom.cdx.json

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(CXX_FILES) | xargs $(CLANG_FORMAT) --dry-run -Werror

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	$(CXX_FILES) | xargs $(CLANG_FORMAT) -i

tidy: configure
	@$(RUN_CMAKE) caffe_proto
	$(PYTHON) scripts/tidy.py --build $(BUILD) --jobs $(JOBS) $(TIDY_ARGS)

# The generator is chosen once; everything else may change from run to run.
configure:
	@cmake -S . -B $(BUILD) $(if $(wildcard $(BUILD)/CMakeCache.txt),--log-level=WARNING,-G Ninja) \
	  -DPython_EXECUTABLE=$(abspath $(shell command -v $(PYTHON))) \
	  $(addprefix -DCAFFE_CUDA=,$(filter ON OFF,$(CAFFE_CUDA))) $(CAFFE_CMAKE_ARGS)

clean:
	rm -rf $(BUILD) caffe/_caffe*.so caffe/proto/caffe_pb2.py
