"""The shell scripts: what they ask for, and what they say where they can't go on."""

import os
import subprocess
import sys

import pytest

FAKE_ID = "#!/bin/sh\necho 1000\n"
NOTHING = "#!/bin/sh\nexit 0\n"
TOOLS = ["c++", "make", "cmake", "ninja", "ccache", "protoc"]


def write_command(folder, name, text):
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path):
    """A folder of commands to stand for PATH: an ordinary user's machine with all tools and no library."""
    for name in ["bash", "sh", "dirname", "grep", "cat"]:
        os.symlink(f"/bin/{name}" if os.path.exists(f"/bin/{name}") else f"/usr/bin/{name}", tmp_path / name)
    for name in TOOLS:
        write_command(tmp_path, name, NOTHING)
    write_command(tmp_path, "id", FAKE_ID)
    write_command(tmp_path, "dpkg-query", "#!/bin/sh\nexit 1\n")
    return tmp_path


def run_setup(root, machine, **environment):
    environment = {"PATH": str(machine), "PYTHON": sys.executable} | environment
    return subprocess.run(
        [machine / "bash", root / "scripts/setup.sh"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def install_line(result):
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = [line for line in result.stderr.splitlines() if "apt-get install" in line]
    return line.split()


def test_setup_names_what_is_missing_where_it_may_not_install(root, machine):
    (machine / "cmake").unlink()
    words = install_line(run_setup(root, machine))
    assert words[:3] == ["apt-get", "update", "&&"]
    assert {"cmake", "liblmdb-dev", "libopenblas-openmp-dev", "libgtest-dev"} <= set(words)
    assert not {"g++", "ninja-build", "make"} & set(words)


def test_setup_asks_only_for_what_is_missing(root, machine):
    write_command(
        machine, "dpkg-query", '#!/bin/sh\nif [ "$3" != liblmdb-dev ]; then echo install ok installed; fi\n'
    )
    libraries = [word for word in install_line(run_setup(root, machine)) if word.startswith("lib")]
    assert libraries == ["liblmdb-dev"]


def test_setup_takes_another_flavour_of_a_library(root, machine):
    write_command(
        machine,
        "dpkg-query",
        '#!/bin/sh\nif [ "$3" = libopenblas-pthread-dev ]; then echo install ok installed; fi\n',
    )
    words = install_line(run_setup(root, machine))
    assert "libopenblas-openmp-dev" not in words
    assert "liblmdb-dev" in words


def test_setup_refuses_an_old_python(root, machine):
    write_command(
        machine, "old", '#!/bin/sh\nif [ "$1" = --version ]; then echo Python 3.8.10; exit; fi\nexit 1\n'
    )
    result = run_setup(root, machine, PYTHON=str(machine / "old"))
    assert result.returncode == 1
    assert "Python 3.8.10" in result.stderr
    assert "3.10 or newer" in result.stderr


def test_setup_says_that_there_is_no_python(root, machine):
    result = run_setup(root, machine, PYTHON="no-such-python")
    assert result.returncode == 1
    assert "no-such-python" in result.stderr


def test_jobs_are_bounded_by_the_cores(root):
    jobs = subprocess.run(["sh", root / "scripts/jobs.sh"], capture_output=True, text=True, check=True)
    assert 1 <= int(jobs.stdout) <= os.cpu_count()


@pytest.fixture
def gpu_build(machine):
    """A machine with a GPU, compute-sanitizer and the C++ tests, all of them fake."""
    os.symlink("/usr/bin/timeout", machine / "timeout")
    os.symlink("/bin/sleep", machine / "sleep")
    (machine / "test").mkdir()
    write_command(machine / "test", "caffe_tests", "#!/bin/sh\necho '[  PASSED  ] 1 test.'\n")
    # It is run as `compute-sanitizer --tool TOOL ...`.
    write_command(machine, "compute-sanitizer", f'#!/bin/sh\necho "$@" >>{machine}/runs\n. {machine}/$2\n')
    for tool in ("memcheck", "racecheck", "synccheck", "initcheck"):
        (machine / tool).touch()
    return machine


def run_gpu_sanitized(root, machine, *arguments, **environment):
    return subprocess.run(
        [machine / "bash", root / "scripts/test_gpu_sanitized.sh", *arguments],
        env={"PATH": str(machine), "BUILD_DIR": str(machine), "CUDA_HOME": str(machine)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_gpu_tests_pass_under_each_tool(root, gpu_build):
    result = run_gpu_sanitized(root, gpu_build, "--gtest_filter=GpuHwgq*")
    assert (result.returncode, result.stderr) == (0, "")
    runs = (gpu_build / "runs").read_text().splitlines()
    assert [line.split()[1] for line in runs] == ["memcheck", "racecheck", "synccheck", "initcheck"]
    for line in runs:
        assert "--error-exitcode 99" in line and line.endswith(" --gtest_filter=GpuHwgq*")
    assert "--track-stream-ordered-races all" in runs[0]


def test_what_a_tool_finds_in_gpu_tests_is_an_error(root, gpu_build):
    (gpu_build / "racecheck").write_text("exit 99\n")
    (gpu_build / "synccheck").write_text("exit 1\n")
    (gpu_build / "initcheck").write_text("sleep 20\n")
    result = run_gpu_sanitized(root, gpu_build, SECONDS_EACH="1")
    assert result.returncode == 1
    assert [line.partition(": ")[2] for line in result.stderr.splitlines() if "sanitized" in line] == [
        "racecheck found errors",
        "tests failed under synccheck, with status 1",
        "initcheck took longer than 1 seconds: name fewer tests by --gtest_filter",
    ]


def test_gpu_tests_are_left_out_with_the_reason(root, gpu_build):
    write_command(gpu_build / "test", "caffe_tests", "#!/bin/sh\necho '[  SKIPPED ] 1 test.'\n")
    result = run_gpu_sanitized(root, gpu_build)
    assert result.returncode == 0 and "left out: there is no GPU here that " in result.stdout
    (gpu_build / "test/caffe_tests").unlink()
    result = run_gpu_sanitized(root, gpu_build)
    assert result.returncode == 1 and "caffe_tests is missing" in result.stderr
    (gpu_build / "compute-sanitizer").unlink()
    result = run_gpu_sanitized(root, gpu_build)
    assert result.returncode == 0 and "left out: compute-sanitizer, of CUDA's toolkit" in result.stdout
