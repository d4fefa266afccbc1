"""Names, namespaces and labels."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.support.deploy.objects import name_of, of_kind, strings_in, workloads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.deploy.objects import Object

PART_OF = "app.kubernetes.io/part-of"
NAME = "app.kubernetes.io/name"
PLACEHOLDER = "from-values"
TRACKS = ("stable", "canary")
CLUSTER_SCOPED = frozenset({"Namespace"})


def unique_names(objects: Sequence[Object]) -> list[str]:
    """Nothing is stated twice: the second would replace the first when applied."""
    counted = Counter((one["apiVersion"].rpartition("/")[0], name_of(one)) for one in objects)
    return [f"{name} stands there {count} times" for (_, name), count in counted.items() if count > 1]


def namespaces(objects: Sequence[Object]) -> list[str]:
    """All lie in one namespace, which is the one that is made, and refer to no other as their own."""
    made = {one["metadata"]["name"] for one in of_kind(objects, "Namespace")}
    used = {one["metadata"].get("namespace") for one in objects if one["kind"] not in CLUSTER_SCOPED}
    found = [
        f"{name_of(one)} lies in namespace {one['metadata'].get('namespace')}, others in {sorted(made)}"
        for one in objects
        if one["kind"] not in CLUSTER_SCOPED and made and one["metadata"].get("namespace") not in made
    ]
    if len(used) > 1 and not made:
        found.append(f"several namespaces: {sorted(map(str, used))}")
    if None in used:
        found.append("objects without a namespace: kubectl would put them where the context points")
    for one in of_kind(objects, "RoleBinding"):
        found += [
            f"{name_of(one)} binds {subject.get('name')} of namespace {subject.get('namespace')}"
            for subject in one.get("subjects", [])
            if subject.get("kind") == "ServiceAccount" and subject.get("namespace") not in used
        ]
    return found


def nothing_unresolved(objects: Sequence[Object]) -> list[str]:
    """No placeholder is left that a replacement should have put a value in place of."""
    return [
        f"{name_of(one)}: {text!r} is a placeholder; no replacement puts a value there"
        for one in objects
        for text in strings_in(one)
        if PLACEHOLDER in text
    ]


def labels(objects: Sequence[Object]) -> list[str]:
    """Everything can be pruned by its part-of label, and every pod says what and which track it is."""
    found = [
        f"{name_of(one)} has no label {PART_OF}: mlapi, by which deploy.sh prunes"
        for one in objects
        if one["metadata"].get("labels", {}).get(PART_OF) != "mlapi"
    ]
    for one in workloads(objects):
        if one.labels.get(PART_OF) != "mlapi":
            found.append(f"{one.name}: its pods have no label {PART_OF}: mlapi")
        if not one.labels.get(NAME):
            found.append(f"{one.name}: its pods have no label {NAME}")
        elif one.owner["metadata"].get("labels", {}).get(NAME) != one.labels[NAME]:
            found.append(f"{one.name} is labelled otherwise than its pods, {one.labels[NAME]}")
        if one.owner["kind"] == "Deployment" and one.labels.get("track") not in TRACKS:
            found.append(f"{one.name}: the label track of its pods is none of {TRACKS}")
    return found
