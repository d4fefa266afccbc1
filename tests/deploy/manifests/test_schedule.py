"""The script by which a CronJob changes how many pods the autoscaler keeps at least, and when."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.certificates import Authority, make_authority
from tests.support.deploy import kustomize
from tests.support.deploy.api_server import api_server
from tests.support.deploy.matrix import FURTHER_VALUES, build_sets
from tests.support.deploy.objects import find, of_kind, pod_template

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.objects import Object

SCRIPT = kustomize.K8S / "components" / "schedule" / "set_minimum.py"
MOUNTED = "/var/run/secrets/kubernetes.io/serviceaccount"
ALWAYS_4 = ("mlapi", "--by-day=4", "--otherwise=4", "--weekdays=1-5", "--from-hour=7", "--to-hour=20")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signed the API server's certificate."""
    return make_authority(tmp_path / "authority")


@pytest.fixture
def access(tmp_path: Path, authority: Authority) -> Path:
    """What Kubernetes mounts into the pod."""
    folder = tmp_path / "access"
    folder.mkdir()
    (folder / "token").write_text("a-token\n", encoding="ascii")
    (folder / "namespace").write_text("reviews", encoding="ascii")
    (folder / "ca.crt").write_bytes(authority.ca_file.read_bytes())
    return folder


@pytest.fixture(scope="module")
def rendered() -> tuple[Object, ...]:
    """The base with `hpa` and `schedule`."""
    (built,) = build_sets([("hpa", "schedule")])
    assert not built.error
    return built.objects


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("set_minimum", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def container(rendered: tuple[Object, ...]) -> Object:
    """The container in which the CronJob runs the script."""
    job = find(rendered, "CronJob", "schedule")
    assert job is not None
    (only,) = pod_template(job)["spec"]["containers"]
    found: Object = only
    return found


def run(
    tmp_path: Path, access: Path, port: int, *, zone: str = "Europe/Berlin"
) -> subprocess.CompletedProcess[str]:
    """Run the script as the pod does, with the mounted folder elsewhere, at an hour that does not matter."""
    script = tmp_path / "set_minimum.py"
    text = SCRIPT.read_text(encoding="utf-8")
    assert MOUNTED in text
    script.write_text(text.replace(MOUNTED, str(access)), encoding="utf-8")
    told = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port), "TIME_ZONE": zone}
    return subprocess.run(
        [sys.executable, script, *ALWAYS_4],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_patches_the_minimum_and_nothing_else(tmp_path: Path, access: Path, authority: Authority) -> None:
    """The minimum would not change by day, or a patch would take fields over that others own."""
    with api_server(authority.server_context("IP:127.0.0.1")) as api:
        done = run(tmp_path, access, api.port)

    path = "/apis/autoscaling/v2/namespaces/reviews/horizontalpodautoscalers/mlapi?fieldManager=schedule"
    headers = {"Authorization": "Bearer a-token", "Content-Type": "application/merge-patch+json"}
    assert api.requests == [("PATCH", path, headers, {"spec": {"minReplicas": 4}})]
    assert done.returncode == 0
    assert done.stdout.startswith("minReplicas of mlapi is 4: it is ")


def test_a_refusal_fails_the_job_and_says_why(tmp_path: Path, access: Path, authority: Authority) -> None:
    """A missing permission would look like success, night after night."""
    with api_server(authority.server_context("IP:127.0.0.1"), status=403) as api:
        done = run(tmp_path, access, api.port)

    assert done.returncode == 1
    assert done.stdout.startswith("403 Forbidden: ")
    assert "as told" in done.stdout
    assert "a-token" not in done.stdout + done.stderr


def test_the_token_goes_to_no_stranger(tmp_path: Path, access: Path) -> None:
    """Whoever answers at the API server's address would be given the token."""
    stranger = make_authority(tmp_path / "stranger", name="stranger")
    with api_server(stranger.server_context("IP:127.0.0.1")) as api:
        done = run(tmp_path, access, api.port)

    assert api.requests == []
    assert done.returncode == 1
    assert "cannot ask the API server at 127.0.0.1" in done.stdout
    assert "certificate" in done.stdout


def test_a_zone_that_the_image_does_not_know_is_said(tmp_path: Path, access: Path) -> None:
    """The number would be that of another place's clock, or the log would end in a stack trace."""
    done = run(tmp_path, access, 1, zone="Europe/Atlantis")

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "TIME_ZONE: this image knows no time zone Europe/Atlantis\n"


def test_every_quarter_of_an_hour_has_its_number(
    script: ModuleType, container: Object, rendered: tuple[Object, ...]
) -> None:
    """At some hour of the week nothing is set, such as at weekends by day, or the wrong number is."""
    (job,) = of_kind(rendered, "CronJob")
    assert job["spec"]["schedule"] == "*/15 * * * *", "all of them, whatever the arguments say"
    plan = script.read(container["args"])
    monday = datetime(2026, 6, 1)  # noqa: DTZ001 - the script is given the clock of its place
    quarters = [monday + timedelta(minutes=15 * number) for number in range(7 * 24 * 4)]

    assert {(time, script.minimum(plan, time)) for time in quarters} == {
        (time, 4 if time.weekday() < 5 and 7 <= time.hour <= 19 else 2) for time in quarters
    }


def test_the_clock_is_that_of_the_values(container: Object, rendered: tuple[Object, ...]) -> None:
    """The day begins with another place's morning, or a misspelt zone is applied and fails every run."""
    (job,) = of_kind(rendered, "CronJob")

    assert container["env"] == [{"name": "TIME_ZONE", "value": FURTHER_VALUES["timeZone"]}]
    assert job["spec"]["timeZone"] == FURTHER_VALUES["timeZone"]


def test_it_is_called_for_an_autoscaler_that_exists_within_its_bounds(
    script: ModuleType, container: Object, rendered: tuple[Object, ...]
) -> None:
    """The API would refuse every patch: of another name, or of a minimum above the maximum."""
    plan = script.read(container["args"])
    autoscaler = find(rendered, "HorizontalPodAutoscaler", plan.name)

    assert autoscaler is not None
    assert 2 <= plan.otherwise < plan.by_day <= autoscaler["spec"]["maxReplicas"]
    assert "minReplicas" not in autoscaler["spec"], "an apply would put it back"


def test_the_account_may_do_what_the_script_does_and_no_more(rendered: tuple[Object, ...]) -> None:
    """The patch would be refused, or whoever takes the token over could do more than change a minimum."""
    role, account = find(rendered, "Role", "schedule"), find(rendered, "ServiceAccount", "schedule")
    (job,) = of_kind(rendered, "CronJob")
    spec = pod_template(job)["spec"]

    assert role is not None
    assert account is not None
    (rule,) = role["rules"]
    assert (rule["apiGroups"], rule["resources"]) == (["autoscaling"], ["horizontalpodautoscalers"])
    assert (rule["resourceNames"], rule["verbs"]) == (spec["containers"][0]["args"][:1], ["patch"])
    assert spec["serviceAccountName"] == account["metadata"]["name"]


@pytest.mark.container
def test_the_image_has_what_the_script_takes(
    engine: Engine, image: str, access: Path, container: Object
) -> None:
    """The service's image lacks Python's modules, the time zones, or their names."""
    command: list[str] = [*container["command"], *container["args"]]
    zone = container["env"][0]["value"]
    told = ("KUBERNETES_SERVICE_HOST=127.0.0.1", "KUBERNETES_SERVICE_PORT=1", f"TIME_ZONE={zone}")
    options = [part for one in told for part in ("--env", one)]
    for source, place in ((access, MOUNTED), (SCRIPT, command[1])):
        options += ["--volume", f"{source}:{place}:ro"]
    options += ["--read-only", "--network", "none", "--entrypoint", command[0]]

    done = engine.try_run("run", "--rm", *options, image, *command[1:])

    assert done.returncode == 1
    assert done.stdout.startswith("cannot ask the API server at 127.0.0.1:1: "), done.stdout + done.stderr
