"""Cutting a BERT tokenizer's vocabulary down to the pieces that a training text uses most."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mlapi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokenizers import Tokenizer

UNKNOWN, FIRST, LAST, MASK = "[UNK]", "[CLS]", "[SEP]", "[MASK]"
CHUNK = 4096
"""Texts that are counted at a time."""


def cut_vocabulary(tokenizer: Tokenizer, texts: Sequence[str], *, size: int) -> tuple[Tokenizer, list[int]]:
    """Keep the special tokens, every single character, and the pieces that the texts use most.

    With all single characters kept, whatever could be spelt can still be spelt. A text whose pieces are all
    kept is cut into the same pieces as before. Between pieces used equally often the one with the lower
    number is kept: BERT's vocabulary numbers its words by how common they are.

    Args:
        tokenizer: A WordPiece tokenizer as BERT's.
        texts: What the pieces are counted in.
        size: Entries to keep.

    Returns:
        The new tokenizer, and for each of its ids the id of the same piece in the old one, ascending.

    Raises:
        ConfigurationError: The tokenizer is no WordPiece, or `size` does not even hold the characters.
    """
    from tokenizers.models import WordPiece

    model = tokenizer.model
    if not isinstance(model, WordPiece):
        raise ConfigurationError("the encoder's tokenizer.json is no WordPiece tokenizer, so no BERT's")
    prefix = str(model.continuing_subword_prefix)
    pieces = tokenizer.get_vocab(with_added_tokens=True)
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    kept = {index for piece, index in pieces.items() if piece in special or _is_character(piece, prefix)}
    if len(kept) > size:
        raise ConfigurationError(
            f"a vocabulary of {size} does not hold the encoder's {len(kept)} single characters and special "
            "tokens; raise --vocabulary"
        )
    used = _count(tokenizer, texts)
    by_use = sorted(set(pieces.values()) - kept, key=lambda index: (-used[index], index))
    old_ids = sorted(kept.union(by_use[: size - len(kept)]))
    names = {index: piece for piece, index in pieces.items()}
    new_ids = {names[old]: new for new, old in enumerate(old_ids)}
    return _with_pieces(tokenizer, new_ids), old_ids


def _is_character(piece: str, prefix: str) -> bool:
    return len(piece) == 1 or (piece.startswith(prefix) and len(piece) == len(prefix) + 1)


def _count(tokenizer: Tokenizer, texts: Sequence[str]) -> Counter[int]:
    used: Counter[int] = Counter()
    for start in range(0, len(texts), CHUNK):
        for encoding in tokenizer.encode_batch_fast(list(texts[start : start + CHUNK])):
            used.update(encoding.ids)
    return used


def _with_pieces(tokenizer: Tokenizer, new_ids: dict[str, int]) -> Tokenizer:
    """Make a tokenizer that reads as the old one does, with other pieces."""
    from tokenizers.models import WordPiece
    from tokenizers.processors import TemplateProcessing

    model = tokenizer.model
    new = type(tokenizer)(
        WordPiece(
            new_ids,
            unk_token=model.unk_token,
            continuing_subword_prefix=model.continuing_subword_prefix,
            max_input_chars_per_word=model.max_input_chars_per_word,
        )
    )
    new.normalizer = tokenizer.normalizer
    new.pre_tokenizer = tokenizer.pre_tokenizer
    if tokenizer.decoder is not None:
        new.decoder = tokenizer.decoder
    new.add_special_tokens(list(_added(tokenizer)))
    new.post_processor = TemplateProcessing(
        single=f"{FIRST} $A {LAST}", special_tokens=[(token, new_ids[token]) for token in (FIRST, LAST)]
    )
    return new


def _added(tokenizer: Tokenizer) -> Iterable[object]:
    return [token for _, token in sorted(tokenizer.get_added_tokens_decoder().items())]
