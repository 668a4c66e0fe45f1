# shellcheck shell=bash
# Fetching and building into the cache folder. All of it comes through the Go module proxy.

# The suite needs this Go or a newer one; the proxy serves it as a module too.
LAB_GO=go1.27.0
ECHO_FROM=sigs.k8s.io/gateway-api/conformance@v1.6.3
IMAGES=sigs.k8s.io/gateway-api-conformance-images

# build [GATEWAY] builds the cluster and the suite, and what gateways/GATEWAY needs beyond.
build() (
  [ -z "${1:-}" ] || [ -d "$LAB/gateways/$1" ] || die "no folder gateways/$1"
  mkdir -p "$BIN"
  cd "$LAB" || return
  export GOTOOLCHAIN=$LAB_GO CGO_ENABLED=0 GOWORK=off GOFLAGS="-buildvcs=false -trimpath '-modfile=$CACHE/lab.mod'"
  stand_in "$CACHE/images"
  build_programs
  build_suite
  if [ -e "gateways/${1:-}/build.sh" ]; then bash "gateways/$1/build.sh"; fi
  say "built into $CACHE"
)

# One module and one command, so that nothing is compiled twice and both cores have work.
build_programs() {
  local kubernetes
  say "kube-apiserver, kube-controller-manager, kubectl, podrunner, echo server"
  kubernetes=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
  go build -ldflags="-s -w $(kube_version_flags "$kubernetes")" -o "$BIN/" \
    k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kubectl} ./podrunner "$IMAGES/echo-basic"
  say "etcd"
  go build -ldflags="-s -w" -o "$BIN/etcd" go.etcd.io/etcd/server/v3
}

# kube_version_flags v1.2.3 tells the Kubernetes programs which version they are.
kube_version_flags() {
  local p=k8s.io/component-base/version minor
  minor=${1#v1.}
  echo "-X $p.gitVersion=$1 -X $p.gitMajor=1 -X $p.gitMinor=${minor%%.*}"
}

build_suite() {
  say "conformance suite"
  go test -c -ldflags="-s -w" -o "$BIN/conformance.test" ./suite
  go run ./suite/features >"$CACHE/features.tsv"
  cmp -s "$CACHE/features.tsv" features.tsv || say "features.tsv differs from $CACHE/features.tsv"
  rm -rf "$CACHE/crd"
  cp -r --no-preserve=mode "$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd" "$CACHE/crd"
}

# stand_in DIR: the suite imports a module that the Go proxy knows but doesn't serve. Its packages are the echo server's,
# which an older release of the suite still holds: a copy of those, under the new name and outside this repository,
# stands in through a replace line. Only import lines may change: the same path is also in a serialized descriptor
# that has its length beside it.
stand_in() {
  local from
  from=$(cd / && GOFLAGS="" go mod download -json "$ECHO_FROM" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  rm -rf "$1"
  mkdir -p "$1"
  cp -r --no-preserve=mode "$from/echo-basic" "$1/echo-basic"
  rm -f "$1"/echo-basic/.go.*
  printf 'module %s\n\ngo 1.26.0\n' "$IMAGES" >"$1/go.mod"
  find "$1" -name '*_test.go' -delete
  find "$1" -name '*.go' -exec \
    sed -Ei "s#^(\t[a-z]+ \")sigs.k8s.io/gateway-api/conformance/echo-basic/#\1$IMAGES/echo-basic/#" {} +
  cp go.mod "$CACHE/lab.mod"
  cp go.sum "$CACHE/lab.sum"
  GOFLAGS="" go mod edit -replace="$IMAGES=$1" "$CACHE/lab.mod"
}
