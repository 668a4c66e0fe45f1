# shellcheck shell=bash
# The cluster: one network namespace with etcd, API server, controllers and podrunner in it.

API_PORT=16443 # tests use 6443 on gateways
POD_BRIDGE_IP=10.244.0.1
GATEWAY_RANGE=10.96.0.0/16
GATEWAY_RANGE_6=fd00:96::/64
SERVICE_RANGES=10.112.0.0/16,fd00:112::/112
ECHO_IMAGE=gateway-api/conformance/echo-basic
CONTROLLERS=deployment-controller,replicaset-controller,namespace-controller
CONTROLLERS+=,garbage-collector-controller,endpointslice-controller
COMPONENTS="etcd kube-apiserver kube-controller-manager podrunner" # in the order of their start

cluster_up() {
  local channel=${CHANNEL:-experimental} began=$SECONDS component
  [ "$(id -u)" = 0 ] || die "needs root, for network namespaces"
  [ -x "$BIN/conformance.test" ] || die "not built: run '$0 build' first"
  [ ! -e "/run/netns/$NETNS" ] || die "already up (after an interrupted run: '$0 down' first)"
  [ "$channel" = none ] || [ -d "$CACHE/crd/$channel" ] || die "CHANNEL=$channel: experimental, standard or none"
  rm -rf "$RUN"
  mkdir -p "$RUN/pods"
  make_network
  make_credentials
  for component in $COMPONENTS; do component_start "$component"; done
  if [ "$channel" != none ]; then install_crds "$channel"; fi
  say "up after $((SECONDS - began))s, CRDs: $channel; start a gateway with '$0 gateway' or '$0 exec'"
  echo "$KUBECONFIG"
}

# make_network: Pods hang on a bridge; every address of the gateway ranges is local,
# so a gateway binds any of them without set-up. Nothing leads out of the namespace.
make_network() {
  ip netns add "$NETNS"
  ip -n "$NETNS" -batch - <<-END
	link set lo up
	link add pods type bridge
	addr add $POD_BRIDGE_IP/16 dev pods
	link set pods up
	route add local $GATEWAY_RANGE dev lo
	route add local $GATEWAY_RANGE_6 dev lo
	END
  inside bash -c 'echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind' # with IPv6 a local route alone doesn't do
}

make_credentials() {
  local pki=$RUN/pki token
  mkdir -p "$pki"
  token=$(head -c 24 /dev/urandom | base64 | tr '+/' '-_')
  (
    cd "$pki"
    echo "$token,admin,admin,system:masters" >tokens.csv
    openssl ecparam -name prime256v1 -genkey -noout -out ca.key
    openssl req -x509 -new -key ca.key -subj /CN=lab-ca -days 30 -out ca.crt
    openssl ecparam -name prime256v1 -genkey -noout -out server.key
    openssl req -new -key server.key -subj /CN=kube-apiserver -out server.csr
    printf 'subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:%s' "$POD_BRIDGE_IP" >san
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile san -out server.crt
    openssl genrsa -out service-account.key 2048
  ) >"$RUN/pki.log" 2>&1 || die "no credentials: see $RUN/pki.log"
  cp "$LAB/lib/audit-policy.yaml" "$pki"
  write_kubeconfig "$KUBECONFIG" admin "$token"
}

# component_start NAME starts one process of the cluster, or a gateway, again or for the first time.
component_start() {
  local name
  name=$(component_name "$@")
  if alive "$name"; then return; fi
  case $name in
  etcd) start_etcd ;;
  kube-apiserver) start_apiserver ;;
  kube-controller-manager) start_controllers ;;
  podrunner) start_podrunner ;;
  gateway-*) gateway_start "${name#gateway-}" ;;
  esac
}

# Nothing here has to survive a crash of the machine: no fsync.
start_etcd() {
  start etcd "$BIN/etcd" --data-dir "$RUN/etcd" --unsafe-no-fsync --logger zap --log-level warn \
    --quota-backend-bytes $((8 << 30))
  await etcd 60 inside bash -c 'exec 3<>/dev/tcp/127.0.0.1/2379'
}

# Requests are authorized by RBAC; who is in system:masters may do anything. No limit of ours stands in the way of a
# test that creates thousands of objects, and no fairness between clients: its queues would be measured instead.
start_apiserver() {
  local pki=$RUN/pki
  start kube-apiserver "$BIN/kube-apiserver" \
    --etcd-servers http://127.0.0.1:2379 --secure-port $API_PORT --advertise-address $POD_BRIDGE_IP \
    --tls-cert-file "$pki/server.crt" --tls-private-key-file "$pki/server.key" \
    --token-auth-file "$pki/tokens.csv" --authorization-mode RBAC \
    --service-cluster-ip-range $SERVICE_RANGES --allow-privileged \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file "$pki/service-account.key" \
    --service-account-signing-key-file "$pki/service-account.key" \
    --disable-admission-plugins ServiceAccount --enable-admission-plugins OwnerReferencesPermissionEnforcement \
    --audit-policy-file "$pki/audit-policy.yaml" --audit-log-path "$RUN/audit.log" --audit-log-maxsize 4000 \
    --enable-priority-and-fairness=false --max-requests-inflight 3000 --max-mutating-requests-inflight 1000
  await kube-apiserver 120 inside "$BIN/kubectl" get --raw /readyz
}

start_controllers() {
  start kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig "$KUBECONFIG" \
    --controllers "$CONTROLLERS" --leader-elect=false --secure-port 0 --kube-api-qps 500 --kube-api-burst 1000
}

start_podrunner() {
  start podrunner "$BIN/podrunner" --kubeconfig "$KUBECONFIG" --dir "$RUN/pods" \
    --netns-prefix "$NETNS-pod-" --bridge pods --node-ip $POD_BRIDGE_IP --image "$ECHO_IMAGE=$BIN/echo-basic"
  await podrunner 30 inside "$BIN/kubectl" get node lab
}

# component_name NAME prints the full name of a process of the lab; apiserver means kube-apiserver.
component_name() {
  local name=${1:?which process of the lab}
  if [ "$name" = apiserver ]; then name=kube-apiserver; fi
  case " $COMPONENTS " in *" $name "*) ;; *)
    if [ -e "$LAB/gateways/${name#gateway-}/run.sh" ]; then name=gateway-${name#gateway-}; else
      die "no process $name: $COMPONENTS or a gateway"
    fi
    ;;
  esac
  echo "$name"
}

# component_stop NAME [SECONDS] ends it; with SECONDS it is started again after these.
component_stop() {
  local name
  name=$(component_name "$@")
  alive "$name" || die "$name does not run"
  if [ "$name" = kube-apiserver ]; then signal TERM "$name"; fi # drains on the first signal, ends on the second
  stop "$name"
  if [ -n "${2:-}" ]; then sleep "$2" && component_start "$name"; fi
}

# component_pause NAME [SECONDS] freezes it: what hangs is another fault than what is gone.
component_pause() {
  local name
  name=$(component_name "$@")
  alive "$name" || die "$name does not run"
  signal STOP "$name"
  if [ -n "${2:-}" ]; then sleep "$2" && signal CONT "$name"; fi
}

component_resume() {
  local name
  name=$(component_name "$@")
  signal CONT "$name"
}

# install_crds CHANNEL
install_crds() {
  local files=("$CACHE/crd/$1"/gateway.*.yaml)
  [ -e "${files[0]}" ] || die "no CRDs of a channel $1: standard or experimental"
  echo "$1" >"$RUN/channel"
  inside "$BIN/kubectl" apply --server-side "${files[@]/#/--filename=}" >"$RUN/crds.log"
  inside "$BIN/kubectl" wait --for=condition=Established --timeout=60s crd --all >>"$RUN/crds.log"
}

cluster_down() {
  local pidfile ns gateways=()
  for pidfile in "$RUN"/gateway-*.pid; do
    if [ -e "$pidfile" ]; then gateways+=("$(basename "$pidfile" .pid)"); fi
  done
  stop "${gateways[@]}" podrunner kube-controller-manager
  signal TERM kube-apiserver
  stop kube-apiserver etcd
  for ns in $(ip netns list | cut -d' ' -f1 | grep -E "^$NETNS(-pod-[0-9]+)?\$"); do
    if [ -n "$(ip netns pids "$ns")" ]; then say "still in namespace $ns: $(ip netns pids "$ns" | xargs)"; fi
    ip netns del "$ns"
  done
  say "down; logs stay in $RUN until the next up"
}

cluster_status() {
  local pidfile name
  for pidfile in "$RUN"/*.pid; do
    [ -e "$pidfile" ] || continue
    name=$(basename "$pidfile" .pid)
    if alive "$name"; then echo "$name: runs, pid $(cut -d' ' -f1 "$pidfile")"; else echo "$name: not running"; fi
  done
  if alive kube-apiserver; then inside "$BIN/kubectl" get gatewayclasses,gateways,pods --all-namespaces; fi
}
