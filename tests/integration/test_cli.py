"""The command line as its users run it: a process with arguments, standard input, output and a status."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from mlapi.cli import app
from mlapi.engines.factory import load_classifier
from mlapi.models.manifest import read_manifest
from tests.support.http_server import (
    HOST,
    REPOSITORY,
    ServerProcess,
    clean_environment,
    run_cli,
    wait_until,
)
from tests.support.model_directory import edit_manifest, make_tiny_model, reseal

if TYPE_CHECKING:
    from tests.support.model_directory import TinyModel

TRACEBACK = "Traceback"


@pytest.fixture
def tiny(tmp_path: Path) -> TinyModel:
    """A model directory of the test's own, to break."""
    return make_tiny_model(tmp_path / "model")


def _predict(tiny_model: Path, *arguments: str | bytes, stdin: bytes = b"") -> list[dict[str, object]]:
    done = run_cli("predict", "--model", str(tiny_model), *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    # Not splitlines, which splits at more characters than the one that ends a JSON line.
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


def _fails(done: subprocess.CompletedProcess[str], *, status: int, says: str) -> None:
    """Check that a command failed with one line on standard error, and no traceback."""
    assert done.returncode == status, done.stderr
    assert TRACEBACK not in done.stderr
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


# Help.


@pytest.mark.parametrize(
    ("command", "mentions"),
    [
        ([], ["serve", "predict", "model", "train", "MLAPI_"]),
        (["serve"], ["--model", "--host", "--port", "--prefix", "--workers", "--threads", "MLAPI_REDIS_URL"]),
        (["predict"], ["--file", "standard input", "--variant", "texts"]),
        (["model"], ["show", "verify"]),
        (["model", "show"], ["--json", "directory"]),
        (["model", "verify"], ["directory", "golden texts", "status 1"]),
        (["train"], ["starter", "lab", "make venv-torch"]),
        (["train", "starter"], ["--data", "train.tsv", "--out", "--seed"]),
        (["train", "lab"], ["--data", "--out", "--seed"]),
    ],
)
def test_help(command: list[str], mentions: list[str]) -> None:
    """If it fails, a command's help is missing, or silent about what its user needs to know."""
    done = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    for mention in mentions:
        assert mention.lower() in done.output.lower()
    assert "--fd" not in done.output


def test_no_command_shows_the_help() -> None:
    """If it fails, `mlapi` alone says nothing useful."""
    done = run_cli()
    assert "serve" in done.stdout + done.stderr
    assert TRACEBACK not in done.stderr


def test_the_installed_command_reports_errors_in_one_line(tmp_path: Path) -> None:
    """If it fails, the installed `mlapi` differs from `python -m mlapi` and shows tracebacks to its users."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["scripts"]["mlapi"].partition(":")
    done = subprocess.run(
        [sys.executable, "-c", f"import {module} as m; m.{name}()", "model", "show", str(tmp_path)],
        cwd=REPOSITORY,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    _fails(done, status=1, says="manifest.json")


# predict.


def test_texts_from_the_command_line(tiny_model: Path) -> None:
    """If it fails, the quickest way to try a model gives wrong or no answers."""
    good, bad = _predict(tiny_model, "a lovely film", "the plot is awful ö 🙂")
    assert list(good) == ["text", "prediction", "truncated"]
    assert (good["text"], bad["text"]) == ("a lovely film", "the plot is awful ö 🙂")
    assert good["prediction"][0]["label"] == "POSITIVE"  # type: ignore[index]
    assert bad["prediction"][0]["label"] == "NEGATIVE"  # type: ignore[index]


def test_truncation_is_said(tiny_model: Path) -> None:
    """If it fails, nobody learns that only a text's beginning was scored."""
    assert [line["truncated"] for line in _predict(tiny_model, "short", "the plot " * 40)] == [False, True]


def test_lines_of_a_file(tiny_model: Path, tmp_path: Path) -> None:
    """If it fails, lines are lost, split or joined: empty ones, Windows line ends, no line end at the end."""
    lines = ["one", "", "with\ttab", "", "carriage\rreturn", "zoë 🙂", "\u2028 no line end", "last"]
    file = tmp_path / "texts.txt"
    file.write_bytes("\r\n".join(lines[:3]).encode() + b"\r\n" + "\n".join(lines[3:]).encode())
    assert [line["text"] for line in _predict(tiny_model, "--file", str(file))] == lines


def test_standard_input(tiny_model: Path) -> None:
    """If it fails, the command cannot stand in a pipe."""
    for arguments in ((), ("-f", "-")):
        assert [line["text"] for line in _predict(tiny_model, *arguments, stdin=b"a\nb\n")] == ["a", "b"]
    assert _predict(tiny_model, stdin=b"") == []


def test_order_is_kept_over_windows(tiny_model: Path) -> None:
    """If it fails, answers of a long file stand beside the wrong lines."""
    texts = [
        f"{'film ' * (number * 7 % 23)}{'good' if number % 3 else 'bad'} {number}" for number in range(3_000)
    ]
    answers = _predict(tiny_model, stdin="\n".join(texts).encode())
    assert [answer["text"] for answer in answers] == texts
    classifier = load_classifier(tiny_model, threads=1)
    for number in range(0, 3_000, 217):
        expected = max(classifier.classify(classifier.encode([texts[number]]))[0])
        assert answers[number]["prediction"][0]["score"] == pytest.approx(expected, abs=1e-6)  # type: ignore[index]
    classifier.close()


def test_a_line_that_is_not_utf8(tiny_model: Path) -> None:
    """If it fails, a file in another encoding gives a traceback, or does not say where the trouble is."""
    done = run_cli("predict", "--model", str(tiny_model), stdin=b"fine\nfine\nzo\xeb\n")
    _fails(done, status=1, says="line 3 is not UTF-8")


def test_an_argument_that_is_not_utf8(tiny_model: Path) -> None:
    """If it fails, an argument in another encoding gives a traceback."""
    done = run_cli("predict", "--model", str(tiny_model), "fine", b"zo\xeb")
    _fails(done, status=1, says="text 2 is not UTF-8")


@pytest.mark.parametrize("variant", ["onnx-fp32", "openvino-fp32"])
def test_nothing_is_left_behind(tmp_path: Path, variant: str) -> None:
    """If it fails, a library keeps an identity of this machine on disk, or events to report to its maker."""
    model = make_tiny_model(tmp_path / "model", variants={variant: 0.0}).path
    home = tmp_path / "home"
    home.mkdir()
    environment = {"TMPDIR": str(home), "HOME": str(home), "XDG_CACHE_HOME": str(home)}
    done = run_cli("predict", "--model", str(model), "a text", environment=environment)
    assert done.returncode == 0
    assert list(home.iterdir()) == []


def test_a_file_that_is_not_there(tiny_model: Path, tmp_path: Path) -> None:
    """If it fails, a mistyped file name gives a traceback."""
    done = run_cli("predict", "--model", str(tiny_model), "--file", str(tmp_path / "none.txt"))
    _fails(done, status=1, says="none.txt cannot be read")
    done = run_cli("predict", "--model", str(tiny_model), "--file", str(tmp_path))
    _fails(done, status=1, says="cannot be read: Is a directory")


def test_texts_and_a_file(tiny_model: Path) -> None:
    """If it fails, one of two inputs is silently ignored."""
    done = run_cli("predict", "--model", str(tiny_model), "--file", "-", "a text")
    _fails(done, status=2, says="not both")


def test_a_reader_that_has_seen_enough(tiny_model: Path, tmp_path: Path) -> None:
    """If it fails, `mlapi predict | head -1` ends in complaints about a broken pipe."""
    file = tmp_path / "texts.txt"
    file.write_text("a film\n" * 5_000, encoding="utf-8")
    arguments = ["predict", "--model", str(tiny_model), "--file", str(file)]
    with subprocess.Popen(
        [sys.executable, "-m", "mlapi", *arguments],
        cwd=REPOSITORY,
        env=clean_environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["text"] == "a film"
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("command", ["predict", "serve"])
def test_a_model_that_is_not_there(command: str, tmp_path: Path) -> None:
    """If it fails, the commonest mistake gives a traceback, or a service that stays up without a model."""
    arguments = ["--port", "0"] if command == "serve" else ["a text"]
    done = run_cli(command, "--model", str(tmp_path / "nothing"), *arguments)
    _fails(done, status=1, says="nothing")


def test_a_variant_that_is_not_there(tiny_model: Path) -> None:
    """If it fails, a mistyped variant does not lead to the ones there are."""
    done = run_cli("predict", "--model", str(tiny_model), "--variant", "openvino", "a text")
    _fails(done, status=1, says="it has: onnx-fp32")


def test_a_broken_model(tiny: TinyModel) -> None:
    """If it fails, a model file that was changed or cut off is used, or gives a traceback."""
    _flip_a_byte(tiny.path / "onnx" / "onnx-fp32.onnx")
    done = run_cli("predict", "--model", str(tiny.path), "--variant", "onnx-fp32", "a text")
    _fails(done, status=1, says="SHA-256")


# Settings.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLAPI_PORT", "abc"),
        ("MLAPI_PREDICT_MAX_TEXTS", "100000"),
    ],
)
def test_a_bad_setting_is_named(tiny_model: Path, name: str, value: str) -> None:
    """If it fails, a bad environment variable gives a traceback, or a message that does not name it."""
    done = run_cli("serve", "--model", str(tiny_model), environment={name: value})
    assert name.removeprefix("MLAPI_").lower() in done.stderr.lower()
    _fails(done, status=1, says="mlapi: ")


@pytest.mark.parametrize("name", ["REDIS_URL", "MLAPI_REDIS_URL"])
def test_a_bad_cache_address_is_named_and_not_shown(tiny_model: Path, name: str) -> None:
    """If it fails, a mistyped Redis address gives a traceback, or its password stands in the log."""
    done = run_cli(
        "serve", "--model", str(tiny_model), "--port", "0", environment={name: "http://:secret@host"}
    )
    _fails(done, status=1, says="REDIS_URL")
    assert "secret" not in done.stderr


# model.


def test_show(tiny_model: Path) -> None:
    """If it fails, nobody can tell what a model directory holds without reading JSON."""
    manifest = read_manifest(tiny_model)
    shown = run_cli("model", "show", str(tiny_model)).stdout
    for fact in (manifest.version, "NEGATIVE, POSITIVE", "onnx-fp32", "32 tokens", "tokenizer.json"):
        assert fact in shown
    done = run_cli("model", "show", "--json", str(tiny_model))
    assert json.loads(done.stdout) == json.loads((tiny_model / "manifest.json").read_bytes())


@pytest.mark.parametrize("name", ["starter", "lab"])
def test_show_says_where_a_model_came_from(name: str) -> None:
    """If it fails, a model that this project trained cannot be traced to its data and command."""
    path = REPOSITORY / "models" / name
    shown = CliRunner().invoke(app, ["model", "show", str(path)]).output
    assert f"mlapi train {name}" in shown
    assert "SHA-256" in shown


def test_show_of_no_model(tmp_path: Path) -> None:
    """If it fails, `model show` on the wrong folder gives a traceback."""
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    _fails(run_cli("model", "show", str(tmp_path)), status=1, says="manifest.json")


def test_verify_of_a_sound_model(tiny_model: Path) -> None:
    """If it fails, a sound model is found wanting, or something is not checked."""
    done = run_cli("model", "verify", str(tiny_model))
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok    ") for line in lines)
    for checked in (
        "manifest: tiny",
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "variant onnx-fp32: 4",
    ):
        assert any(checked in line for line in lines)


def _flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _wrong_label(path: Path) -> None:
    config = json.loads((path / "config.json").read_bytes())
    config["id2label"]["0"] = "OTHER"
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    reseal(path)


def _wrong_golden(path: Path) -> None:
    edit_manifest(path, lambda content: content["golden"][0].update(logits=[5.0, -5.0]))


def _no_engine_at_all(path: Path) -> None:
    (path / "onnx" / "onnx-fp32.onnx").write_bytes(b"not a graph")
    reseal(path)


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (lambda path: _flip_a_byte(path / "onnx" / "onnx-fp32.onnx"), "file onnx/onnx-fp32.onnx"),
        (lambda path: _flip_a_byte(path / "model.safetensors"), "file model.safetensors"),
        (lambda path: (path / "tokenizer.json").unlink(), "file tokenizer.json"),
        (_wrong_label, "labels in config.json"),
        (_wrong_golden, "variant onnx-fp32"),
        (_no_engine_at_all, "variant onnx-fp32"),
    ],
)
def test_verify_of_a_damaged_model(tiny: TinyModel, damage: object, names: str) -> None:
    """If it fails, a damaged model passes the check, or the check does not say what is damaged."""
    assert callable(damage)
    damage(tiny.path)
    done = CliRunner().invoke(app, ["model", "verify", str(tiny.path)])
    assert done.exit_code == 1
    assert any(line.startswith(f"wrong {names}: ") for line in done.stdout.splitlines()), done.stdout


def test_verify_names_what_it_could_not_check(tiny: TinyModel) -> None:
    """If it fails, a variant whose engine is not installed passes for a checked one, or for a wrong one."""

    def add_variant(content: dict[str, dict[str, dict[str, object]]]) -> None:
        content["variants"]["torch"] = {**content["variants"]["onnx-fp32"], "engine": "torch"}

    edit_manifest(tiny.path, add_variant)
    reseal(tiny.path)
    done = CliRunner().invoke(app, ["model", "verify", str(tiny.path)])
    if "--    variant torch not checked" not in done.stdout:
        # Where torch is installed, the variant is tried, and this model is none that torch could run.
        assert "wrong variant torch" in done.stdout
        assert done.exit_code == 1


# serve.


def test_serve_says_where_and_what(tiny_model: Path) -> None:
    """If it fails, whoever starts the service does not learn where it listens and which model answers."""
    with ServerProcess(tiny_model, environment={"MLAPI_LOG_FORMAT": "text"}) as server:
        assert "listening on http://127.0.0.1:" in server.log
        assert f"ready: model tiny {read_manifest(tiny_model).version}, variant onnx-fp32" in server.log
        assert server.stop() == 0
        assert TRACEBACK not in server.log


def test_flags_win_over_the_environment(tiny_model: Path) -> None:
    """If it fails, a flag is silently ignored because a variable is set as well."""
    environment = {"MLAPI_PREFIX": "/from-environment", "MLAPI_MODEL": "/nowhere", "MLAPI_THREADS": "2"}
    with ServerProcess(tiny_model, "--prefix", "/lab", "--threads", "1", environment=environment) as server:
        assert server.client.base_url.path == "/lab/"
        assert "on 1 threads" in server.log


def test_serve_on_a_taken_port(tiny_model: Path) -> None:
    """If it fails, a taken port gives a traceback, or a message that does not say what to do."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_cli("serve", "--model", str(tiny_model), "--host", HOST, "--port", port)
    _fails(done, status=1, says=f"cannot listen on {HOST}:{port}")
    assert "--port" in done.stderr


def test_serve_on_a_host_that_is_not_here(tiny_model: Path) -> None:
    """If it fails, a mistyped address gives a traceback."""
    done = run_cli("serve", "--model", str(tiny_model), "--host", "no-such-host.invalid", "--port", "0")
    _fails(done, status=1, says="cannot listen on no-such-host.invalid:0")


def test_serve_with_a_changed_model(tiny: TinyModel) -> None:
    """If it fails, a changed model file is served, or the supervisor restarts what can never work."""
    _flip_a_byte(tiny.path / "onnx" / "onnx-fp32.onnx")
    with ServerProcess(tiny.path, "--variant", "onnx-fp32", wait=False) as server:
        assert server.wait() == 3
        errors = [event for event in server.events() if event["level"] == "error"]
        assert len(errors) == 1
        assert "SHA-256" in errors[0]["message"]
        assert TRACEBACK not in server.log


def test_sigterm_drains(tiny_model: Path) -> None:
    """If it fails, a rollout cuts off requests that had been accepted."""
    environment = {"MLAPI_MAX_BATCH_TEXTS": "1", "MLAPI_DRAIN_GRACE_S": "0.5"}
    with ServerProcess(tiny_model, environment=environment) as server, ThreadPoolExecutor() as pool:
        texts = [f"the {number} film" for number in range(8_000)]  # one batch each, so that it takes a while
        under_way = pool.submit(server.client.post, "/bulk-predict", json={"text": texts})
        wait_until(
            lambda: "mlapi_batch_texts_count 0.0" not in server.client.get(f"{server.root}/metrics").text
        )
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.client.get("/health").status_code == 503)
        assert server.client.get("/health").json()["status"] == "draining"
        assert server.client.post("/predict", json={"text": "a late one"}).status_code == 200
        assert under_way.result().status_code == 200
        assert len(under_way.result().json()["predictions"]) == len(texts)
        assert server.wait() == 0
        assert TRACEBACK not in server.log


def test_sigint_ends_at_once(tiny_model: Path) -> None:
    """If it fails, Ctrl-C takes as long as a rollout, or ends in a traceback."""
    with ServerProcess(tiny_model, environment={"MLAPI_DRAIN_GRACE_S": "300"}) as server:
        assert server.stop(signal.SIGINT) == 0
        assert TRACEBACK not in server.log


def test_make_serve_serves_the_starter_model() -> None:
    """If it fails, the service does not run without any settings from a fresh checkout."""
    with ServerProcess(Path("models/starter")) as server:
        answer = server.client.post("/predict", json={"text": "a wonderful film"})
        assert answer.json()["prediction"][0]["label"] == "POSITIVE"


def test_predict_skips_the_mark_at_the_start_of_a_file(tiny_model: Path, tmp_path: Path) -> None:
    """If it fails, files that some editors write get another answer for their first line."""
    file = tmp_path / "texts.txt"
    file.write_bytes(b"\xef\xbb\xbfa great film\n")
    done = run_cli("predict", "--model", str(tiny_model), "--file", str(file))
    assert json.loads(done.stdout)["text"] == "a great film"


def test_predict_into_a_full_disk_is_one_line(tiny_model: Path) -> None:
    """If it fails, output that cannot be written ends in a traceback."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full, which stands for a full disk")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mlapi", "predict", "--model", str(tiny_model), "a great film"],
            cwd=REPOSITORY,
            env=clean_environment({}),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode != 0
    assert (
        done.stderr.decode().splitlines()[0] == "mlapi: the output cannot be written: No space left on device"
    )
    assert TRACEBACK not in done.stderr.decode()


def test_serve_warns_of_a_misspelt_setting(tiny_model: Path) -> None:
    """If it fails, a misspelt variable is ignored without a word."""
    with ServerProcess(tiny_model, environment={"MLAPI_WORKER": "2"}) as server:
        assert any("MLAPI_WORKER is no setting" in event["message"] for event in server.events())
