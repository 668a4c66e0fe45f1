#!/usr/bin/env bash
# Runs Traefik as the gateway of GatewayClass traefik, on one address for all Gateways.
set -euo pipefail
ADDRESS=10.96.0.10
TCP_PORTS="80 81 443 1111 5300 5301 5302 5310 5311 5312 6443 7443 8080 8081 8082 8083 8090 8443 8883
  9300 9301 9302 9310 9311 9312 9313 9320 9321"

"$BIN/kubectl" apply --filename - <<END
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: traefik}
spec: {controllerName: traefik.io/gateway-controller}
END

flags=(--providers.kubernetesgateway
  --providers.kubernetesgateway.statusaddress.ip="$ADDRESS"
  --providers.providersthrottleduration=100ms
  --global.checknewversion=false --global.sendanonymoususage=false --log.level=INFO)
# With that option it waits for ever for resources that the standard CRDs don't have.
if [ "$(cat "$RUN/channel")" = experimental ]; then flags+=(--providers.kubernetesgateway.experimentalchannel); fi
for port in $TCP_PORTS; do
  flags+=("--entrypoints.p$port.address=$ADDRESS:$port")
done
KUBECONFIG=$GATEWAY_KUBECONFIG exec "$CACHE/venv/bin/traefik" "${flags[@]}"
