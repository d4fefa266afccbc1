"""Learning a small WordPiece vocabulary, in the form that BERT's family reads."""

from __future__ import annotations

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Their ids are their places: 0 to 4."""

PAD_ID, UNK_ID, CLS_ID, SEP_ID, MASK_ID = range(len(SPECIAL_TOKENS))
CONTINUATION = "##"
LONGEST_WORD = 100
"""Characters beyond which a word is unknown."""


def train_tokenizer(texts: list[str], *, size: int) -> Tokenizer:
    """Learn a lower-casing WordPiece tokenizer that puts `[CLS]` before and `[SEP]` behind a text.

    The same texts give the same vocabulary. The library alone does not: it numbers the letters inside
    words in the order of a hash map, which decides between equally frequent pairs. So they are numbered here.

    Args:
        texts: What to learn from.
        size: Most entries of the vocabulary, special tokens included.
    """
    learner = _tokenizer({})
    letters = sorted(
        {
            letter
            for text in texts
            for word, _ in learner.pre_tokenizer.pre_tokenize_str(learner.normalizer.normalize_str(text))
            for letter in word
        }
    )
    learner.train_from_iterator(
        texts,
        WordPieceTrainer(
            vocab_size=size,
            special_tokens=[*SPECIAL_TOKENS, *(CONTINUATION + letter for letter in letters)],
            continuing_subword_prefix=CONTINUATION,
            show_progress=False,
        ),
    )
    learnt = sorted(learner.get_vocab().items(), key=lambda entry: entry[1])
    return _tokenizer({piece: index for index, (piece, _) in enumerate(learnt)})


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(
        WordPiece(vocabulary, unk_token=SPECIAL_TOKENS[UNK_ID], max_input_chars_per_word=LONGEST_WORD)
    )
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    if vocabulary:
        tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
        tokenizer.post_processor = TemplateProcessing(
            single=f"{SPECIAL_TOKENS[CLS_ID]} $A {SPECIAL_TOKENS[SEP_ID]}",
            special_tokens=[(SPECIAL_TOKENS[index], index) for index in (CLS_ID, SEP_ID)],
        )
    return tokenizer
