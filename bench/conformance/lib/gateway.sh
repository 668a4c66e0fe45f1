# shellcheck shell=bash
# Gateways of the lab: a folder gateways/NAME each, with run.sh, and build.sh and about.sh where needed.

# gateway_start NAME runs gateways/NAME/run.sh inside; its process is the gateway's. KUBECONFIG is the lab's own,
# GATEWAY_KUBECONFIG the gateway's.
gateway_start() {
  local name=$1
  [ -e "$LAB/gateways/$name/run.sh" ] || die "no gateways/$name/run.sh"
  alive kube-apiserver || die "not up: run '$0 up' first"
  if alive "gateway-$name"; then
    say "gateway $name runs since before, as it was started"
    return
  fi
  GATEWAY_KUBECONFIG=$(gateway_account)
  export GATEWAY_KUBECONFIG
  start "gateway-$name" bash "$LAB/gateways/$name/run.sh"
  say "gateway $name started, log $RUN/gateway-$name.log"
}

# await_class NAME waits until the GatewayClass is accepted, and has said what it supports unless FEATURES does.
await_class() {
  local wants=(--for=condition=Accepted)
  if [ -z "${FEATURES:-}" ]; then wants+=(--for=jsonpath='{.status.supportedFeatures[0].name}'); fi
  say "waiting for GatewayClass $1"
  for _ in $(seq 30); do
    if class_has "$1" "${wants[@]}"; then return; fi
    if [ -e "$RUN/gateway-$1.pid" ] && ! alive "gateway-$1"; then die "gateway $1 ended: see $RUN/gateway-$1.log"; fi
    sleep 0.5
  done
  die "GatewayClass $1 is not accepted, or has no supportedFeatures: is its controller running?"
}

# class_has NAME WANT...
class_has() {
  local want class=$1
  shift
  for want in "$@"; do
    inside "$BIN/kubectl" wait "$want" --timeout=1s "gatewayclass/$class" >/dev/null 2>&1 || return 1
  done
}
