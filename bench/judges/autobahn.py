"""Compares Autobahn's verdicts on an echo server with those on the same server behind the gateway.

NON-STRICT and INFORMATIONAL are no failures: which of OK and NON-STRICT it is depends, in cases that end with an error, on
whether an answer or the end came first, with and without a gateway.
"""
import json
import sys

FINE = {"OK", "NON-STRICT", "INFORMATIONAL"}


def failed(cases):
    return {name for name, case in cases.items() if not {case["behavior"], case["behaviorClose"]} <= FINE}


def main(path):
    with open(path) as file:
        report = json.load(file)
    direct, gateway = report["direct"], report["ringgate"]
    missing = direct.keys() - gateway.keys()
    worse = failed(gateway) - failed(direct)
    print(f"judges: Autobahn: {len(gateway)} cases, {len(failed(gateway))} failed, {len(failed(direct))} without the gateway", file=sys.stderr)
    if missing or worse or not gateway:
        sys.exit(f"judges: Autobahn: failed through the gateway alone: {sorted(missing | worse)}")


main(sys.argv[1])
