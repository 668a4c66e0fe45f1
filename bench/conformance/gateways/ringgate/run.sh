#!/usr/bin/env bash
# Runs Ringgate beside the cluster, as on one machine: control plane, data plane and addresses from a pool.
# RINGGATE is its program, RINGGATE_FLAGS more flags for it.
set -euo pipefail
program=${RINGGATE:-$LAB/../../target/release/ringgate}
if [ ! -x "$program" ]; then
  echo "no program $program: 'cargo build --release', or say RINGGATE=path" >&2
  exit 1
fi
own_crds=$LAB/../../deploy/kubernetes/crds
if [ -d "$own_crds" ]; then "$BIN/kubectl" apply --server-side --filename "$own_crds"; fi
"$BIN/kubectl" apply --filename "$LAB/gateways/ringgate/class.yaml"

export RINGGATE_RUNTIME_DIR=$RUN/ringgate RINGGATE_STATE_DIR=$RUN/ringgate-state
export RINGGATE_DRAIN_GRACE=${RINGGATE_DRAIN_GRACE:-2s} # the lab waits for 5 s
mkdir -p "$RINGGATE_RUNTIME_DIR" "$RINGGATE_STATE_DIR"
read -ra more <<<"${RINGGATE_FLAGS:-}"
exec "$program" run --kubeconfig "$GATEWAY_KUBECONFIG" --address-pool "${ADDRESS_POOL:-10.96.0.1-10.96.0.254}" "${more[@]}"
