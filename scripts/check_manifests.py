"""Check the Kubernetes manifests: strict schemas, cross-checks, and which components go together.

    python -m scripts.check_manifests              the overlays, every pair, every set that takes no more
    python -m scripts.check_manifests --all        every allowed combination, which takes minutes
    python -m scripts.check_manifests --final DIR  one kustomization, such as .k8s/.generated/prod, as applied

`make check` runs the first. Run the others in the repository with the development environment. Needs kubectl.
Prints one line for each fault, which says what to mend, and exits with 1 where there is one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.deploy import kustomize, matrix
from tests.support.deploy.cross_checks.registry import CHECKS, FINAL, findings
from tests.support.deploy.schemas import faults, versions

if TYPE_CHECKING:
    from tests.support.deploy.cross_checks.registry import Check
    from tests.support.deploy.matrix import Built

EXIT_OK, EXIT_FAULTS, EXIT_USAGE = 0, 1, 2


def problems(built: Built, checks: tuple[Check, ...] = CHECKS) -> list[str]:
    """Return what is wrong with one build."""
    if built.error:
        return [built.error]
    schema = {line.rpartition(" (")[0]: line for each in versions() for line in faults(built.objects, each)}
    return [*kustomize.rules().problems(built.components), *schema.values(), *findings(built.objects, checks)]


def main(arguments: list[str] | None = None) -> int:
    """Check what the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="kustomizations to check in place of all")
    parser.add_argument("--all", action="store_true", help="every allowed combination of components")
    parser.add_argument("--final", action="store_true", help="the service's images must have digests")
    options = parser.parse_args(arguments)
    if shutil.which("kubectl") is None:
        print(
            "kubectl is not on PATH; https://kubernetes.io/docs/tasks/tools/ says how to get it",
            file=sys.stderr,
        )
        return EXIT_USAGE
    builds = [matrix.build_folder(folder) for folder in options.folders]
    if not builds:
        rules = kustomize.rules()
        sets = list(rules.allowed()) if options.all else matrix.chosen(rules)
        builds = [*map(matrix.build_overlay, kustomize.OVERLAYS), *matrix.build_sets(sets)]
    checks = (*CHECKS, *FINAL) if options.final else CHECKS
    found: dict[str, list[str]] = {}
    for built in builds:
        for line in problems(built, checks):
            found.setdefault(line, []).append(built.name)
    for line, names in found.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        print(f"{names[0]}{more}: {line}", file=sys.stderr)
    if not found:
        kinds = f"schemas of Kubernetes {', '.join(versions())} and {len(checks)} cross-checks"
        print(f"{len(builds)} builds pass the {kinds}")
    return EXIT_FAULTS if found else EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
