#!/usr/bin/env python3
"""Writes a software bill of materials, CycloneDX 1.5 in JSON: what an installed or built Caffe is made of.

Its components are the Python packages of the environment that runs this, and the libraries that the compiled
package is linked with or loads from beside itself, with the Debian packages they are of. Given a wheel, the
libraries are those in it and those it takes from the system. There is no time in it: the same machine writes
the same bytes again.
"""

from __future__ import annotations

import argparse
import email.parser
import hashlib
import importlib.metadata
import json
import platform
import re
import subprocess
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
NAME = "hwgq-caffe"
# Compiled by the project itself, and therefore no component of it.
_OWN = re.compile(r"(_caffe\.|libcaffe|libhwgq)")


def sha256(path: Path) -> list[dict]:
    return [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked_hashes() -> dict[tuple[str, str], list[dict]]:
    """The SHA-256 of all files of a release, by name and version, where requirements/ci.txt has them."""
    found: dict[tuple[str, str], list[dict]] = {}
    release: list[dict] = []
    for line in (ROOT / "requirements/ci.txt").read_text().splitlines():
        if pin := re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line):
            release = found.setdefault((normalized(pin[1]), pin[2]), [])
        elif content := re.search(r"--hash=sha256:([0-9a-f]{64})", line):
            release.append({"alg": "SHA-256", "content": content[1]})
    return found


def licences(fields) -> list[dict]:
    """What a package's metadata says of its licence, in CycloneDX's words."""
    if expression := fields.get("License-Expression"):
        return [{"expression": expression}]
    names = [
        line.rpartition(" :: ")[2]
        for line in fields.get_all("Classifier") or []
        if line.startswith("License :: ") and not line.endswith(":: OSI Approved")
    ]
    text = (fields.get("License") or "").strip()
    # Some put the whole text there.
    if not names and text and text != "UNKNOWN" and "\n" not in text and len(text) < 100:
        names = [text]
    return [{"license": {"name": name}} for name in sorted(set(names))]


def python_packages() -> list[dict]:
    """The packages of the environment that runs this, but for the project's own."""
    hashes, found = locked_hashes(), {}
    for distribution in importlib.metadata.distributions():
        fields = distribution.metadata
        name, version = fields.get("Name"), fields.get("Version")
        if not name or not version or normalized(name) == NAME:
            continue
        purl = f"pkg:pypi/{normalized(name)}@{quote(version, safe='')}"
        component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        if licence := licences(fields):
            component["licenses"] = licence
        if known := hashes.get((normalized(name), version)):
            # Which of the release's files was installed, pip does not write down.
            component["externalReferences"] = [
                {
                    "type": "distribution",
                    "url": f"https://pypi.org/project/{normalized(name)}/{version}/",
                    "hashes": known,
                }
            ]
        # The first of a name is the one that is imported.
        found.setdefault(normalized(name), component)
    return list(found.values())


def linked(file: Path) -> Iterable[tuple[str, Path | None]]:
    """Names of the libraries that a file is loaded with, and where the loader finds them."""
    done = subprocess.run(["ldd", file], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if match := re.match(r"\s*(\S+) => (not found|/.*?)(?: \(0x[0-9a-f]+\))?$", line):
            yield match[1], None if match[2] == "not found" else Path(match[2])


def debian_package(file: Path) -> tuple[str, str, str] | None:
    """Name, version and architecture of the package that a file is of; none without one, or without dpkg."""
    # Where /lib is a link to /usr/lib, packages may name either.
    names = [str(file), str(file).removeprefix("/usr")]
    try:
        for name in names:
            owner = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True, check=False)
            if owner.returncode == 0:
                package = owner.stdout.splitlines()[0].partition(": ")[0].partition(",")[0]
                shown = "-f=${Package}\t${Version}\t${Architecture}"
                done = subprocess.run(
                    ["dpkg-query", "-W", shown, package], capture_output=True, text=True, check=True
                )
                name, version, architecture = done.stdout.split("\t")
                return name, version, architecture
    except FileNotFoundError:
        pass
    return None


def distribution_of(file: Path) -> importlib.metadata.Distribution | None:
    """The Python package that has installed a file, as wheels of libraries do."""
    for distribution in importlib.metadata.distributions():
        for path in distribution.files or []:
            if path.name == file.name and Path(distribution.locate_file(path)).resolve() == file:
                return distribution
    return None


def library(name: str, file: Path | None, inside: Path | None) -> dict:
    """The component for a library; `inside` is the folder of a wheel that it may have come in."""
    component = {"type": "library", "bom-ref": f"library:{name}", "name": name}
    if file is None:
        return component | {"properties": [{"name": "caffe:found", "value": "false"}]}
    file = file.resolve()
    component["hashes"] = sha256(file)
    if inside and file.is_relative_to(inside):
        return component | {
            "properties": [{"name": "caffe:bundled-as", "value": str(file.relative_to(inside))}]
        }
    properties = [{"name": "caffe:file", "value": str(file)}]
    if package := debian_package(file):
        debian, version, architecture = package
        distribution = platform.freedesktop_os_release().get("ID", "debian")
        component["version"] = version
        component["purl"] = f"pkg:deb/{distribution}/{debian}@{quote(version, safe='')}?arch={architecture}"
        properties.append({"name": "caffe:debian-package", "value": debian})
    elif owner := distribution_of(file):
        component["version"] = owner.version
        properties.append({"name": "caffe:python-package", "value": owner.metadata["Name"]})
    return component | {"properties": properties}


def native_files(package: Path) -> list[Path]:
    """The project's compiled files: those in the package, and beside the library that its module links to."""
    folders = {package}
    for module in package.glob("_caffe*.so"):
        folders |= {file.parent for name, file in linked(module) if file and _OWN.match(name)}
    # A build keeps the package's module as it was linked, too: the package's own is the one that is used.
    files = {
        file.resolve().name: file.resolve()
        for folder in sorted(folders, key=lambda folder: folder == package)
        for file in folder.glob("*.so*")
        if _OWN.match(file.name)
    }
    if not any(name.startswith("_caffe") for name in files):
        raise FileNotFoundError(f"{package} has no compiled module: make pycaffe, or name a wheel by --wheel")
    return sorted(files.values())


def libraries(files: Iterable[Path], inside: Path | None) -> list[dict]:
    found: dict[str, Path | None] = {}
    for file in files:
        for name, path in linked(file):
            if not _OWN.match(name):
                found[name] = found.get(name) or path
    return [library(name, path, inside) for name, path in found.items()]


def recorded_in_wheel(folder: Path) -> list[dict]:
    """The system's packages that a wheel's libraries were copied from, as auditwheel has noted them."""
    found = {}
    for file in folder.glob("*.dist-info/sboms/*.cdx.json"):
        for component in json.loads(file.read_text())["components"]:
            if not component.get("purl", "").startswith(f"pkg:pypi/{NAME.replace('-', '_')}@"):
                found[component["purl"]] = component | {"bom-ref": component["purl"]}
    return list(found.values())


def project(version: str, files: Iterable[Path]) -> dict:
    purl = f"pkg:pypi/{NAME}@{version}"
    return {
        "type": "framework",
        "bom-ref": purl,
        "name": NAME,
        "version": version,
        "purl": purl,
        "licenses": [{"license": {"id": "BSD-2-Clause"}}],
        "components": [
            {"type": "file", "bom-ref": f"file:{file.name}", "name": file.name, "hashes": sha256(file)}
            for file in sorted(files)
        ],
    }


def bill(root: dict, components: list[dict]) -> dict:
    components = sorted(components, key=lambda component: (component["name"].lower(), component["bom-ref"]))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": [
            {"ref": root["bom-ref"], "dependsOn": [component["bom-ref"] for component in components]}
        ],
    }
    identity = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))
    return document | {"serialNumber": f"urn:uuid:{identity}"}


def of_checkout(package: Path) -> dict:
    files = native_files(package)
    version = re.search(r"project\(Caffe VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert version
    return bill(project(version[1], files), python_packages() + libraries(files, None))


def of_wheel(wheel: Path) -> dict:
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        # Unlike tar's, zipfile's members never leave the folder.
        archive.extractall(folder)
        inside = Path(folder).resolve()
        metadata = next(inside.glob("hwgq_caffe-*.dist-info/METADATA"), None)
        if metadata is None:
            raise ValueError(f"{wheel} is no wheel of {NAME}")
        fields = email.parser.HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
        files = [file for file in inside.glob("caffe/**/*.so*") if _OWN.match(file.name)]
        components = python_packages() + libraries(files, inside) + recorded_in_wheel(inside)
        return bill(project(fields["Version"], files), components)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="sbom.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write; standard output without it")
    parser.add_argument(
        "--wheel", type=Path, metavar="FILE", help="a wheel of the project's, instead of its build"
    )
    options = parser.parse_args(arguments)
    try:
        document = of_wheel(options.wheel) if options.wheel else of_checkout(ROOT / "caffe")
        text = json.dumps(document, indent=2, sort_keys=True) + "\n"
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(text)
        else:
            sys.stdout.write(text)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
