#!/usr/bin/env python3
"""Has clang-tidy look at the C++ sources, as .clang-tidy says: `make tidy`.

    scripts/tidy.py                                   libhwgq, libcaffe, the Python module: an hour of a core
    scripts/tidy.py --changed                         what has changed since the last commit
    scripts/tidy.py --changed main                    ... since the branch main was left
    scripts/tidy.py src/caffe/net.cpp src/caffe/util  these, and all in these folders; tests, too

A header is looked at with the sources that include it. CUDA files are left out, and so are the tests unless
they are named. Exit status 1 if anything is found.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Of the project, but not of what it installs.
TESTS = ("src/caffe/test/", "fuzz/")


def git(*arguments: str) -> list[str]:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()


@functools.cache
def headers_of(compiler: str) -> str:
    """The folder of the headers that come with it."""
    return subprocess.run(
        [compiler, "-print-file-name=include"], check=True, capture_output=True, text=True
    ).stdout.strip()


def commands(build: Path) -> dict[str, dict]:
    """How each C++ source is compiled, by its name below the root, in words that clang understands."""
    database = build / "compile_commands.json"
    if not database.is_file():
        sys.exit(f"tidy: {database} is missing: run make first")
    found = {}
    for entry in json.loads(database.read_text()):
        path = Path(entry["directory"], entry["file"])
        if path.suffix != ".cpp" or not path.is_relative_to(ROOT):
            continue
        words = shlex.split(entry["command"])
        # Before the compiler stand ccache and its environment.
        start = next(
            i
            for i, word in enumerate(words)
            if re.search(r"(\+\+|cc|clang)[-\d.]*$", word) and not word.endswith("ccache")
        )
        kept = []
        for i in range(start, len(words)):
            # The precompiled headers are another compiler's, and generated ones are nobody's to mend.
            if words[i].startswith(f"-I{build}"):
                kept += ["-isystem", words[i][2:]]
            elif words[i] not in ("-include", "-Winvalid-pch") and words[i - 1] != "-include":
                kept.append(words[i])
        name = path.relative_to(ROOT).as_posix()
        # omp.h is the compiler's own, with an attribute that clang does not know. The other headers there are
        # clang's before.
        kept += ["-idirafter", headers_of(kept[0]), "-D__malloc__(free)=__malloc__"]
        found[name] = {"directory": entry["directory"], "file": str(path), "arguments": kept}
    return found


def changed_since(revision: str) -> set[str]:
    base = git("merge-base", revision, "HEAD")[0]
    return {
        *git("diff", "--name-only", "--diff-filter=d", base),
        *git("ls-files", "--others", "--exclude-standard"),
    }


def with_includers(names: set[str], sources: list[str]) -> set[str]:
    """The names, and the sources that include headers among them themselves."""
    headers = [Path(name).name for name in names if name.endswith((".hpp", ".h"))]
    if not headers:
        return names
    line = re.compile(r'#include ["<](?:.*/)?(?:' + "|".join(map(re.escape, headers)) + r')[">]')
    return names | {source for source in sources if line.search((ROOT / source).read_text())}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="*", help="sources, headers and folders; all if none are named")
    parser.add_argument(
        "--changed", nargs="?", const="HEAD", metavar="REVISION", help="what changed since REVISION"
    )
    parser.add_argument(
        "--build", type=Path, default=ROOT / "build", help="the folder that make has built in"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many run at the same time")
    arguments = parser.parse_args()
    beside = Path(sys.executable).with_name("clang-tidy")
    program = str(beside) if beside.is_file() else shutil.which("clang-tidy")
    if not program:
        sys.exit("tidy: clang-tidy is missing: pip install '.[lint]'")

    database = commands(arguments.build.absolute())
    sources = sorted(database)
    if arguments.paths:
        named = {Path(path).resolve().relative_to(ROOT).as_posix() for path in arguments.paths}
        wanted = with_includers(named, sources)
        chosen = [
            source
            for source in sources
            if source in wanted or any(source.startswith(folder + "/") for folder in named)
        ]
    elif arguments.changed:
        wanted = with_includers(changed_since(arguments.changed), sources)
        chosen = [source for source in sources if source in wanted]
    else:
        chosen = [source for source in sources if not source.startswith(TESTS)]

    if arguments.paths and not chosen:
        sys.exit(
            f"tidy: {arguments.build / 'compile_commands.json'} has no source of {' '.join(arguments.paths)}"
        )

    found = False
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.jobs) as threads:
        Path(folder, "compile_commands.json").write_text(json.dumps([database[source] for source in chosen]))

        def check(source: str) -> subprocess.CompletedProcess:
            return subprocess.run(
                [program, "-p", folder, "--quiet", source], cwd=ROOT, capture_output=True, text=True
            )

        for source, done in zip(chosen, threads.map(check, chosen), strict=True):
            if done.returncode:
                found = True
                print(f"{source}:\n{done.stdout}", end="", flush=True)
                if not done.stdout:
                    print(done.stderr, end="", flush=True)
    print(f"tidy: {len(chosen)} sources", "have findings" if found else "are clean")
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
