"""Fetches trained weights, as Caffe's model zoo has them: a readme in a folder says what and where."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import _caffe

_BLOCK = 1 << 20
_SECONDS = 30

#: Called with the bytes that are there and those there will be (0 where the server does not say).
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ModelInfo:
    """What the readme of a model's folder says."""

    folder: Path
    name: str
    #: The weights' file in the folder.
    caffemodel: Path
    url: str
    #: Of the file, in hexadecimal; empty where it is not known.
    sha1: str


def read_info(folder: str | os.PathLike) -> ModelInfo:
    """Reads a model's readme. Raises ValueError where it lacks what fetching needs."""
    folder = Path(folder)
    readme = folder / "readme.md"
    lines = readme.read_text(encoding="utf-8").splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in (line.strip() for line in lines[1:]):
        raise ValueError(f"{readme} has no front matter: lines of NAME: VALUE between two lines of ---")
    fields = {}
    for line in lines[1:]:
        if line.strip() == "---":
            break
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip()] = value.strip()
    for name in ("caffemodel", "caffemodel_url"):
        if not fields.get(name):
            raise ValueError(f"{readme}: its front matter lacks {name}")
    if not re.fullmatch(r"(?!\.\.?$)[^/\0]+", fields["caffemodel"]):
        raise ValueError(
            f"{readme}: caffemodel is the name of a file in this folder, not {fields['caffemodel']}"
        )
    digest = fields.get("sha1", "").lower()
    if digest and not re.fullmatch("[0-9a-f]{40}", digest):
        raise ValueError(f"{readme}: sha1 is 40 hexadecimal digits, not {digest}")
    return ModelInfo(
        folder=folder,
        name=fields.get("name", folder.name),
        caffemodel=folder / fields["caffemodel"],
        url=fields["caffemodel_url"],
        sha1=digest,
    )


def fetch(folder: str | os.PathLike, progress: Progress | None = None) -> Path:
    """Fetches a model's weights into its folder, unless they are there; goes on with what was begun before.

    The file gets its name when it is whole: its size is what the server says, its checksum what the readme
    says, and it can be read as weights. Nothing is written but that file and, until it is whole, NAME.part,
    both in the folder: no link there is followed. No server is asked but by http and https.

    Raises:
        OSError: the server cannot be reached or breaks off; the message says how to place the file by hand.
        ValueError: the readme lacks something, or has what is not allowed; or the file is damaged.
    """
    info = read_info(folder)
    if info.caffemodel.exists():
        check(info, info.caffemodel)
        return info.caffemodel
    part = info.caffemodel.with_name(info.caffemodel.name + ".part")
    _check_scheme(info.url)
    if os.path.lexists(part) and not _is_ordinary(part):
        raise ValueError(
            f"{part} is a link or no ordinary file, and the download would be written there: remove it "
            "and try again"
        )
    try:
        _download(info.url, part, progress)
    except (OSError, ValueError) as error:
        kept = f" {part.name} is kept: the next try goes on with it." if part.exists() else ""
        raise OSError(
            f"{info.url} cannot be fetched ({_reason(error)}).{kept} To place the file by hand, get it on "
            f"another machine and put it there as {info.caffemodel}"
        ) from error
    try:
        check(info, part)
    except (ValueError, _caffe.Error):
        part.unlink()
        raise
    part.rename(info.caffemodel)
    return info.caffemodel


def check(info: ModelInfo, file: Path) -> None:
    """Raises ValueError or caffe.Error where a file is not the weights that the readme means."""
    if info.sha1 and (found := sha1(file)) != info.sha1:
        raise ValueError(
            f"{file} is not what {info.name} is: its SHA-1 is {found}, not {info.sha1}; "
            "remove it and fetch it again"
        )
    _caffe.check_weights(os.fspath(file))


def sha1(file: str | os.PathLike) -> str:
    """A file's SHA-1, in hexadecimal."""
    digest = hashlib.sha1()
    with open(file, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _check_scheme(url: str, before: str = "") -> None:
    """Raises ValueError unless a URL is of the web, and as safe as the one that led to it."""
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise ValueError(f"{url}: models are fetched by http and https, not by {scheme or 'a name alone'}")
    if scheme == "http" and before.startswith("https:"):
        raise ValueError(f"{before} leads to {url}, which gives up its encryption")


def _is_ordinary(file: Path) -> bool:
    """Whether what is written to a file stays where the file is: it is no link of either kind, no device."""
    status = file.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_scheme(newurl, req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _download(url: str, part: Path, progress: Progress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        # The part is all there is, or not a part of this file.
        if error.code == 416 and error.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
            return
        if error.code == 416:
            part.unlink()
            return _download(url, part, progress)
        raise
    with response:
        resumed = response.status == 206
        left = int(response.headers.get("Content-Length") or 0)
        have = have if resumed else 0
        total = have + left if left else 0
        with open(part, "ab" if resumed else "wb", opener=_open_no_link) as file:
            while block := response.read(_BLOCK):
                file.write(block)
                have += len(block)
                if progress:
                    progress(have, total)
    if total and have != total:
        raise ValueError(f"it broke off after {have} of {total} bytes")


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)
    return str(error)
