"""Each cross-check turns red for the fault that it is there for, and for that alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.cross_checks.registry import CHECKS, FINAL
from tests.support.deploy.mutations import cluster as cases_cluster
from tests.support.deploy.mutations import objects as cases_objects
from tests.support.deploy.mutations import pods as cases_pods
from tests.support.deploy.mutations import routes as cases_routes

if TYPE_CHECKING:
    from tests.support.deploy.mutations.mutation import Mutation
    from tests.support.deploy.renders import Renders

CASES = (*cases_objects.CASES, *cases_pods.CASES, *cases_cluster.CASES, *cases_routes.CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_is_noticed(renders: Renders, case: Mutation) -> None:
    """A fault of the manifests passes, or what is found does not say what is wrong."""
    before = case.check(renders[case.render])
    after = case.check(case.applied(renders[case.render]))
    assert before == [] or case.check in FINAL
    assert [line for line in after if case.says in line and line not in before] != [], after


def test_every_cross_check_is_shown_to_notice_something() -> None:
    """A cross-check exists that may be unable to fail."""
    assert [
        check.__name__ for check in (*CHECKS, *FINAL) if check not in {case.check for case in CASES}
    ] == []
