"""Sets the least number of pods of a HorizontalPodAutoscaler, from a pod whose account may patch it.

Usage: set_minimum.py NAME COUNT

A merge patch of the Kubernetes API, with nothing but the standard library. Everything that the API asks for
(address, certificate, token, namespace) is where Kubernetes puts it in a pod.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from pathlib import Path

ACCESS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 20.0


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
    name, count = arguments[0], int(arguments[1])
    address = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    try:
        refusal = set_minimum(name, count, address=address)
    except OSError as error:
        refusal = f"cannot ask the API server at {address[0]}:{address[1]}: {error}"
    print(refusal or f"minReplicas of {name} is {count}")
    return 1 if refusal else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
