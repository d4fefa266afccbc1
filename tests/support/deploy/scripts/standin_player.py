"""What every stand-in runs: it records its call, finds the rule that fits, replays it (see standins.py)."""

import json
import os
import signal
import sys
import time
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

UNEXPECTED = 97
HOLD_S = 60
ENGINE_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "MINIKUBE_ACTIVE_DOCKERD")


def fits(rule: dict[str, object], tool: str, arguments: list[str]) -> bool:
    """Whether the rule's words stand in the call, in this order."""
    words = rule["words"]
    if rule["tool"] != tool or not isinstance(words, list):
        return False
    rest = iter(arguments)
    return all(any(fnmatchcase(argument, word) for argument in rest) for word in words)


def used(home: Path, number: int) -> int:
    """Count a use of a rule and return how often it was used before. Appending is safe between processes."""
    with (home / f"uses-{number}").open("ab") as uses:
        uses.write(b".")
        uses.flush()
        return uses.tell() - 1


def choose(home: Path, tool: str, arguments: list[str]) -> dict[str, object] | None:
    """Return the newest rule that fits and is not used up."""
    rules = json.loads((home / "rules.json").read_text(encoding="utf-8"))
    for number in range(len(rules) - 1, -1, -1):
        rule: dict[str, object] = rules[number]
        if fits(rule, tool, arguments) and (
            not rule["first"] or used(home, number) < int(str(rule["first"]))
        ):
            return rule
    return None


def given_files(arguments: list[str]) -> dict[str, str]:
    """Return the text of the files that `-f` names, and of standard input where that is a dash."""
    files = {}
    for option, name in pairwise(arguments):
        if option == "-f" and name == "-":
            files["-"] = sys.stdin.read()
        elif option == "-f" and Path(name).is_file():
            files[Path(name).name] = Path(name).read_text(encoding="utf-8")
    return files


def filled(kubectl: str, objects: list[object], arguments: list[str]) -> str:
    """Return what `kubectl get` prints of objects with the call's go-template.

    Without a cluster kubectl fills templates for one object at a time: the loop over `.items` is taken off.
    """
    import subprocess
    import tempfile

    template = next(one for one in arguments if one.startswith("go-template=")).partition("=")[2]
    start, end = "{{range .items}}", "{{end}}"
    if template.startswith(start):
        template = template[len(start) : -len(end)]
    printed = ""
    for one in objects:
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            file.write(json.dumps(one))
            file.flush()
            command = [kubectl, "label", "--local", "-f", file.name, "-o", f"go-template={template}", "a=b"]
            printed += subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return printed


def main() -> int:
    """Answer one call."""
    program, arguments = Path(sys.argv[0]), sys.argv[1:]
    home = Path(Path(f"{program}.home").read_text(encoding="utf-8"))
    rule = choose(home, program.name, arguments)
    call = {
        "tool": program.name,
        "arguments": arguments,
        "files": given_files(arguments),
        "environment": {name: os.environ[name] for name in ENGINE_VARIABLES if name in os.environ},
        "expected": rule is not None,
    }
    with (home / "calls.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(call) + "\n")
    if rule is None:
        sys.stderr.write(f"stand-in: nobody expects {program.name} {' '.join(arguments)}\n")
        return UNEXPECTED
    if rule["real"]:
        os.execv(str(rule["real"]), [program.name, *arguments])
    if rule["script"]:
        os.execv("/bin/bash", ["bash", "-c", str(rule["script"]), program.name, *arguments])
    if isinstance(rule["objects"], list):
        sys.stdout.write(filled(str(rule["templates"]), rule["objects"], arguments))
    sys.stdout.write(str(rule["stdout"]))
    sys.stderr.write(str(rule["stderr"]))
    sys.stdout.flush()
    if rule["hold"]:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(HOLD_S)
    return int(str(rule["status"]))


sys.exit(main())
