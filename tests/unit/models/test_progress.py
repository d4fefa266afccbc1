from __future__ import annotations

import io

from rich.console import Console

from mlapi.models.progress import DownloadProgress


def _report(*, terminal: bool) -> str:
    written = io.StringIO()
    with DownloadProgress(Console(file=written, force_terminal=terminal, width=100)) as progress:
        progress.begin("[small].json", total=10, done=0)
        progress.advance(10)
        progress.begin("large.bin", total=2_000, done=500)
        progress.advance(1_500)
        progress.begin("unknown.bin", total=None, done=0)
    return written.getvalue()


def test_a_pipe_gets_one_line_a_file() -> None:
    """If it fails, the log of a pull is empty, or full of escape codes."""
    assert _report(terminal=False).splitlines() == [
        "[small].json: 10 bytes",
        "large.bin: 2,000 bytes, 500 of them from before",
        "unknown.bin",
    ]


def test_a_terminal_gets_a_bar() -> None:
    """If it fails, whoever waits for a download does not see how far it is."""
    shown = _report(terminal=True)
    assert "unknown.bin" in shown
    assert "\x1b" in shown
    assert "of them from before" not in shown
