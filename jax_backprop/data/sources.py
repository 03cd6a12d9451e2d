"""Source files of a set before anything is built of them: are they there, whole, or to be had?"""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from jax_backprop.errors import InputError
from jax_backprop.storage import file_sha256

if TYPE_CHECKING:
    from tensorflow_datasets.core.download.checksums import UrlInfo

UrlInfos: TypeAlias = "Mapping[str, UrlInfo]"  # by address
PROBE_SECONDS = 3.0  # tensorflow-datasets itself gives up after minutes
PORTS = {"http": 80, "https": 443}


def check_files(name: str, folder: Path, url_infos: UrlInfos) -> None:
    """Raise InputError unless a folder holds a set's source files, byte for byte."""
    wrong = []
    for info in url_infos.values():
        path = folder / str(info.filename)
        if not path.is_file():
            wrong.append(f"{info.filename} is missing")
        elif path.stat().st_size != info.size:
            wrong.append(f"{info.filename} has {path.stat().st_size:,} bytes")
        elif file_sha256(path) != info.checksum:
            wrong.append(f"{info.filename} has another SHA-256")
    if wrong:
        raise InputError(
            f"source files of {name}",
            got=f"{folder}, where {'; '.join(wrong)}",
            expected=f"in it {_listing(url_infos)}",
            remedy="Fetch these files again, each unchanged and under its own name.",
        )


def probe(name: str, url_infos: UrlInfos) -> None:
    """Raise InputError within three seconds if the host of a set's files can't be reached."""
    url = next(iter(url_infos))
    failure: list[str] = [f"no answer within {PROBE_SECONDS:g} s"]

    def connect() -> None:
        try:
            socket.create_connection(address(url), timeout=PROBE_SECONDS).close()
            failure.clear()
        except OSError as error:
            failure[:] = [str(error)]

    # A thread of its own: looking up a host's name heeds no timeout.
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(PROBE_SECONDS)
    if failure:
        raise unreachable(name, url_infos, failure[0])


def unreachable(name: str, url_infos: UrlInfos, why: str) -> InputError:
    """Build the error for files that can't be downloaded: what to put where, and the command."""
    host = urlsplit(next(iter(url_infos))).hostname
    return InputError(
        f"data set {name}",
        got=f"no way to {host} ({why})",
        expected="a network, or the files in a folder",
        remedy=f"Put {_listing(url_infos)} into a folder, and run "
        f"`jax-backprop data prepare {name} --from FOLDER`.",
    )


def wrong_download(name: str, url_infos: UrlInfos, why: str) -> InputError:
    """Build the error for downloaded files that aren't what was published."""
    return InputError(
        f"data set {name}",
        got=f"a damaged or changed download ({why})",
        expected=_listing(url_infos),
        remedy="Run the command again; if that doesn't help, fetch the files from elsewhere and "
        f"run `jax-backprop data prepare {name} --from FOLDER`. Nothing was kept.",
    )


def address(url: str) -> tuple[str, int]:
    """Return the host and port to reach for a URL: the proxy's where there is one."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or PORTS.get(parts.scheme, 443)


def _listing(url_infos: UrlInfos) -> str:
    return ", ".join(
        f"{info.filename} ({int(info.size):,} bytes, SHA-256 {info.checksum})"
        for info in url_infos.values()
    )
