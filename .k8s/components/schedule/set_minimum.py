"""Sets the least number of pods of a HorizontalPodAutoscaler by the time of the week.

Usage: set_minimum.py NAME --by-day 4 --otherwise 2 --weekdays 1-5 --from-hour 7 --to-hour 20

The clock is that of the time zone in the variable TIME_ZONE. The number is set by a merge patch of the
Kubernetes API, with nothing but the standard library, from a pod whose account may make it. Everything that
the API asks for (address, certificate, token, namespace) is where Kubernetes puts it in a pod.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ACCESS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 20.0


def read(arguments: list[str]) -> argparse.Namespace:
    """Return what the command line says; a wrong one ends the process with status 2."""
    parser = argparse.ArgumentParser(description="Set an autoscaler's minimum by the time of the week.")
    parser.add_argument("name", help="of the HorizontalPodAutoscaler")
    parser.add_argument("--by-day", type=int, required=True, help="least number of pods by day")
    parser.add_argument("--otherwise", type=int, required=True, help="at night and at weekends")
    parser.add_argument("--weekdays", type=_range, required=True, help="1-5 for Monday to Friday")
    parser.add_argument("--from-hour", type=int, required=True, help="when the day begins: 7 is 7:00")
    parser.add_argument("--to-hour", type=int, required=True, help="when it has ended: 20 is 20:00")
    return parser.parse_args(arguments)


def minimum(plan: argparse.Namespace, local: datetime) -> int:
    """Return the number that holds at a time on the clock of the plan's place."""
    by_day = local.isoweekday() in plan.weekdays and plan.from_hour <= local.hour < plan.to_hour
    number: int = plan.by_day if by_day else plan.otherwise
    return number


def set_minimum(name: str, count: int, *, address: tuple[str, int], access: Path = ACCESS) -> str:
    """Patch the autoscaler, and return what the API answered instead of success; empty on success.

    Args:
        name: Of the autoscaler.
        count: Its `minReplicas`, at least 1.
        address: Host and port of the API server.
        access: Folder with the files `ca.crt`, `token` and `namespace`.

    Raises:
        OSError: The API server cannot be reached, is not who it says it is, or a file is missing.
    """
    namespace = (access / "namespace").read_text(encoding="utf-8").strip()
    token = (access / "token").read_text(encoding="utf-8").strip()
    trusted = ssl.create_default_context(cafile=str(access / "ca.crt"))
    connection = http.client.HTTPSConnection(*address, timeout=TIMEOUT_S, context=trusted)
    try:
        connection.request(
            "PATCH",
            f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}?fieldManager=schedule",
            body=json.dumps({"spec": {"minReplicas": count}}),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
        )
        response = connection.getresponse()
        answer = response.read().decode("utf-8", "replace")
    finally:
        connection.close()
    return "" if response.status == http.client.OK else f"{response.status} {response.reason}: {answer}"


def main(arguments: list[str]) -> int:
    """Do what the command line says, and return the exit status."""
    plan = read(arguments)
    address = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    place = os.environ["TIME_ZONE"]
    try:
        local = datetime.now(ZoneInfo(place))
    except (ZoneInfoNotFoundError, ValueError):
        print(f"TIME_ZONE: this image knows no time zone {place}")
        return 1
    count = minimum(plan, local)
    try:
        refusal = set_minimum(plan.name, count, address=address)
    except OSError as error:
        refusal = f"cannot ask the API server at {address[0]}:{address[1]}: {error}"
    print(refusal or f"minReplicas of {plan.name} is {count}: it is {local:%A %H:%M} in {place}")
    return 1 if refusal else 0


def _range(text: str) -> range:
    first, last = map(int, text.split("-"))
    return range(first, last + 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
