"""Texts that loads consist of."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from bench.load.messages import NoMessagesError, make_messages, read_messages
from bench.load.request import Request
from bench.load.texts import distinct, in_bench_words, requests, with_repeats


@pytest.mark.parametrize("tokens", [(4, 4), (8, 8), (15, 25), (512, 512)])
def test_distinct_texts_have_as_many_tokens_as_asked_for(tokens: tuple[int, int]) -> None:
    """If this fails, a length in the tables is not the length that was measured, or a cache helps."""
    texts = distinct(300, tokens=tokens, seed=1)
    assert len(set(texts)) == 300
    lengths = {len(text.split()) + 2 for text in texts}
    assert lengths == set(range(tokens[0], tokens[1] + 1))
    assert all(200 <= int(word.removeprefix("w")) < 30_522 for text in texts for word in text.split())


def test_seeds_give_the_same_texts_again_and_others_give_others() -> None:
    """If this fails, runs cannot be repeated, or one window sends what another has sent."""
    assert distinct(50, tokens=(8, 8), seed="a") == distinct(50, tokens=(8, 8), seed="a")
    assert not set(distinct(50, tokens=(8, 8), seed="a")) & set(distinct(50, tokens=(8, 8), seed="b"))
    assert make_messages(50, seed=1) == make_messages(50, seed=1)
    assert make_messages(50, seed=1) != make_messages(50, seed=2)
    with pytest.raises(ValueError, match="fewer than 4"):
        distinct(1, tokens=(3, 9), seed=1)


def test_a_message_keeps_its_length_and_its_identity_in_the_benchs_words() -> None:
    """If this fails, real messages are measured at another length than a real vocabulary would give them."""
    words = in_bench_words("@VirginAmerica What @dhepburn said.").split()
    assert len(words) == 1 + 2 + 1 + 1 + 1 + 1 + 1
    assert words[0] == words[4]
    assert in_bench_words("What?") == in_bench_words("what ?") != in_bench_words("what!")
    assert in_bench_words("entertainment", vocabulary=600).count("w") == 2
    messages = make_messages(2000, seed=5)
    assert len({in_bench_words(message) for message in messages}) == 2000


def test_made_messages_look_like_messages() -> None:
    """If this fails, the shipped messages repeat, show unfilled blanks, or are all of one length."""
    messages = make_messages(5000, seed=3)
    assert len(set(messages)) == 5000
    assert not any("{" in message or "  " in message for message in messages)
    lengths = [len(message.split()) for message in messages]
    assert 14 < statistics.mean(lengths) < 22
    assert min(lengths) >= 3
    assert statistics.stdev(lengths) > 5


def test_the_share_of_repeats_is_exact() -> None:
    """If this fails, 96 % repeats are some other share, or what should be new was sent before."""
    fixed, fresh = ["x", "y", "z"], [str(number) for number in range(10)]
    texts = with_repeats(fresh, share=0.96, count=250, seed=1, fixed=fixed)
    assert len(texts) == 250
    assert [text for text in texts if text not in fixed] == fresh
    assert {text for text in texts if text in fixed} == set(fixed)
    assert with_repeats([], share=1, count=5, seed=1, fixed=["x"]) == ["x"] * 5
    with pytest.raises(ValueError, match="11 fresh texts"):
        with_repeats(fresh, share=0.96, count=275, seed=1, fixed=fixed)


def test_equal_texts_share_one_request() -> None:
    """If this fails, a load of repeats takes as much memory as one of distinct texts."""
    first, second, third = requests(["a", "b", "a"], lambda text: Request("/x", text.encode()))
    assert first is third
    assert (first.body, second.body) == (b"a", b"b")


def test_messages_come_from_files_in_their_order(tmp_path: Path) -> None:
    """If this fails, --texts measures something else than the messages of the file."""
    for name, content in {
        "a.tsv": 'label\ttext\nneg\t"He said ""no""\nand left"\npos\t\nneg\tsecond\n',
        "a.csv": 'Tweet,id\n"He said ""no""\nand left",1\nsecond,2\n',
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert read_messages(tmp_path / name) == ['He said "no"\nand left', "second"]
    (tmp_path / "a.txt").write_text("first\n\n second, with a comma \n", encoding="utf-8")
    assert read_messages(tmp_path / "a.txt") == ["first", "second, with a comma"]


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", "id,score\n1,2\n"), ("a.csv", ""), ("a.txt", "\n\n")]
)
def test_a_file_without_messages_is_refused(tmp_path: Path, name: str, content: str) -> None:
    """If this fails, numbers or nothing at all are measured as if they were messages."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(NoMessagesError):
        read_messages(tmp_path / name)
