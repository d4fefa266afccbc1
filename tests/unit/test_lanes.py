"""The waiting line: order, length neighbours, budget, removal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlapi.lanes import MAX_LENGTH_RATIO, WORTH_A_CALL, WaitingLine
from tests.support.fakes import RecordingJob


def _line(*lengths: int) -> tuple[WaitingLine, list[RecordingJob]]:
    line = WaitingLine()
    jobs = [RecordingJob(length) for length in lengths]
    for job in jobs:
        line.add(job)
    return line, jobs


def test_an_empty_line_gives_no_batch() -> None:
    """The feeder would call the engine with nothing."""
    assert WaitingLine().take(max_tokens=100, max_texts=10) == []


def test_the_oldest_job_is_always_in_the_batch() -> None:
    """A text of unusual length would starve while popular lengths overtake it."""
    line, jobs = _line(200, 10, 10, 10, 10)
    assert line.take(max_tokens=256, max_texts=10) == [jobs[0]]


def test_a_job_over_the_budget_runs_alone() -> None:
    """A text longer than the budget would never be answered."""
    line, jobs = _line(500, 500)
    assert line.take(max_tokens=100, max_texts=10) == [jobs[0]]


def test_neighbours_in_length_share_a_batch() -> None:
    """Batches of mixed length would spend most of their time on padding."""
    line, jobs = _line(100, 400, 104, 12, 96)
    assert set(line.take(max_tokens=1000, max_texts=10)) == {jobs[0], jobs[2], jobs[4]}


def test_tiny_texts_are_not_kept_apart() -> None:
    """Texts too small to be worth a call would each cost a call of their own."""
    line, jobs = _line(3, 30)
    assert set(line.take(max_tokens=1000, max_texts=10)) == set(jobs)


def test_number_of_texts_is_bounded() -> None:
    """One batch could hold more texts than the setting allows."""
    line, jobs = _line(*[4] * 10)
    assert line.take(max_tokens=10_000, max_texts=3) == jobs[:3]


def test_removed_jobs_are_not_taken() -> None:
    """A cancelled text would still cost engine time."""
    line, jobs = _line(10, 10, 10)
    line.remove(jobs[0])
    line.remove(jobs[2])
    assert line.take(max_tokens=1000, max_texts=10) == [jobs[1]]
    assert (line.texts, line.tokens) == (0, 0)


def test_taken_means_on_its_way_to_the_engine() -> None:
    """A text that the engine works on would be thrown away, or one that still waits be kept for nobody."""
    line, (job,) = _line(10)
    assert not job.taken
    job.submitted = 1.0
    assert not job.taken
    line.take(max_tokens=1000, max_texts=1)
    assert job.taken


@given(
    lengths=st.lists(st.integers(min_value=1, max_value=512), max_size=60),
    max_tokens=st.integers(min_value=1, max_value=2000),
    max_texts=st.integers(min_value=1, max_value=20),
)
def test_every_job_is_taken_once_within_budget(lengths: list[int], max_tokens: int, max_texts: int) -> None:
    """A text could be lost or answered twice, or a batch exceed its budget or be mostly padding."""
    line, jobs = _line(*lengths)
    taken: list[RecordingJob] = []
    while batch := line.take(max_tokens=max_tokens, max_texts=max_texts):
        sizes = [job.encoding.length for job in batch]
        padded = max(sizes) * len(sizes)
        assert len(batch) <= max_texts
        assert len(batch) == 1 or padded <= max_tokens
        assert max(sizes) <= min(sizes) * MAX_LENGTH_RATIO or padded <= WORTH_A_CALL
        taken += [job for job in batch if isinstance(job, RecordingJob)]
    assert sorted(map(id, taken)) == sorted(map(id, jobs))
    assert (line.texts, line.tokens, list(line)) == (0, 0, [])
