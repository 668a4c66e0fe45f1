"""Counts the API server's audit log: a line for each user, verb, resource and answer.

audit.py [--denied] LOG...: with --denied only what authorization or authentication refused, and exit code 1 if
that is anything.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path


def events(paths: Iterable[str]) -> Iterator[dict]:
    for path in paths:
        if Path(path).exists():
            with open(path, encoding="utf-8") as lines:
                yield from map(json.loads, lines)


def is_denied(event: dict) -> bool:
    """A 403 of admission is no denial, since its request was authorized (its namespace is going, say); unless admission
    asked the authorizer again, which it does for who may block an owner's deletion."""
    decision = event.get("annotations", {}).get("authorization.k8s.io/decision")
    answer = event.get("responseStatus", {})
    owner = answer.get("code") == 403 and "blockOwnerDeletion" in answer.get("message", "")
    return decision == "forbid" or answer.get("code") == 401 or owner


def line(event: dict) -> tuple[str, str, str, str]:
    at = event.get("objectRef", {})
    parts = (at.get("apiGroup"), at.get("resource"), at.get("subresource"))
    what = "/".join(part for part in parts if part) or event["requestURI"].partition("?")[0]
    code = event.get("responseStatus", {}).get("code", 0)
    return event["user"].get("username", "?"), event["verb"], what, str(code)


def main(arguments: list[str]) -> int:
    only_denied = arguments[:1] == ["--denied"]
    paths = arguments[1:] if only_denied else arguments
    counts = Counter(line(event) for event in events(paths) if is_denied(event) or not only_denied)
    for row, count in sorted(counts.items()):
        print(f"{count:8}", *row)
    return 1 if only_denied and counts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
