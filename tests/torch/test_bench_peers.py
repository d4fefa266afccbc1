"""The peers that need no environment of their own, started for real on a tiny model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.peers.catalogue import CAREFUL, PLAIN
from bench.peers.processes import session
from bench.peers.server import PeerError, ask, running
from bench.prepare import prepare

if TYPE_CHECKING:
    from bench.peers.peer import Peer

pytestmark = pytest.mark.torch

PYTHON = Path(sys.executable)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory with a manifest."""
    return prepare("tiny", tmp_path_factory.mktemp("bench"), rivals=False)[0]


@pytest.mark.parametrize("peer", [PLAIN, CAREFUL], ids=lambda peer: peer.name)
def test_it_answers_as_the_service_and_ends(peer: Peer, tiny: Path) -> None:
    """If this fails, what everything is compared with does not run, answers wrongly, or stays behind."""
    with running(peer, PYTHON, tiny) as server:
        assert server.ready_s > 0
        assert peer.folder(server.port).is_dir()
        status, body = ask(server.port, peer.request("w201 w202"))
        assert status == 200
        assert 0.5 <= max(score for _, score in peer.scores(body)) <= 1
        assert session(server.pid)
    assert not session(server.pid)
    assert not peer.folder(server.port).exists()


def test_bulk_answers_are_in_the_order_of_the_texts(tiny: Path) -> None:
    """If this fails, sorting by length mixes up whose answer is whose."""
    texts = [" ".join(["w201"] * length) for length in range(40, 0, -1)]
    assert CAREFUL.bulk is not None
    with running(CAREFUL, PYTHON, tiny) as server:
        status, body = ask(server.port, CAREFUL.bulk(texts))
        assert status == 200
        answers = json.loads(body)
        assert len(answers) == len(texts)
        for index in (0, 20, 39):
            alone = CAREFUL.scores(ask(server.port, CAREFUL.request(texts[index]))[1])
            for (label, score), entry in zip(alone, answers[index], strict=True):
                assert (label, pytest.approx(score, abs=1e-4)) == (entry["label"], entry["score"])


def test_a_server_that_answers_wrongly_is_not_compared(tiny: Path, tmp_path: Path) -> None:
    """If this fails, a peer may be fast by computing something else."""
    other = tmp_path / "other"
    other.mkdir()
    for file in tiny.iterdir():
        (other / file.name).symlink_to(file)
    config = json.loads((tiny / "config.json").read_bytes())
    config["id2label"] = {"0": "POSITIVE", "1": "NEGATIVE"}
    (other / "config.json").unlink()
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(PeerError, match="answered wrongly"), running(PLAIN, PYTHON, other):
        pass
