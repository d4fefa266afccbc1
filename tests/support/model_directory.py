"""A complete model directory of a few kilobytes, made without torch and loaded in milliseconds.

    tiny = make_tiny_model(tmp_path / "model")
    classifier = load_classifier(tiny.path, threads=1)

The model is real all the way through: a WordPiece `tokenizer.json` for the `tokenizers` library, an ONNX
graph with inputs `input_ids` and `attention_mask` and output `logits`, and a manifest whose digests and
golden texts hold. What it computes is small enough to do by hand: look up one vector per token, take the
mean over the tokens under the mask, apply one linear layer. `TinyModel.logits` does that in numpy, away
from ONNX Runtime, and the golden logits come from there.

Its answers make sense: words of `PRAISE` push the last label up, words of `BLAME` the first. Every other
word has small random weights, so that different texts get different scores. Any text can be tokenised;
words outside the vocabulary fall apart into letters. The vector of the padding token is large, so that an
engine that forgets the mask gives visibly wrong answers.
"""

from __future__ import annotations

import json
import string
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from mlapi.models.manifest import (
    Gate,
    Golden,
    Manifest,
    Variant,
    file_entry,
    model_version,
    variant_id,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mlapi.types import Activation

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PRAISE = ("good", "great", "lovely", "brilliant", "love")
BLAME = ("bad", "awful", "dull", "terrible", "hate")
PLAIN = ("a", "the", "film", "movie", "it", "is", "was", "and", "not", "very", "plot", "music", "i", "this")
GOLDEN_TEXTS = ("a great film", "the plot is dull and terrible", "it was", "")
WIDTH = 8
"""Numbers per token vector."""

GATE = Gate(
    texts=1_000,
    labelled=900,
    data={"gate.tsv": "0" * 64},
    calibration={"calibration.tsv": "1" * 64},
    agreement=0.995,
    accuracy_loss=0.1,
    mean_difference=0.001,
    largest_difference=0.02,
)
"""What a variant that counts as int8 has passed."""


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A model directory and the numbers inside it.

    Attributes:
        path: The directory.
        labels: Label names by label id.
        max_length: Longest token sequence, special tokens included.
        embedding: One vector per token id, shape (vocabulary, WIDTH).
        weight: Linear layer, shape (WIDTH, labels).
        bias: Its bias, shape (labels,).
    """

    path: Path
    labels: tuple[str, ...]
    max_length: int
    embedding: NDArray[np.float32]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text, special tokens included, cut to the maximum length."""
        tokenizer = Tokenizer.from_file(str(self.path / "tokenizer.json"))
        tokenizer.enable_truncation(self.max_length)
        return list(tokenizer.encode(text).ids)

    def logits(self, text: str) -> tuple[float, ...]:
        """Return the logits of a text, computed in numpy."""
        mean = self.embedding[self.ids(text)].astype(np.float64).mean(axis=0)
        return tuple((mean @ self.weight + self.bias).tolist())


def make_tiny_model(
    path: Path,
    *,
    name: str = "tiny",
    labels: Sequence[str] = ("NEGATIVE", "POSITIVE"),
    max_length: int = 32,
    activation: Activation = "softmax",
    variants: Mapping[str, float] | None = None,
    gated: bool = True,
    golden: Sequence[str] = GOLDEN_TEXTS,
    seed: int = 0,
) -> TinyModel:
    """Write a model directory.

    Args:
        path: Where to; made if absent.
        name: Name in the manifest.
        labels: Label names by label id; two or more.
        max_length: Longest token sequence, special tokens included.
        activation: `softmax` or `sigmoid`.
        variants: Variants by name, with what each adds to the first label's logit. Other numbers than 0
            make variants that fail their golden texts. A name says by its beginning which engine it is for,
            `openvino` or else `onnx`, and by its end whether it counts as `int8`; all compute in float32.
            One sound variant, `onnx-fp32`, unless said.
        gated: Whether variants that count as int8 have passed a gate.
        golden: Texts whose logits the manifest records.
        seed: Another seed gives other weights, and so another version.
    """
    (path / "onnx").mkdir(parents=True, exist_ok=True)
    vocabulary = _vocabulary()
    _write_tokenizer(path / "tokenizer.json", vocabulary)
    embedding, weight = _weights(vocabulary, labels=len(labels), seed=seed)
    bias = np.zeros(len(labels), dtype=np.float32)
    tiny = TinyModel(path, tuple(labels), max_length, embedding, weight, bias)
    _write_safetensors(path / "model.safetensors", {"embedding": embedding, "weight": weight, "bias": bias})
    config = {"model_type": "tiny", "pad_token_id": 0, "id2label": dict(enumerate(labels))}
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")

    graphs = {}
    for variant, drift in ({"onnx-fp32": 0.0} if variants is None else variants).items():
        off = bias + drift * np.eye(1, len(labels), dtype=np.float32)[0]
        graphs[variant] = f"onnx/{variant}.onnx"
        onnx.save(_graph(embedding, weight, off), str(path / graphs[variant]))
    _write_manifest(tiny, name=name, activation=activation, graphs=graphs, gated=gated, golden=golden)
    return tiny


def edit_manifest(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a directory as plain JSON, keeping no digest and no rule in step."""
    file = path / "manifest.json"
    content = json.loads(file.read_bytes())
    edit(content)
    file.write_text(json.dumps(content), encoding="utf-8")


def reseal(path: Path) -> None:
    """Bring the digests, the version and the ids of a manifest in step with the files as they now are.

    After a deliberate change to a file, this leaves a directory that is sound in every respect but that one.
    """
    content = json.loads((path / "manifest.json").read_bytes())
    content["files"] = {name: file_entry(path / name).model_dump() for name in content["files"]}
    digests = {name: entry["sha256"] for name, entry in content["files"].items()}
    content["version"] = model_version(
        labels=[content["id2label"][str(index)] for index in range(len(content["id2label"]))],
        activation=content["activation"],
        max_length=content["max_length"],
        base_digests={name: digests[name] for name in content["base_files"]},
    )
    for variant in content["variants"].values():
        own = {name: digests[name] for name in variant["files"]}
        variant["id"] = variant_id(engine=variant["engine"], digests=own)
    write_manifest(path, Manifest.model_validate_json(json.dumps(content)))


def _write_manifest(
    tiny: TinyModel,
    *,
    name: str,
    activation: Activation,
    graphs: Mapping[str, str],
    gated: bool,
    golden: Sequence[str],
) -> None:
    base = ("config.json", "tokenizer.json", "model.safetensors")
    files = {file: file_entry(tiny.path / file) for file in (*base, *graphs.values())}
    variants = {
        variant: _variant(variant, graph, digest=files[graph].sha256, gated=gated)
        for variant, graph in graphs.items()
    }
    manifest = Manifest(
        schema=1,
        name=name,
        architecture="TinyMeanOfTokens",
        version=model_version(
            labels=tiny.labels,
            activation=activation,
            max_length=tiny.max_length,
            base_digests={file: files[file].sha256 for file in base},
        ),
        id2label=dict(enumerate(tiny.labels)),
        activation=activation,
        max_length=tiny.max_length,
        files=files,
        base_files=base,
        variants=variants,
        golden=tuple(
            Golden(text=text, logits=tiny.logits(text), truncated=_is_truncated(tiny, text))
            for text in golden
        ),
    )
    write_manifest(tiny.path, manifest)


def _variant(name: str, graph: str, *, digest: str, gated: bool) -> Variant:
    engine: Literal["openvino", "onnx"] = "openvino" if name.startswith("openvino") else "onnx"
    int8 = name.endswith("int8")
    return Variant(
        engine=engine,
        precision="int8" if int8 else "fp32",
        id=variant_id(engine=engine, digests={graph: digest}),
        files=(graph,),
        golden_tolerance=1e-4,
        gate=GATE if int8 and gated else None,
    )


def _is_truncated(tiny: TinyModel, text: str) -> bool:
    tokenizer = Tokenizer.from_file(str(tiny.path / "tokenizer.json"))
    return len(tokenizer.encode(text).ids) > tiny.max_length


def _vocabulary() -> dict[str, int]:
    letters = string.ascii_lowercase + string.digits
    tokens = [*SPECIAL, *string.punctuation, *letters, *(f"##{letter}" for letter in letters)]
    return {token: index for index, token in enumerate(dict.fromkeys((*tokens, *PRAISE, *BLAME, *PLAIN)))}


def _write_tokenizer(path: Path, vocabulary: dict[str, int]) -> None:
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(path))


def _weights(
    vocabulary: Mapping[str, int], *, labels: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    embedding = random.normal(0, 0.5, (len(vocabulary), WIDTH))
    weight = random.normal(0, 0.5, (WIDTH, labels))
    embedding[:, 0] = 0  # the first number of a vector is its sentiment
    embedding[[vocabulary[word] for word in PRAISE], 0] = 10
    embedding[[vocabulary[word] for word in BLAME], 0] = -10
    weight[0] = np.linspace(-1, 1, labels)
    embedding[vocabulary["[PAD]"]] = 20
    return embedding.astype(np.float32), weight.astype(np.float32)


def _graph(
    embedding: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> onnx.ModelProto:
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "tokens"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(bias)])
    constants: dict[str, NDArray[Any]] = {
        "embedding": embedding,
        "weight": weight,
        "bias": bias,
        "last": np.array([2], dtype=np.int64),
        "tokens": np.array([1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["keep"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["keep", "last"], ["keep_vectors"]),
        helper.make_node("Mul", ["vectors", "keep_vectors"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "tokens"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["keep_vectors", "tokens"], ["count"], keepdims=0),
        helper.make_node("Div", ["total", "count"], ["mean"]),
        helper.make_node("MatMul", ["mean", "weight"], ["scores"]),
        helper.make_node("Add", ["scores", "bias"], ["logits"]),
    ]
    initializers = [numpy_helper.from_array(value, key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [ids, mask], [logits], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _write_safetensors(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    header, offset = {}, 0
    for key, value in tensors.items():
        end = offset + value.nbytes
        header[key] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in tensors.values()))
