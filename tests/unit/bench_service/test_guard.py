"""`bench.guard`: what it calls a regression, and how often it looks."""

from __future__ import annotations

import pytest

from bench.guard.__main__ import guard, main
from bench.guard.margins import CACHED, CPU, THROUGHPUT, judge
from bench.guard.measure import Turns


def _turns(*, throughput: float = 4.0, cpu: float = 0.1, cached: float = 1.3) -> Turns:
    return Turns(
        per_s={"service": [100 * throughput], "plain": [100.0], "cached": [1.0], "constant": [1.0]},
        cpu_ms={"service": [20 * cpu], "plain": [20.0], "cached": [cached], "constant": [1.0]},
    )


def test_each_ratio_has_its_margin() -> None:
    """If this fails, the guard passes a slower service, or compares the wrong numbers."""
    assert [verdict.value for verdict in judge(_turns())] == pytest.approx([4.0, 0.1, 1.3])
    assert all(verdict.reached for verdict in judge(_turns(throughput=THROUGHPUT, cpu=CPU, cached=CACHED)))
    for number, slow in enumerate(({"throughput": 2.2}, {"cpu": 0.21}, {"cached": 2.1})):
        reached = [verdict.reached for verdict in judge(_turns(**slow))]
        assert reached == [place != number for place in range(3)]


def test_a_good_run_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails, CI spends a minute more than it must."""
    runs = iter([_turns()])
    assert guard(lambda: next(runs)) == 0
    assert "bench-guard: passed\n" in capsys.readouterr().out


def test_a_bad_run_is_repeated_once_and_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails, one bad moment of the machine is red, or a repetition is kept quiet."""
    runs = iter([_turns(throughput=1.0), _turns()])
    assert guard(lambda: next(runs)) == 0
    said = capsys.readouterr().out
    assert "measuring once more" in said
    assert "passed at the second attempt" in said


def test_two_bad_runs_are_red(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails, the guard cannot fail."""
    runs = iter([_turns(cached=9.0)] * 2)
    assert guard(lambda: next(runs)) == 1
    assert "FAILED twice, at last: all repeats" in capsys.readouterr().out


def test_a_setting_has_a_name_and_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails, a typing error in --set is measured as if it were the setting."""
    with pytest.raises(SystemExit):
        main(["--set", "max_batch_texts"])
    assert "'max_batch_texts' is not NAME=VALUE" in capsys.readouterr().err
