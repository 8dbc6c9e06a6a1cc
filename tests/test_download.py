"""caffe download, from a server on this machine."""

import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading

import pytest
from tool_runner import environment, fails, run

import caffe
from caffe import download
from caffe.hwgq import released, zoo

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 400 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 2000 weight_filler { type: "gaussian" } } }
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of weights, some megabytes large."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "net.prototxt").write_text(NET)
    caffe.Net(str(folder / "net.prototxt"), caffe.TEST).save(str(folder / "net.caffemodel"))
    return (folder / "net.caffemodel").read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; notes what was asked for."""

    def do_GET(self):
        content, start = self.server.content, 0
        self.server.while_asked()
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", self.server.leads_to)
            self.end_headers()
            return
        if self.path != "/net.caffemodel":
            self.send_error(404)
            return
        if asked and self.server.resumes:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.server.breaks_at or None])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(weights):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.asked, server.resumes, server.breaks_at = weights, [], True, None
    server.while_asked = lambda: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def make_model(folder, server, **fields):
    folder.mkdir(exist_ok=True)
    url = f"http://127.0.0.1:{server.server_port}/net.caffemodel"
    fields = {"name": "Net", "caffemodel": "net.caffemodel", "caffemodel_url": url} | fields
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    (folder / "readme.md").write_text("\n".join(["---", *lines, "---", "", "A net."]))
    return folder


def test_fetches_and_checks(tmp_path, server, weights):
    make_model(tmp_path / "net", server, sha1=hashlib.sha1(weights).hexdigest().upper())
    done = run("download", "net", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "net/net.caffemodel (3.21 MB)\n"
    assert (tmp_path / "net/net.caffemodel").read_bytes() == weights
    assert {path.name for path in (tmp_path / "net").iterdir()} == {"readme.md", "net.caffemodel"}
    # What is there is not fetched again.
    assert run("download", "net", cwd=tmp_path).returncode == 0
    assert server.asked == [None]


def test_progress_and_goes_on_where_it_broke_off(tmp_path, server, weights):
    folder = make_model(tmp_path / "net", server)
    server.breaks_at = 2_000_000
    shown = []
    with pytest.raises(OSError, match="net.caffemodel.part is kept") as error:
        download.fetch(folder, lambda have, total: shown.append((have, total)))
    assert "put it there as" in str(error.value) and str(folder / "net.caffemodel") in str(error.value)
    assert not (folder / "net.caffemodel").exists()
    assert shown[-1] == (2_000_000, len(weights)) and shown[0][0] < 2_000_000
    server.breaks_at = None
    assert download.fetch(folder, lambda have, total: shown.append((have, total))).read_bytes() == weights
    assert server.asked == [None, "bytes=2000000-"]
    assert shown[-1] == (len(weights), len(weights))


def test_a_whole_part_needs_no_more(tmp_path, server, weights):
    folder = make_model(tmp_path / "net", server)
    (folder / "net.caffemodel.part").write_bytes(weights)
    assert download.fetch(folder).read_bytes() == weights


@pytest.mark.parametrize("resumes", [True, False])
def test_parts_of_other_files_are_dropped(tmp_path, server, weights, resumes):
    server.resumes = resumes
    folder = make_model(tmp_path / "net", server)
    (folder / "net.caffemodel.part").write_bytes(b"x" * (len(weights) + 5))
    assert download.fetch(folder).read_bytes() == weights


def test_damaged_files_do_not_get_the_name(tmp_path, server, weights):
    make_model(tmp_path / "net", server, sha1="0" * 40)
    fails(run("download", "net", cwd=tmp_path), "SHA-1", "0" * 40, hashlib.sha1(weights).hexdigest())
    server.content = weights[:-100]
    make_model(tmp_path / "cut", server)
    fails(run("download", "cut", cwd=tmp_path), "net.caffemodel")
    server.content = b"<html>not found</html>"
    make_model(tmp_path / "html", server)
    fails(run("download", "html", cwd=tmp_path), "net.caffemodel")
    for folder in ("net", "cut", "html"):
        assert {path.name for path in (tmp_path / folder).iterdir()} == {"readme.md"}


def test_what_is_wrong_is_said(tmp_path, server):
    make_model(tmp_path / "gone", server, caffemodel_url=f"http://127.0.0.1:{server.server_port}/gone")
    fails(run("download", "gone", cwd=tmp_path), "404", "put it there as gone/net.caffemodel")
    make_model(tmp_path / "off", server, caffemodel_url="http://127.0.0.1:9/net.caffemodel")
    fails(run("download", "off", cwd=tmp_path), "127.0.0.1:9", "refused")
    make_model(tmp_path / "none", server, caffemodel_url=None)
    fails(run("download", "none", cwd=tmp_path), "none/readme.md", "caffemodel_url")
    make_model(tmp_path / "up", server, caffemodel="../net.caffemodel")
    fails(run("download", "up", cwd=tmp_path), "up/readme.md", "../net.caffemodel")
    (tmp_path / "none/readme.md").write_text("# A net")
    fails(run("download", "none", cwd=tmp_path), "none/readme.md", "front matter")
    (tmp_path / "empty").mkdir()
    fails(run("download", "empty", cwd=tmp_path), "empty/readme.md")
    fails(run("download", "alexnet_hwg", cwd=tmp_path), "did you mean alexnet_hwgq?")


@pytest.mark.parametrize("name", ["..", ".", "/tmp/net.caffemodel", "../net.caffemodel", "a/b", "a\0b"])
def test_names_of_other_folders_are_refused(tmp_path, server, name):
    folder = make_model(tmp_path / "net", server, caffemodel=name)
    with pytest.raises(ValueError, match="the name of a file in this folder"):
        download.fetch(folder)
    assert server.asked == []


def test_no_file_that_is_there_is_overwritten(tmp_path, server, weights):
    folder = make_model(tmp_path / "net", server, caffemodel="readme.md")
    text = (folder / "readme.md").read_bytes()
    fails(run("download", "net", cwd=tmp_path), "readme.md")
    assert (folder / "readme.md").read_bytes() == text and server.asked == []


@pytest.mark.parametrize("link", ["symbolic", "dangling", "hard", "pipe"])
def test_nothing_is_written_through_a_link(tmp_path, server, weights, link):
    """A folder from a stranger may hold links, as archives may."""
    folder = make_model(tmp_path / "net", server)
    precious, part = tmp_path / "precious", folder / "net.caffemodel.part"
    if link != "dangling":
        precious.write_bytes(b"kept")
    if link == "hard":
        os.link(precious, part)
    elif link == "pipe":
        os.mkfifo(part)
    else:
        part.symlink_to(precious)
    fails(run("download", "net", cwd=tmp_path), str(part.relative_to(tmp_path)), "remove it")
    assert precious.exists() == (link != "dangling")
    assert link == "dangling" or precious.read_bytes() == b"kept"
    assert server.asked == []


def test_a_link_made_meanwhile_is_not_followed(tmp_path, server, weights):
    folder = make_model(tmp_path / "net", server)
    precious, part = tmp_path / "precious", folder / "net.caffemodel.part"
    precious.write_bytes(b"kept")
    server.while_asked = lambda: part.symlink_to(precious)
    server.handle_error = lambda *arguments: None  # The client goes away.
    with pytest.raises(OSError, match="symbolic links"):
        download.fetch(folder)
    assert precious.read_bytes() == b"kept"


def test_a_link_in_the_place_of_the_file_is_replaced(tmp_path, server, weights):
    folder = make_model(tmp_path / "net", server)
    (folder / "net.caffemodel").symlink_to(tmp_path / "elsewhere")
    assert download.fetch(folder).read_bytes() == weights
    assert not (tmp_path / "elsewhere").exists() and not (folder / "net.caffemodel").is_symlink()


def test_only_the_web_is_asked(tmp_path, server, weights):
    (tmp_path / "secret").write_bytes(weights)
    for url in (f"file://{tmp_path}/secret", "ftp://127.0.0.1/net", "data:,x", f"{tmp_path}/secret"):
        folder = make_model(tmp_path / "net", server, caffemodel_url=url)
        fails(run("download", "net", cwd=tmp_path), url, "http and https")
        assert {path.name for path in folder.iterdir()} == {"readme.md"}


def test_where_a_server_leads_to(tmp_path, server, weights):
    here = f"http://127.0.0.1:{server.server_port}"
    folder = make_model(tmp_path / "net", server, caffemodel_url=f"{here}/moved")
    for server.leads_to in ("ftp://127.0.0.1/net", "file:///etc/passwd"):
        with pytest.raises(OSError, match="cannot be fetched"):
            download.fetch(folder)
        assert {path.name for path in folder.iterdir()} == {"readme.md"}
    with pytest.raises(ValueError, match="gives up its encryption"):
        download._check_scheme("http://a/net", "https://a/net")
    server.leads_to = f"{here}/net.caffemodel"
    assert download.fetch(folder).read_bytes() == weights


def test_checksums(tmp_path, server, weights):
    make_model(tmp_path / "odd", server, sha1="12ab")
    fails(run("download", "odd", cwd=tmp_path), "odd/readme.md", "40 hexadecimal digits", "12ab")
    make_model(tmp_path / "none", server)
    done = run("download", "none", cwd=tmp_path)
    assert done.returncode == 0
    assert "none/readme.md has no sha1" in done.stderr and hashlib.sha1(weights).hexdigest() in done.stderr
    # Weights of one's own under the name are not taken for the model's.
    folder = make_model(tmp_path / "net", server, sha1="0" * 40)
    (folder / "net.caffemodel").write_bytes(weights)
    fails(run("download", "net", cwd=tmp_path), "SHA-1")
    assert (folder / "net.caffemodel").read_bytes() == weights


def test_the_old_script(root, tmp_path, server, weights):
    make_model(tmp_path / "net", server)
    done = subprocess.run(
        [sys.executable, root / "scripts/download_model_binary.py", "net"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "net/net.caffemodel").read_bytes() == weights


def test_the_papers_models_have_their_folders(root):
    assert len(released.MODELS) == 10
    assert {path.name for path in (root / "models").iterdir()} == set(released.MODELS)
    for model in released.MODELS.values():
        for name, content in released.files(model).items():
            path = root / "models" / model.folder / name
            assert path.read_text() == content, f"{path}: run python -m caffe.hwgq.released"
        info = download.read_info(root / "models" / model.folder)
        assert info.url == f"http://www.svcl.ucsd.edu/projects/hwgq/{info.name}.caffemodel"
        assert model.run in zoo.RUNS


def test_a_papers_model_by_its_name(tmp_path, server, weights, monkeypatch):
    url = f"http://127.0.0.1:{server.server_port}/net.caffemodel"
    monkeypatch.setattr(released.Model, "url", url)
    monkeypatch.chdir(tmp_path)
    from caffe.cli import main

    assert main(["download", "alexnet_hwgq"]) == 0
    assert (tmp_path / "models/alexnet_hwgq/AlexNet_HWGQ.caffemodel").read_bytes() == weights
    deploy = tmp_path / "models/alexnet_hwgq/deploy.prototxt"
    assert deploy.is_file()
    # What is in the folder stays, and no link there is written through.
    deploy.unlink()
    deploy.symlink_to(tmp_path / "elsewhere")
    assert main(["download", "alexnet_hwgq"]) == 0
    assert not (tmp_path / "elsewhere").exists()
