"""`bench/peers` without the peers: catalogue, environments, processes, and what counts as a right answer."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench.peers import __main__ as command
from bench.peers import wire
from bench.peers.catalogue import MOSEC_OPENVINO, PEERS, PLAIN
from bench.peers.expected import Expected
from bench.peers.install import STAMP, InstallError, install
from bench.peers.peer import ENVIRONMENTS, REPOSITORY, pins
from bench.peers.processes import end, session
from bench.peers.server import PeerError, free_port, running
from bench.peers.servers.openvino_model import OpenVinoModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.load.request import Request
    from bench.peers.peer import Peer

STARTER = REPOSITORY / "models" / "starter"
STUBBORN = """
import subprocess, sys, time
child = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print(flush=True); time.sleep(600)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
process.stdout.readline()
print(process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_every_peer_is_described_and_pinned(peer: Peer) -> None:
    """If this fails, a report shows a peer without its configuration, or another version tomorrow."""
    assert peer.title
    assert peer.engine in {"torch fp32", "onnx fp32", "openvino int8"}
    assert peer.configuration
    assert all(line.strip() for line in peer.configuration)
    assert peer.source.startswith("https://")
    assert pins(peer.requirements)
    assert (ENVIRONMENTS.parent / "servers" / f"{peer.program}.py").is_file()


def test_names_lead_to_their_peers_and_every_environment_is_used() -> None:
    """If this fails, a peer hides another, or a requirements file is kept up for nobody."""
    assert [peer.name for peer in PEERS.values()] == list(PEERS)
    assert {peer.requirements for peer in PEERS.values()} == set(ENVIRONMENTS.glob("*.txt"))


def test_what_needs_torch_has_the_version_of_the_project() -> None:
    """If this fails, an installation brings a build of torch with gigabytes of libraries for accelerators."""
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    for peer in PEERS.values():
        if "openvino" not in peer.engine:
            assert f'"torch=={pins(peer.requirements)["torch"]}"' in project


def test_a_line_without_a_version_is_refused(tmp_path: Path) -> None:
    """If this fails, peers are compared in whichever version is the newest on that day."""
    requirements = tmp_path / "loose.txt"
    requirements.write_text("# why\n\nfastapi[all]==1.2.3  # because\n", encoding="utf-8")
    assert pins(requirements) == {"fastapi": "1.2.3"}
    for wrong in ("fastapi", "fastapi>=1", "fastapi==1.*"):
        requirements.write_text(wrong, encoding="utf-8")
        with pytest.raises(ValueError, match="NAME==VERSION"):
            pins(requirements)


@pytest.mark.parametrize(
    ("make", "read", "answer"),
    [
        (wire.text_request, wire.all_labels, [{"label": "A", "score": 0.25}]),
        (wire.text_request, wire.best_label, {"label": "A", "score": 0.25}),
        (wire.infinity_request, wire.infinity_scores, {"data": [[{"label": "A", "score": 0.25}]]}),
        (
            wire.mlserver_request,
            wire.mlserver_scores,
            {"outputs": [{"data": ['{"label": "A", "score": 0.25}']}]},
        ),
    ],
)
def test_requests_carry_the_text_and_answers_are_read(
    make: Callable[[str], Request], read: Callable[[bytes], object], answer: object
) -> None:
    """If this fails, a peer is asked about another text, or its answer is misread."""
    request = make('naïve "quotes"')
    assert 'naïve "quotes"' in str(json.loads(request.body)).replace("\\", "")
    assert request.texts == 1
    assert read(json.dumps(answer).encode()) == [("A", 0.25)]


@pytest.mark.parametrize("make", [wire.texts_request, wire.infinity_requests, wire.mlserver_requests])
def test_bulk_requests_count_their_texts(make: Callable[[list[str]], Request]) -> None:
    """If this fails, texts per second of the bulk workload are wrong."""
    request = make(["one", "two", "three"])
    assert request.texts == 3
    assert b'["one","two","three"]' in request.body


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (wire.many_labels, [[{"label": "A", "score": 0.25}], [{"label": "B", "score": 0.5}]]),
        (
            wire.infinity_bulk_scores,
            {"data": [[{"label": "A", "score": 0.25}], [{"label": "B", "score": 0.5}]]},
        ),
        (
            wire.mlserver_bulk_scores,
            {"outputs": [{"data": ['{"label": "A", "score": 0.25}', '{"label": "B", "score": 0.5}']}]},
        ),
    ],
)
def test_bulk_answers_keep_their_order(read: Callable[[bytes], object], answer: object) -> None:
    """If this fails, a peer's bulk route is checked against the wrong texts."""
    assert read(json.dumps(answer).encode()) == [[("A", 0.25)], [("B", 0.5)]]


def test_right_answers_are_those_of_the_manifest() -> None:
    """If this fails, a peer that swaps labels or computes something else is compared as if it were right."""
    expected = Expected(PLAIN, STARTER)
    logits = json.loads((STARTER / "manifest.json").read_bytes())["golden"][0]["logits"]
    best = max(range(2), key=lambda index: logits[index])
    names = ["NEGATIVE", "POSITIVE"]
    right = _probability(logits, best)
    assert expected.complaint(0, [(names[best], right)]) is None
    assert expected.complaint(0, [(names[1 - best], 1 - right), (names[best], right)]) is None
    for wrong in (
        [(names[1 - best], right)],
        [(names[best], right + 0.01)],
        [(names[best], float("nan"))],
        [(names[best], right), ("OTHER", 1 - right)],
        [(names[best], right), (names[best], right)],
        [],
    ):
        assert expected.complaint(0, wrong)


def test_a_peer_that_cuts_no_text_is_not_asked_to() -> None:
    """If this fails, a server without truncation can never be shown to be right, or nothing long is asked."""
    every, short = Expected(PLAIN, STARTER), Expected(replace(PLAIN, truncates=False), STARTER)
    golden = json.loads((STARTER / "manifest.json").read_bytes())["golden"]
    assert [text for text in every.texts if text not in short.texts] == [
        entry["text"] for entry in golden if entry["truncated"]
    ]


def test_our_graph_answers_right_in_the_peers_own_code() -> None:
    """If this fails, peers on our engine compute something else than the service does."""
    model, expected = OpenVinoModel(STARTER), Expected(MOSEC_OPENVINO, STARTER)
    for index, labels in enumerate(model(expected.texts)):
        scores = [(str(entry["label"]), float(entry["score"])) for entry in labels]
        assert expected.complaint(index, scores) is None


def test_an_environment_is_made_once_and_its_error_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails, every run installs anew, or one that fails leaves no trace, or half an environment."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n", encoding="utf-8")
    work = tmp_path / "work"
    with ThreadPoolExecutor(2) as two:
        at_once = [two.submit(install, PLAIN, work=work, requirements=requirements) for _ in range(2)]
        (made,) = {future.result() for future in at_once}
    stamp = work / PLAIN.environment / STAMP
    before = stamp.stat().st_mtime_ns
    assert install(PLAIN, work=work, requirements=requirements) == made
    assert stamp.stat().st_mtime_ns == before

    requirements.write_text("no-such-project-of-anyone==1.0\n", encoding="utf-8")
    with pytest.raises(InstallError, match=r"no-such-project-of-anyone==1\.0"):
        install(PLAIN, work=work, requirements=requirements)
    kept = (work / f"{PLAIN.environment}.error.txt").read_text(encoding="utf-8")
    assert "No matching distribution found for no-such-project-of-anyone==1.0" in kept
    assert not stamp.parent.exists()


def test_every_process_of_a_server_is_ended() -> None:
    """If this fails, workers of one peer go on computing while the next one is measured."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert session(process.pid) == {process.pid, child}
        assert end(process, patience_s=0.2) == {child}
        assert session(process.pid) == set()


def test_a_server_that_does_not_start_shows_its_log() -> None:
    """If this fails, nobody learns why a peer did not run."""
    peer = replace(PLAIN, name="no-such-program", program="no_such_program")
    with (
        pytest.raises(PeerError, match=r"(?s)ended with status 1 .*No module named .*no_such_program"),
        running(peer, REPOSITORY / sys.executable, STARTER, free_port()),
    ):
        pass


def test_the_table_tells_the_exact_error() -> None:
    """If this fails, the command hides why a peer is missing from a comparison."""
    text = command.table(
        [
            command.Checked("good", "runs", 1.25, "POSITIVE 0.9000"),
            command.Checked("bad", "not installed", None, "No matching distribution\nfound"),
        ]
    )
    assert "| good | runs | 1.2 | POSITIVE 0.9000 |" in text
    assert "| bad | not installed |  | see below |" in text
    assert "bad not installed:\n\nNo matching distribution\nfound" in text


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails, a misspelt name checks nothing and looks like success."""
    with pytest.raises(SystemExit):
        command.main(["plane"])
    assert "no such peer: plane; there are plain, careful" in capsys.readouterr().err


def _probability(logits: list[float], index: int) -> float:
    from math import exp

    return exp(logits[index]) / sum(exp(logit) for logit in logits)
