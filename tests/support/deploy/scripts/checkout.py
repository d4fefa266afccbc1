"""A checkout of the project that a script may be run in: its own git repository, with one commit.

    checkout = make_checkout(tmp_path / "checkout")
    done = checkout.run("build-push.sh", "--no-push", environment=tools.environment())

What the working tree holds is taken, committed or not, so that a test is about what lies there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parents[4]
BUILD_INPUTS = (
    ".dockerignore",
    ".gitignore",
    "Dockerfile",
    "LICENSE",
    "NOTICE",
    "README.md",
    "build-push.sh",
    "mlapi",
    "models/lab",
    "pyproject.toml",
    "requirements",
    "scripts",
)
"""What build-push.sh needs of the repository, but models/starter."""

VALUES = """apiVersion: v1
kind: ConfigMap
metadata:
  name: values
  annotations:
    config.kubernetes.io/local-config: "true"
data:
  account: "111122223333"
  region: "eu-west-1"
"""
AUTHOR = {
    "GIT_AUTHOR_NAME": "A Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "A Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder with a git repository.

    Attributes:
        path: The folder.
    """

    path: Path

    def git(self, *arguments: str) -> str:
        """Run git and return what it printed."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env={**os.environ, **AUTHOR},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, message: str = "a change") -> str:
        """Commit all that lies there and return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def run(
        self, script: str, *arguments: str, environment: Mapping[str, str], answer: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run one of its scripts, with what is typed in answer to its questions."""
        return subprocess.run(
            [str(self.path / script), *arguments],
            cwd=self.path.parent,  # a script finds its own place
            env=dict(environment),
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )


def make_checkout(path: Path, *, starter: Path = REPOSITORY / "models" / "starter") -> Checkout:
    """Make a checkout with what an image is built from.

    Args:
        path: Where to.
        starter: The directory that becomes models/starter.
    """
    for name in BUILD_INPUTS:
        source, place = REPOSITORY / name, path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, place)
    shutil.copytree(starter, path / "models" / "starter")
    values = path / ".k8s" / "overlays" / "prod" / "values.yaml"
    values.parent.mkdir(parents=True)
    values.write_text(VALUES, encoding="utf-8")
    checkout = Checkout(path)
    checkout.git("init", "--quiet")
    checkout.commit("the project")
    return checkout
