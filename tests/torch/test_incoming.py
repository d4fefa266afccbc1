"""What `mlapi model export` reads, and what it refuses to read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlapi.errors import DigestMismatch, ModelError
from mlapi.models.manifest import Source, file_entry
from mlapi.models.source import write_source
from mlapi.training.directory import write_transformers_directory
from mlapi.training.incoming import as_name, read_incoming
from tests.support.random_models import TEXTS, TINY, make_family, make_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

pytestmark = pytest.mark.torch

REVISION = "0123456789abcdef0123456789abcdef01234567"


def save(folder: Path, *, shards: bool = False) -> PreTrainedModel:
    """Save a small model and its tokenizer as transformers does."""
    model, tokenizer = make_family("distilbert")
    model.save_pretrained(folder, max_shard_size="40KB" if shards else "5GB")
    tokenizer.save(str(folder / "tokenizer.json"))
    return model


def pickled(folder: Path) -> None:
    """Save the weights as a pickle alone."""
    model = save(folder)
    import torch

    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def same_answers(model: PreTrainedModel, other: PreTrainedModel) -> bool:
    """Tell whether two models answer the same to a few ids."""
    import torch

    ids = torch.tensor([[2, 9, 8, 7, 3]])
    with torch.inference_mode():
        return bool(torch.allclose(model(ids).logits, other(ids).logits, atol=1e-5))


@pytest.mark.parametrize("shards", [False, True])
def test_a_folder_of_transformers_is_read(tmp_path: Path, *, shards: bool) -> None:
    """If it fails, models as people have them cannot be exported, large ones above all."""
    folder = tmp_path / "my model"
    model = save(folder, shards=shards)
    assert (folder / "model.safetensors.index.json").exists() == shards
    incoming = read_incoming(folder)
    assert same_answers(incoming.model, model)
    assert incoming.labels == ("NEGATIVE", "POSITIVE")
    assert (incoming.name, incoming.source, incoming.training) == ("my-model", None, None)


def test_a_vocabulary_is_made_a_tokenizer(tmp_path: Path) -> None:
    """If it fails, a model without tokenizer.json cannot be exported, or reads other ids than in training."""
    save(tmp_path)
    before = read_incoming(tmp_path).tokenizer
    vocabulary = sorted(before.get_vocab().items(), key=lambda entry: entry[1])
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in vocabulary), encoding="utf-8")
    (tmp_path / "tokenizer.json").unlink()
    after = read_incoming(tmp_path).tokenizer
    assert [after.encode(text).ids for text in TEXTS] == [before.encode(text).ids for text in TEXTS]


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    """If it fails, some texts get ids that the model has no row for, and fail when they are served."""
    save(tmp_path)
    make_tokenizer(TINY.vocabulary + 1).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match="no embedding for"):
        read_incoming(tmp_path)


def test_without_any_tokenizer_it_is_said_what_is_missing(tmp_path: Path) -> None:
    """If it fails, a forgotten tokenizer ends in a traceback of transformers."""
    save(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        read_incoming(tmp_path)


def test_a_directory_of_ours_is_checked_against_its_manifest(tmp_path: Path) -> None:
    """If it fails, variants are made of weights that were changed since the manifest was written."""
    model, tokenizer = make_family("distilbert")
    out = tmp_path / "mine"
    write_transformers_directory(model, tokenizer, out, name="ours", golden_texts=TEXTS[:1])
    assert read_incoming(out).name == "ours"
    model.save_pretrained(out, state_dict={name: value + 1 for name, value in model.state_dict().items()})
    with pytest.raises(DigestMismatch):
        read_incoming(out)


def test_a_pull_is_checked_against_its_digests_and_recorded(tmp_path: Path) -> None:
    """If it fails, nobody knows which files of the hub a directory came from, or they were exchanged."""
    save(tmp_path)
    digests = {name: file_entry(tmp_path / name).sha256 for name in ("config.json", "model.safetensors")}
    write_source(tmp_path, Source(repository="someone/nice-model", revision=REVISION, files=digests))
    incoming = read_incoming(tmp_path)
    assert incoming.source is not None
    assert (incoming.source.revision, incoming.name) == (REVISION, "nice-model")
    config = json.loads((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({**config, "dim": 64}))
    with pytest.raises(DigestMismatch, match="is not the file that was pulled"):
        read_incoming(tmp_path)


def test_a_pickle_is_read_only_where_a_pull_brought_it(tmp_path: Path) -> None:
    """If it fails, a checkpoint that can carry code is opened without anyone having asked for it."""
    pickled(tmp_path)
    with pytest.raises(ModelError, match="a pickle, which can carry code"):
        read_incoming(tmp_path)
    digests = {name: file_entry(tmp_path / name).sha256 for name in ("config.json", "pytorch_model.bin")}
    write_source(tmp_path, Source(repository="someone/old", revision=REVISION, files=digests))
    model, _ = make_family("distilbert")
    assert same_answers(read_incoming(tmp_path).model, model)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (str(self.path), "w"))


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    """If it fails, exporting someone's checkpoint runs their code."""
    folder, mark = tmp_path / "model", tmp_path / "mark"
    save(folder)
    (folder / "model.safetensors").unlink()
    import torch

    torch.save({"weight": Bomb(mark)}, folder / "pytorch_model.bin")
    digests = {"pytorch_model.bin": file_entry(folder / "pytorch_model.bin").sha256}
    write_source(folder, Source(repository="someone/evil", revision=REVISION, files=digests))
    with pytest.raises(ModelError, match="cannot be loaded by transformers"):
        read_incoming(folder)
    assert not mark.exists()


def test_weights_without_a_head_are_refused(tmp_path: Path) -> None:
    """If it fails, a model that was never fine-tuned is served with a head of random numbers."""
    model = save(tmp_path)
    kept = {name: value for name, value in model.state_dict().items() if "classifier" not in name}
    model.save_pretrained(tmp_path, state_dict=kept)
    with pytest.raises(ModelError, match=r"lack .*classifier.*: it is no fine-tuned"):
        read_incoming(tmp_path)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    """If it fails, exporting the wrong folder ends in a traceback of transformers."""
    with pytest.raises(ModelError, match=r"has no config\.json: name a folder"):
        read_incoming(tmp_path)


@pytest.mark.parametrize(
    ("words", "name"),
    [("My Model!", "My-Model-"), ("..", "model"), ("x" * 99, "x" * 64), ("a/b", "a-b"), ("", "model")],
)
def test_any_folder_gives_a_name(words: str, name: str) -> None:
    """If it fails, a folder's name makes a manifest that cannot be read."""
    assert as_name(words) == name
