"""`mlapi model pull` as its users run it: huggingface_hub's real client against a stand-in for the hub."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer

from mlapi.models.source import read_source
from tests.support.http_server import REPOSITORY, clean_environment, run_cli, wait_until
from tests.support.hub_models import as_json, classifier, safetensors
from tests.support.hub_server import HOST, HubServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MODEL = "someone/small-classifier"
WEIGHTS = "model.safetensors"
MEGABYTE = 1 << 20


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A hub with nothing on it."""
    with HubServer() as server:
        yield server


def _pull(
    hub: HubServer, tmp_path: Path, reference: str = MODEL, *flags: str, **extra: str
) -> subprocess.CompletedProcess[str]:
    return run_cli(
        *("model", "pull", reference, "--out", str(tmp_path / "out"), *flags),
        environment=hub.environment(tmp_path, **extra),
    )


def _fails(done: subprocess.CompletedProcess[str], tmp_path: Path, *says: str) -> None:
    """Check that a pull failed with one line of error, and left nothing that looks like a model."""
    assert done.returncode == 1, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("mlapi: ")]
    progress = [line for line in done.stderr.splitlines() if line not in errors]
    assert len(errors) == 1, done.stderr
    assert all(" bytes" in line for line in progress), done.stderr
    for part in says:
        assert part in errors[0]
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _size(path: Path) -> int:
    """Return the size of a file, 0 for one that was complete, and so renamed, before it was looked at."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _partial(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "hub-home").rglob("*.mlapi.incomplete"))


# What a pull gives.


def test_a_pulled_directory_is_whole_and_says_where_it_is_from(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a pulled model lacks a file, or nobody can tell which commit it is."""
    files = classifier()
    commit = hub.add(MODEL, files)
    done = _pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        *("config.json", "hub.json", WEIGHTS, "tokenizer.json"),
    ]
    assert (out / WEIGHTS).read_bytes() == files[WEIGHTS]
    used = ("config.json", "vocab.txt", "tokenizer_config.json", WEIGHTS)
    assert json.loads((out / "hub.json").read_bytes()) == {
        "repository": MODEL,
        "revision": commit,
        "files": {name: _sha256(files[name]) for name in used},
    }
    assert read_source(out) is not None
    assert commit in done.stdout
    assert _sha256(files[WEIGHTS]) in done.stdout
    built = Tokenizer.from_file(str(out / "tokenizer.json"))
    assert built.encode("The FILM is ungood!").tokens == [
        *("[CLS]", "the", "film", "is", "un", "##good", "!", "[SEP]"),
    ]


def test_only_what_is_needed_is_fetched(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a pull fetches code, cards or weights of other frameworks."""
    hub.add(MODEL, {**classifier(), "pytorch_model.bin": b"pickle", "tf_model.h5": b"x"})
    assert _pull(hub, tmp_path).returncode == 0
    asked = {request.path.rpartition("/")[2] for request in hub.requests if request.server == "hub"}
    assert asked == {
        *("config.json", "tokenizer.json", "vocab.txt", WEIGHTS),
        *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    }


@pytest.mark.parametrize("kind", ["branch", "tag", "commit"])
def test_a_revision_becomes_a_commit(hub: HubServer, tmp_path: Path, kind: str) -> None:
    """If it fails, a model is recorded under a name that may mean something else tomorrow."""
    old = hub.add(MODEL, classifier(size=32), revision="v1")
    hub.add(MODEL, classifier(size=48))
    hub.add(MODEL, classifier(size=32), revision="release/1")
    revision = {"branch": "release/1", "tag": "v1", "commit": old}[kind]
    assert _pull(hub, tmp_path, f"{MODEL}@{revision}").returncode == 0
    source = read_source(tmp_path / "out")
    assert source is not None
    assert source.revision == old


def test_a_ready_tokenizer_is_taken_as_it_is(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a model's own tokenizer is replaced by one that was guessed."""
    assert _pull_files(hub, tmp_path, classifier()) == 0
    ready = (tmp_path / "out" / "tokenizer.json").read_bytes()
    files = {**classifier(), "tokenizer.json": ready + b"\n"}
    assert _pull_files(hub, tmp_path, files) == 0
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == ready + b"\n"
    source = read_source(tmp_path / "out")
    assert source is not None
    assert sorted(source.files) == ["config.json", WEIGHTS, "tokenizer.json"]


def _pull_files(hub: HubServer, tmp_path: Path, files: dict[str, bytes]) -> int:
    hub.add(MODEL, files)
    return _pull(hub, tmp_path).returncode


def test_a_second_pull_replaces_the_first(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, updating a model needs its directory to be deleted by hand."""
    assert _pull_files(hub, tmp_path, classifier(size=32)) == 0
    assert _pull_files(hub, tmp_path, classifier(size=48)) == 0
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == safetensors(48)


def test_what_is_no_model_is_not_replaced(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a wrong --out deletes someone's files, or is found out after the download."""
    hub.add(MODEL, classifier())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").touch()
    done = _pull(hub, tmp_path)
    assert done.returncode == 1
    assert "is not a model directory" in done.stderr
    assert hub.requests == []
    assert (tmp_path / "out" / "letter.txt").exists()


# What is sent, and to whom.


def test_nothing_is_reported(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, the hub learns more of the caller than which files are wanted."""
    hub.add(MODEL, classifier())
    assert _pull(hub, tmp_path, AGENT="someones-tool", AI_AGENT="someones-tool").returncode == 0
    agents = {request.headers.get("user-agent", "") for request in hub.requests}
    for agent in agents:
        for part in filter(None, agent.split("; ")):
            assert part.partition("/")[0] in {"unknown", "hf_hub", "python", "python-httpx2"}, agent
    assert not [request for request in hub.requests if request.path.startswith("/api")]


def test_the_token_goes_to_the_hub_alone(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a private model cannot be pulled, or the token leaves the hub with the redirect."""
    hub.add(MODEL, classifier())
    hub.faults.private = True
    done = _pull(hub, tmp_path, HF_TOKEN="")
    _fails(done, tmp_path, "private", "HF_TOKEN")
    done = _pull(hub, tmp_path, HF_TOKEN=hub.faults.token)
    assert done.returncode == 0, done.stderr
    assert hub.faults.token not in done.stdout + done.stderr
    by_cdn = [request for request in hub.requests if request.server == "cdn"]
    assert by_cdn
    assert not any("authorization" in request.headers for request in by_cdn)


def test_a_proxy_is_used(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a network that has a proxy alone cannot pull."""
    hub.add(MODEL, classifier())
    proxied = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": hub.endpoint, "http_proxy": hub.endpoint}
    done = _pull(hub, tmp_path, **proxied)
    assert done.returncode == 0, done.stderr
    assert all(
        request.headers["host"] == "hub.invalid" for request in hub.requests if request.server == "hub"
    )


def test_on_a_pipe_progress_is_lines(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a log of a pull is full of a bar's escape codes, or says nothing."""
    hub.add(MODEL, classifier())
    done = _pull(hub, tmp_path)
    assert f"{WEIGHTS}: {len(classifier()[WEIGHTS]):,} bytes" in done.stderr.splitlines()
    assert "\x1b" not in done.stderr


# Resuming, and the cache.


def test_a_cut_connection_is_resumed_in_the_same_call(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, one lost connection costs the whole download."""
    hub.add(MODEL, classifier(size=6 * MEGABYTE))
    hub.faults.cut_after[WEIGHTS] = 3 * MEGABYTE + 5
    assert _pull(hub, tmp_path).returncode == 0
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == safetensors(6 * MEGABYTE)
    ranges = [request.headers.get("range") for request in hub.requests if request.server == "cdn"]
    assert ranges == [None, f"bytes={3 * MEGABYTE}-"]


def test_a_lost_hub_is_one_error_and_the_next_call_goes_on(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a download that broke off begins anew each time, or leaves half a model."""
    hub.add(MODEL, classifier(size=6 * MEGABYTE))
    hub.faults.cut_after[WEIGHTS] = 4 * MEGABYTE + 5
    hub.faults.refuse_after_cut = True
    _fails(_pull(hub, tmp_path), tmp_path, "503", "goes on where it stopped")
    assert [path.stat().st_size for path in _partial(tmp_path)] == [4 * MEGABYTE]
    hub.faults.status = None
    hub.sent.clear()
    done = _pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of them from before" in done.stderr
    whole = len(safetensors(6 * MEGABYTE))
    assert hub.sent[WEIGHTS] == whole - 4 * MEGABYTE
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == safetensors(6 * MEGABYTE)
    assert _partial(tmp_path) == []


def test_a_killed_pull_leaves_no_model_and_is_resumed(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a kill half-way leaves something that looks complete, or loses what was there."""
    hub.add(MODEL, classifier(size=8 * MEGABYTE))
    hub.faults.hold[WEIGHTS] = threading.Event()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlapi", "model", "pull", MODEL, "--out", str(tmp_path / "out")],
        cwd=REPOSITORY,
        env=clean_environment(hub.environment(tmp_path)),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: any(_size(path) > MEGABYTE for path in _partial(tmp_path)), timeout=60)
    process.kill()
    process.wait()
    assert not (tmp_path / "out").exists()
    hub.faults.hold.pop(WEIGHTS).set()
    hub.sent.clear()
    assert _pull(hub, tmp_path).returncode == 0
    assert hub.sent[WEIGHTS] < 7 * MEGABYTE
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == safetensors(8 * MEGABYTE)


def test_offline_everything_comes_from_the_cache(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a machine without a network cannot use what was fetched, or asks it all the same."""
    commit = hub.add(MODEL, classifier())
    assert _pull(hub, tmp_path).returncode == 0
    online = (tmp_path / "out" / "tokenizer.json").read_bytes()
    hub.requests.clear()
    for reference, flags, extra in [
        (MODEL, ("--offline",), {}),
        (f"{MODEL}@{commit}", (), {"HF_HUB_OFFLINE": "1"}),
        (f"{MODEL}@{commit}", (), {}),  # a commit never changes, so there is nothing to ask
    ]:
        done = _pull(hub, tmp_path, reference, *flags, **extra)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "out" / "tokenizer.json").read_bytes() == online
    assert hub.requests == []


def test_offline_and_not_in_the_cache(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, offline means a traceback, a wait, or a model without one of its files."""
    hub.add(MODEL, classifier())
    _fails(_pull(hub, tmp_path, MODEL, "--offline"), tmp_path, "config.json", "not in the cache", "--offline")
    assert hub.requests == []
    hub.faults.cut_after["tokenizer_config.json"] = 1
    hub.faults.refuse_after_cut = True
    _fails(_pull(hub, tmp_path), tmp_path, "503")
    # The vocabulary is there; whether it is read in lower case is not known, and must not be guessed.
    _fails(_pull(hub, tmp_path, MODEL, "--offline"), tmp_path, "tokenizer_config.json", "not in the cache")


def test_without_links_digests_are_asked_for(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a cache without symbolic links, as some disks need it, is refused or not proven."""
    hub.add(MODEL, classifier())
    assert _pull(hub, tmp_path, HF_HUB_DISABLE_SYMLINKS="1").returncode == 0
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == safetensors()


# What is refused.


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "vocab.txt"])
def test_wrong_bytes_are_found(hub: HubServer, tmp_path: Path, name: str) -> None:
    """If it fails, a file that was changed on its way becomes a model, or stays in the cache for good."""
    hub.add(MODEL, classifier())
    hub.faults.wrong_bytes.add(name)
    _fails(_pull(hub, tmp_path), tmp_path, name, "digest", "run the same command again")
    hub.faults.wrong_bytes.clear()
    done = _pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_cache_that_was_changed_is_found(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, what another program did to the cache goes into a model unseen."""
    hub.add(MODEL, classifier())
    assert _pull(hub, tmp_path).returncode == 0
    blob = (tmp_path / "hub-home" / "hub").rglob(_sha256(safetensors()))
    next(blob).write_bytes(safetensors()[:-1] + b"!")
    done = _pull(hub, tmp_path, MODEL, "--offline")
    assert done.returncode == 1
    assert f"{WEIGHTS} of {MODEL} is not the file" in done.stderr
    assert (tmp_path / "out" / WEIGHTS).read_bytes() == safetensors()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (classifier(architectures=["DistilBertForMaskedLM"]), "no sequence classifier"),
        (classifier(model_type="gpt2"), "'gpt2'"),
        (classifier(auto_map={"AutoModel": "modeling.Model"}), "code of its own"),
        (classifier(problem_type="regression"), "two or more labels"),
        ({**classifier(), "config.json": b"[]"}, "not a JSON object"),
        ({**classifier(), "tokenizer.json": b"{}"}, "cannot be read as a tokenizer"),
        ({"README.md": b"a data set"}, "has no config.json"),
    ],
)
def test_what_is_not_supported_is_refused_before_its_weights(
    hub: HubServer, tmp_path: Path, files: dict[str, bytes], says: str
) -> None:
    """If it fails, an unsupported model is found out after a long download, or not at all."""
    hub.add(MODEL, files)
    _fails(_pull(hub, tmp_path), tmp_path, MODEL, says)
    assert hub.of("GET", WEIGHTS) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({WEIGHTS: safetensors()[:-1]}, "do not fill the file"),
        ({WEIGHTS: None}, "there is no model.safetensors"),
        ({WEIGHTS: None, "model.safetensors.index.json": b"{}"}, "split into several files"),
        ({"vocab.txt": None}, "neither tokenizer.json nor vocab.txt"),
        (
            classifier(model_type="albert", architectures=["AlbertForSequenceClassification"]),
            "SentencePiece",
        ),
    ],
)
def test_files_that_cannot_make_a_model_are_refused(
    hub: HubServer, tmp_path: Path, change: Mapping[str, bytes | None], says: str
) -> None:
    """If it fails, weights or a tokenizer that nothing can load become a model directory."""
    files = {**classifier(), **change}
    hub.add(MODEL, {name: data for name, data in files.items() if data is not None})
    _fails(_pull(hub, tmp_path), tmp_path, says)


def test_a_pickle_is_taken_only_when_it_is_allowed(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a checkpoint that can run code comes in unasked, or not even when asked for."""
    files = {**classifier(), "pytorch_model.bin": b"a pickle, which is not looked into"}
    del files[WEIGHTS]
    hub.add(MODEL, files)
    _fails(_pull(hub, tmp_path), tmp_path, "pickle", "--allow-pickle")
    assert hub.of("GET", "pytorch_model.bin") == []
    done = _pull(hub, tmp_path, MODEL, "--allow-pickle")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "pytorch_model.bin").read_bytes() == files["pytorch_model.bin"]
    assert not (tmp_path / "out" / WEIGHTS).exists()


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("someone/unknown", "the hub has no someone/unknown"),
        (f"{MODEL}@no-such-branch", "no revision no-such-branch"),
        ("a/b/c", "OWNER/NAME"),
        (f"{MODEL}@", "OWNER/NAME"),
        (f"{MODEL}@../../x", "OWNER/NAME"),
    ],
)
def test_what_is_not_there_is_named(hub: HubServer, tmp_path: Path, reference: str, says: str) -> None:
    """If it fails, a misspelt model or revision gives a traceback."""
    hub.add(MODEL, classifier())
    _fails(_pull(hub, tmp_path, reference), tmp_path, says)


def test_a_gated_model_says_what_to_do(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, who lacks access is not told how to get it."""
    hub.add(MODEL, classifier())
    hub.faults.gated = True
    _fails(_pull(hub, tmp_path), tmp_path, "gated", "HF_TOKEN")


@pytest.mark.parametrize(
    ("status", "says"),
    [(HTTPStatus.FORBIDDEN, "status 403"), (HTTPStatus.INTERNAL_SERVER_ERROR, "answered 500")],
)
def test_a_hub_that_refuses_is_quoted(hub: HubServer, tmp_path: Path, status: HTTPStatus, says: str) -> None:
    """If it fails, a hub in trouble, or one that forbids, gives a traceback or half a minute of silence."""
    hub.add(MODEL, classifier())
    hub.faults.status = status
    _fails(_pull(hub, tmp_path), tmp_path, says)
    assert len(hub.requests) == 1


def test_what_is_no_hub_is_told(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, an HF_ENDPOINT that leads elsewhere gives a traceback."""
    hub.add(MODEL, classifier())
    hub.faults.no_commit = True
    _fails(_pull(hub, tmp_path), tmp_path, hub.endpoint, "HF_ENDPOINT")


def test_a_file_that_cannot_be_asked_for_is_not_taken_for_absent(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a tokenizer is built although the model has one, because the hub failed at that moment."""
    hub.add(MODEL, classifier())
    for heard in (3, 4):  # the hub is last heard before tokenizer.json is asked for, and between both times
        hub.requests.clear()
        hub.faults.forbid_after = heard
        _fails(_pull(hub, tmp_path, HF_HOME=str(tmp_path / f"home-{heard}")), tmp_path, "status 403")
        assert hub.requests[-1].path.endswith("/tokenizer.json")


def test_no_network_is_one_error(tmp_path: Path) -> None:
    """If it fails, a machine without a network waits, or shows a traceback."""
    with HubServer() as gone:
        environment = gone.environment(tmp_path)
    done = run_cli("model", "pull", MODEL, "--out", str(tmp_path / "out"), environment=environment)
    _fails(done, tmp_path, f"http://{HOST}", "cannot be reached", "HTTPS_PROXY")


def test_too_little_room_is_told_before_the_download(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a disk is filled up by a file that does not fit."""
    hub.add(MODEL, classifier())
    hub.faults.claimed_size[WEIGHTS] = 10**18
    _fails(_pull(hub, tmp_path), tmp_path, "MB free", "HF_HOME")
    assert hub.of("GET", WEIGHTS) == []


def test_a_disk_that_becomes_full_is_one_error(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a full disk ends in a traceback, or in a model that looks complete."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full, which stands for a full disk")
    hub.add(MODEL, classifier())
    folder = tmp_path / "hub-home" / "hub" / "models--someone--small-classifier" / "blobs"
    folder.mkdir(parents=True)
    full = folder / f"{_sha256(safetensors())}.mlapi.incomplete"
    full.symlink_to("/dev/full")
    _fails(_pull(hub, tmp_path), tmp_path, "disk is full", "HF_HOME")
    full.unlink()
    assert _pull(hub, tmp_path).returncode == 0


def test_a_cache_that_cannot_be_written_is_named(hub: HubServer, tmp_path: Path) -> None:
    """If it fails, a wrong HF_HOME ends in a traceback."""
    hub.add(MODEL, classifier())
    (tmp_path / "hub-home").write_bytes(as_json({}))
    _fails(_pull(hub, tmp_path), tmp_path, "hub-home", "HF_HOME")
