"""A stand-in for a model hub on 127.0.0.1, which huggingface_hub's real client takes for one.

    with HubServer() as hub:
        hub.add("someone/model", {"config.json": b"{}", "model.safetensors": large})
        run_cli("model", "pull", "someone/model", "--out", ..., environment=hub.environment(tmp_path))

Files are served as the hub serves them: small ones from the repository with git's digest as their ETag, large
ones (`LARGE`) by a redirect to a second server, as to a content delivery network, with their SHA-256 in
X-Linked-Etag. Both answer range requests. What goes wrong is set in `hub.faults`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

HOST = "127.0.0.1"
LARGE = (".safetensors", ".bin", ".model")
"""Endings of the files that live in large file storage."""

MAIN = "main"
PIECE = 1 << 16


@dataclass(slots=True)
class Faults:
    """What goes wrong; nothing, to begin with.

    Attributes:
        cut_after: By file, bytes after which each transfer is cut off.
        cuts: How many transfers are cut off; later ones go through.
        refuse_after_cut: Whether every request after a cut fails with 503.
        wrong_bytes: Files whose bytes are not those of their digest; the length is right.
        gated: Whether files are refused with 403 and GatedRepo.
        private: Whether everything is refused with 401 but to who brings `token`.
        token: The token that opens what is private.
        claimed_size: By file, the size that is announced in place of the true one.
        status: Answers everything, in place of what was asked.
        forbid_after: Requests after which all are refused with 403; None is never.
        no_commit: Whether the header with the commit is left out, as by a server that is no hub.
        hold: By file, an event that a transfer waits for after its first piece.
    """

    cut_after: dict[str, int] = field(default_factory=dict)
    cuts: int = 1
    refuse_after_cut: bool = False
    wrong_bytes: set[str] = field(default_factory=set)
    gated: bool = False
    private: bool = False
    token: str = "hf_of_the_test"
    claimed_size: dict[str, int] = field(default_factory=dict)
    status: HTTPStatus | None = None
    forbid_after: int | None = None
    no_commit: bool = False
    hold: dict[str, threading.Event] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived, the names of its headers in lower case, to be looked at afterwards."""

    server: str
    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Repository:
    """Commits by branch, tag or id, and their files."""

    revisions: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)


class HubServer:
    """The hub and its content delivery network, each in threads of its own.

    Attributes:
        faults: What goes wrong.
        requests: Every request so far.
        sent: Bytes of bodies that went out, by file.
    """

    def __init__(self) -> None:
        """Bind both ports; nothing is answered yet."""
        self.faults = Faults()
        self.requests: list[Request] = []
        self.sent: dict[str, int] = {}
        self._repositories: dict[str, Repository] = {}
        self._hub = ThreadingHTTPServer((HOST, 0), partial(_HubHandler, self))
        self._cdn = ThreadingHTTPServer((HOST, 0), partial(_CdnHandler, self))
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            for server in (self._hub, self._cdn)
        ]

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://{HOST}:{self._hub.server_address[1]}"

    @property
    def cdn(self) -> str:
        """Where large files lie."""
        return f"http://{HOST}:{self._cdn.server_address[1]}"

    def add(self, repository: str, files: Mapping[str, bytes], *, revision: str = MAIN) -> str:
        """Commit files to a repository, which takes the place of all that the revision had.

        Returns:
            The commit's id.
        """
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        there = self._repositories.setdefault(repository, Repository())
        there.commits[commit] = dict(files)
        there.revisions.update({revision: commit, commit: commit})
        return commit

    def find(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return a revision's commit and files, or None where there is no such revision.

        Raises:
            KeyError: There is no such repository.
        """
        there = self._repositories[repository]
        commit = there.revisions.get(revision)
        return None if commit is None else (commit, there.commits[commit])

    def blob(self, digest: str) -> tuple[str, bytes] | None:
        """Return name and contents of a large file by its SHA-256."""
        for repository in self._repositories.values():
            for files in repository.commits.values():
                for name, data in files.items():
                    if hashlib.sha256(data).hexdigest() == digest:
                        return name, data
        return None

    def environment(self, home: Path, **extra: str) -> dict[str, str]:
        """Return the variables that lead the client here, with a cache of its own below `home`."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home / "hub-home"),
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": HOST,
            "no_proxy": HOST,
            **extra,
        }

    def of(self, method: str, name: str) -> list[Request]:
        """Return the requests for a file by name, or for its blob, in order."""
        return [
            request
            for request in self.requests
            if request.method == method and request.path.endswith(f"/{name}")
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for event in self.faults.hold.values():
            event.set()
        for server in (self._hub, self._cdn):
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """What both servers do: note the request, send bytes from where they are wanted."""

    protocol_version = "HTTP/1.1"
    server_name = ""

    def __init__(self, stand_in: HubServer, *arguments: object) -> None:
        self.stand_in = stand_in
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing on the test's terminal."""

    def do_HEAD(self) -> None:
        self._note()

    def do_GET(self) -> None:
        self._note()

    def refuse(self, status: HTTPStatus, code: str = "", message: str = "") -> None:
        """Answer with an error in the hub's form."""
        body = json.dumps({"error": message or status.phrase}).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message or status.phrase)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_file(self, name: str, data: bytes, headers: Mapping[str, str]) -> None:
        """Answer with a file, or the range of it that was asked for."""
        faults = self.stand_in.faults
        if name in faults.wrong_bytes:
            data = bytes(255 - byte for byte in data)
        start = 0
        wanted = self.headers.get("Range")
        if wanted and self.command == "GET":
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            self.send_response(HTTPStatus.PARTIAL_CONTENT)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(HTTPStatus.OK)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "GET":
            self._send_pieces(name, data[start:])

    def _send_pieces(self, name: str, data: bytes) -> None:
        faults = self.stand_in.faults
        limit = len(data)
        if faults.cuts > 0 and faults.cut_after.get(name, limit) < limit:
            limit = faults.cut_after[name]
            faults.cuts -= 1
            self.close_connection = True
            if faults.refuse_after_cut:
                faults.status = HTTPStatus.SERVICE_UNAVAILABLE
        sent = self.stand_in.sent
        try:
            for begin in range(0, limit, PIECE):
                piece = data[begin : min(begin + PIECE, limit)]
                self.wfile.write(piece)
                sent[name] = sent.get(name, 0) + len(piece)
                if begin + PIECE >= limit // 2 and (event := faults.hold.get(name)):
                    self.wfile.flush()
                    event.wait()
        except ConnectionError:
            self.close_connection = True  # the client has gone, on purpose

    def _note(self) -> None:
        self.stand_in.requests.append(
            Request(
                self.server_name,
                self.command,
                unquote(urlsplit(self.path).path),
                {name.lower(): value for name, value in self.headers.items()},
            )
        )
        faults = self.stand_in.faults
        if faults.forbid_after is not None and len(self.stand_in.requests) > faults.forbid_after:
            self.refuse(HTTPStatus.FORBIDDEN)
        elif faults.status:
            self.refuse(faults.status)
        else:
            self.answer()

    def answer(self) -> None:
        """Answer what was asked."""
        raise NotImplementedError


class _HubHandler(_Handler):
    """`/OWNER/NAME/resolve/REVISION/FILE`; there is nothing else that a pull asks for."""

    server_name = "hub"

    def answer(self) -> None:
        faults = self.stand_in.faults
        parts = urlsplit(self.path).path.lstrip("/").split("/", 4)
        if len(parts) != 5 or parts[2] != "resolve":
            self.refuse(HTTPStatus.NOT_FOUND)
            return
        repository, revision, name = "/".join(parts[:2]), unquote(parts[3]), unquote(parts[4])
        if faults.private and self.headers.get("Authorization") != f"Bearer {faults.token}":
            self.refuse(HTTPStatus.UNAUTHORIZED, "RepoNotFound", "Invalid username or password.")
            return
        if faults.gated:
            self.refuse(HTTPStatus.FORBIDDEN, "GatedRepo", "Access to this model is restricted.")
            return
        try:
            found = self.stand_in.find(repository, revision)
        except KeyError:
            # The hub answers 401 to who is not known, so as not to say what is private.
            self.refuse(HTTPStatus.UNAUTHORIZED, "RepoNotFound", "Repository not found")
            return
        if found is None:
            self.refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        commit, files = found
        if name not in files:
            self._no_entry(commit)
        else:
            self._entry(commit, name, files[name])

    def _no_entry(self, commit: str) -> None:
        self.send_response(HTTPStatus.NOT_FOUND)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Error-Message", "Entry not found")
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _entry(self, commit: str, name: str, data: bytes) -> None:
        faults = self.stand_in.faults
        headers = {} if faults.no_commit else {"X-Repo-Commit": commit}
        if not name.endswith(LARGE):
            etag = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
            self.send_file(name, data, {**headers, "ETag": f'"{etag}"'})
            return
        digest = hashlib.sha256(data).hexdigest()
        self.send_response(HTTPStatus.FOUND)
        for header, value in {
            **headers,
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(faults.claimed_size.get(name, len(data))),
            # As for most files of the real hub today: they can be had by another protocol, too.
            "X-Xet-Hash": digest,
            "Link": f'<{self.stand_in.endpoint}/api/xet>; rel="xet-auth"',
            "Location": f"{self.stand_in.cdn}/{digest}",
            "Content-Length": "0",
        }.items():
            self.send_header(header, value)
        self.end_headers()


class _CdnHandler(_Handler):
    """`/SHA256`, without asking who wants it."""

    server_name = "cdn"

    def answer(self) -> None:
        found = self.stand_in.blob(urlsplit(self.path).path.lstrip("/"))
        if found is None:
            self.refuse(HTTPStatus.NOT_FOUND)
        else:
            name, data = found
            self.send_file(name, data, {"ETag": '"the-network-has-its-own"'})
