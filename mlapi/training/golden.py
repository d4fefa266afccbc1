"""The texts whose scores every manifest of this project records, in our own words, and torch's answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlapi.models.manifest import Golden

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

GOLDEN_TEXTS = (
    "What a lovely evening, we laughed from the first minute to the last.",
    "The plot goes nowhere and the jokes fall flat.",
    "It is not bad at all, and I would not call it boring either.",
    "The pictures are gorgeous, but the story is a mess and the ending is worse.",
    "Loved it 😍🎉 will watch again!!!",
    "Un café très agréable, naïve but charming: a déjà-vu in the best sense.",
    "Terrible",
    "",
    "THE WORST TWO HOURS OF MY YEAR?! Never again…",
    "東京 is where it was filmed, and that is the most exciting thing about it.",
    " ".join(["a good film, "] * 200).strip(),
)
"""Plain praise and blame, negation, mixed feelings, emoji, accents, one word, nothing, capitals, another
script, and one text of 800 tokens or so, more than any model here takes."""


def torch_golden(directory: Path, texts: Iterable[str], *, max_length: int) -> list[Golden]:
    """Run texts one by one through the serving tokenizer and through torch in double precision.

    Double, because torch's float32 differs in its last digits from run to run, and manifests must not.

    Args:
        directory: Holds `BASE_FILES`.
        texts: Any number of texts.
        max_length: Longest token sequence, special tokens included.

    Returns:
        For each text its logits, rounded to six decimals, and whether it was truncated.
    """
    import torch

    from mlapi.engines.tokenizer import FastTokenizer
    from mlapi.training.loading import load_model

    tokenizer = FastTokenizer(directory / "tokenizer.json", max_length=max_length)
    model = load_model(directory).double()
    golden = []
    for text in texts:
        (encoding,) = tokenizer.encode([text])
        input_ids = torch.tensor([encoding.payload])
        with torch.inference_mode():
            logits = model(input_ids=input_ids, attention_mask=torch.ones_like(input_ids)).logits[0]
        golden.append(Golden(text=text, logits=rounded(logits.tolist()), truncated=encoding.truncated))
    return golden


def rounded(logits: Iterable[float]) -> tuple[float, ...]:
    """Round logits to what a manifest records."""
    return tuple(round(logit, 6) for logit in logits)


def pad_id(directory: Path) -> int:
    """Return the id that batches are padded with."""
    return int(json.loads((directory / "config.json").read_bytes()).get("pad_token_id") or 0)
