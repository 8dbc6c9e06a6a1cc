"""scripts/sbom.py: the bill of materials, against what CycloneDX 1.5 asks for."""

import hashlib
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from tool_runner import environment

TYPES = {"application", "framework", "library", "container", "platform", "operating-system", "device", "file"}
HEX = re.compile("[0-9a-f]{64}")


def run(root, *arguments):
    return subprocess.run(
        [sys.executable, root / "scripts/sbom.py", *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )


def check_hashes(hashes):
    for entry in hashes:
        assert (
            set(entry) == {"alg", "content"} and entry["alg"] == "SHA-256" and HEX.fullmatch(entry["content"])
        )


def check_component(component):
    assert component["type"] in TYPES and component["name"]
    assert set(component) <= {
        *("type", "bom-ref", "name", "version", "purl", "hashes", "licenses", "components"),
        *("externalReferences", "properties"),
    }
    check_hashes(component.get("hashes", []))
    for entry in component.get("licenses", []):
        # One expression, or licences each with an id or a name.
        assert (
            list(entry) == ["expression"]
            and len(component["licenses"]) == 1
            or (
                list(entry) == ["license"]
                and len(entry["license"]) == 1
                and set(entry["license"]) <= {"id", "name"}
            )
        )
    for entry in component.get("externalReferences", []):
        assert entry["type"] == "distribution" and entry["url"].startswith("https://")
        check_hashes(entry["hashes"])
    for entry in component.get("properties", []):
        assert set(entry) == {"name", "value"} and all(isinstance(value, str) for value in entry.values())
    for part in component.get("components", []):
        check_component(part)


def check_document(text):
    """Its components by name, after what the schema asks of a bill has been looked at."""
    document = json.loads(text)
    assert document["bomFormat"] == "CycloneDX" and document["specVersion"] == "1.5"
    assert isinstance(document["version"], int) and document["version"] >= 1
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["serialNumber"])
    assert set(document) == {
        *("bomFormat", "specVersion", "serialNumber", "version", "metadata", "components", "dependencies")
    }
    main, components = document["metadata"]["component"], document["components"]
    for component in (main, *components):
        check_component(component)
    references = [component["bom-ref"] for component in (main, *main["components"], *components)]
    assert len(references) == len(set(references))
    (edges,) = document["dependencies"]
    assert edges["ref"] == main["bom-ref"] and set(edges["dependsOn"]) <= set(references)
    assert main["name"] == "hwgq-caffe" and main["licenses"] == [{"license": {"id": "BSD-2-Clause"}}]
    return main, {component["name"]: component for component in components}


def properties(component):
    return {entry["name"]: entry["value"] for entry in component["properties"]}


def test_what_a_build_is_made_of(root, tmp_path):
    if not list((root / "caffe").glob("_caffe*.so")):
        pytest.skip("the package that is tested was not built here")
    done = run(root, "--out", tmp_path / "new/sbom.json")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "new/sbom.json").read_text()
    main, components = check_document(text)
    assert main["version"] in (root / "CMakeLists.txt").read_text()
    assert any(part["name"].startswith("_caffe.") for part in main["components"])
    for name in ("numpy", "protobuf"):
        assert components[name]["version"] == importlib.metadata.version(name)
        assert components[name]["licenses"]
    (blas,) = [component for name, component in components.items() if re.match(r"lib(open)?blas", name)]
    file = properties(blas)["caffe:file"]
    with open(file, "rb") as stream:
        assert blas["hashes"][0]["content"] == hashlib.sha256(stream.read()).hexdigest()
    if shutil.which("dpkg-query") and file.startswith("/usr/lib"):
        package = properties(blas)["caffe:debian-package"]
        shown = subprocess.run(
            ["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True, check=True
        )
        assert blas["version"] == shown.stdout
        assert blas["purl"].startswith("pkg:deb/") and f"/{package}@" in blas["purl"]
    assert not {"libcaffe.so.2", "hwgq-caffe"} & set(components)
    assert run(root).stdout == text


def test_hashes_are_the_locks(root):
    _, components = check_document(run(root).stdout)
    lock = (root / "requirements/ci.txt").read_text()
    locked = 0
    for component in components.values():
        pin = f"{re.sub('[-_.]+', '-', component['name']).lower()}=={component.get('version')}"
        for reference in component.get("externalReferences", []):
            after = lock.partition(f"{pin} ")[2]
            block = re.split(r"\n(?! )", after)[0]
            assert [entry["content"] for entry in reference["hashes"]] == re.findall("sha256:(.{64})", block)
            locked += 1
    if importlib.metadata.version("numpy") in re.findall(r"^numpy==(\S+)", lock, re.M):
        assert locked


def test_what_a_wheel_brings(root, tmp_path):
    compiler = shutil.which("cc") or shutil.which("c++")
    if not compiler:
        pytest.skip("there is no compiler")
    for folder in ("caffe", "hwgq_caffe.libs"):
        (tmp_path / folder).mkdir()
    bundled, module = tmp_path / "hwgq_caffe.libs/libbrought-1a2b.so", tmp_path / "caffe/_caffe.so"
    (tmp_path / "brought.c").write_text("int brought(void) { return 1; }\n")
    (tmp_path / "module.c").write_text(
        'int brought(void);\nint puts(const char*);\nint module(void) { return puts("") + brought(); }\n'
    )
    shared = [compiler, "-shared", "-fPIC"]
    subprocess.run(
        [*shared, f"-Wl,-soname,{bundled.name}", "-o", bundled, tmp_path / "brought.c"], check=True
    )
    link = [bundled, "-Wl,-rpath,$ORIGIN/../hwgq_caffe.libs"]
    subprocess.run([*shared, "-o", module, tmp_path / "module.c", *link], check=True)
    noted = {"name": "libbrought1", "version": "1.0-2", "purl": "pkg:deb/debian/libbrought1@1.0-2"}
    itself = {"name": "hwgq_caffe", "version": "7.8.9", "purl": "pkg:pypi/hwgq_caffe@7.8.9?file_name=x"}
    wheel = tmp_path / "hwgq_caffe-7.8.9-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in (bundled, module):
            archive.write(file, file.relative_to(tmp_path))
        archive.writestr("hwgq_caffe-7.8.9.dist-info/METADATA", "Name: hwgq-caffe\nVersion: 7.8.9\n\nText")
        archive.writestr(
            "hwgq_caffe-7.8.9.dist-info/sboms/auditwheel.cdx.json",
            json.dumps({"components": [{"type": "library"} | part for part in (itself, noted)]}),
        )
    done = run(root, "--wheel", wheel)
    assert done.returncode == 0, done.stderr
    main, components = check_document(done.stdout)
    assert main["version"] == "7.8.9" and [part["name"] for part in main["components"]] == ["_caffe.so"]
    brought = components[bundled.name]
    assert properties(brought) == {"caffe:bundled-as": f"hwgq_caffe.libs/{bundled.name}"}
    assert brought["hashes"][0]["content"] == hashlib.sha256(bundled.read_bytes()).hexdigest()
    assert components["libbrought1"]["version"] == "1.0-2" and "hwgq_caffe" not in components
    assert "caffe:file" in properties(components["libc.so.6"])


def test_what_is_missing_is_said(root, tmp_path):
    shutil.copytree(root / "scripts", tmp_path / "scripts")
    (tmp_path / "caffe").mkdir()
    done = run(tmp_path)
    assert done.returncode == 1 and "make pycaffe" in done.stderr and "Traceback" not in done.stderr
    (tmp_path / "no.whl").write_text("no wheel")
    for name in ("no.whl", "none.whl"):
        done = run(root, "--wheel", tmp_path / name)
        assert done.returncode == 1 and done.stderr.startswith("sbom: ") and "Traceback" not in done.stderr
