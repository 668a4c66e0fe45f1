# shellcheck shell=bash
# Fetching and building into the cache folder. All of it comes through the Go module proxy.

# The suite needs a newer Go than Kubernetes; the proxy serves that as a module too.
SUITE_GO=go1.27.0
ECHO_FROM=sigs.k8s.io/gateway-api/conformance@v1.6.3
IMAGES=sigs.k8s.io/gateway-api-conformance-images

# build [GATEWAY] builds the cluster and the suite, and what gateways/GATEWAY needs beyond.
build() (
  [ -z "${1:-}" ] || [ -d "$LAB/gateways/$1" ] || die "no folder gateways/$1"
  mkdir -p "$BIN"
  export CGO_ENABLED=0 GOWORK=off GOFLAGS="-buildvcs=false -trimpath"
  build_cluster
  build_suite
  if [ -e "$LAB/gateways/${1:-}/build.sh" ]; then CACHE=$CACHE BIN=$BIN bash "$LAB/gateways/$1/build.sh"; fi
  say "built into $CACHE"
)

build_cluster() {
  local program flags
  cd "$LAB/cluster" || return
  flags=$(kube_version_flags "$(go list -m -f '{{.Version}}' k8s.io/kubernetes)")
  compile etcd go.etcd.io/etcd/server/v3
  for program in kube-apiserver kube-controller-manager kubectl; do
    compile "$program" "k8s.io/kubernetes/cmd/$program" "$flags"
  done
  compile podrunner ./podrunner
}

# compile NAME PACKAGE [LDFLAGS]
compile() {
  say "$1"
  go build -ldflags="-s -w ${3:-}" -o "$BIN/$1" "$2"
}

# kube_version_flags v1.2.3 tells the Kubernetes programs which version they are.
kube_version_flags() {
  local p=k8s.io/component-base/version minor
  minor=${1#v1.}
  echo "-X $p.gitVersion=$1 -X $p.gitMajor=1 -X $p.gitMinor=${minor%%.*}"
}

# The suite imports a module that the Go proxy knows but doesn't serve. Its packages are the
# echo server's, which an older release of the suite still holds: a copy of those,
# under the new name and outside this repository, stands in through a replace line.
build_suite() {
  local with
  export GOTOOLCHAIN=$SUITE_GO
  cd "$LAB/suite" || return
  say "echo server and conformance suite"
  stand_in "$CACHE/images"
  cp go.mod "$CACHE/suite.mod"
  cp go.sum "$CACHE/suite.sum"
  go mod edit -replace="$IMAGES=$CACHE/images" "$CACHE/suite.mod"
  with=(-modfile="$CACHE/suite.mod" -ldflags="-s -w")
  go build "${with[@]}" -o "$BIN/echo-basic" "$IMAGES/echo-basic"
  go test -c "${with[@]}" -o "$BIN/conformance.test" .
  go run "${with[@]}" ./cmd/features >"$CACHE/features.tsv"
  cmp -s "$CACHE/features.tsv" "$LAB/features.tsv" || say "features.tsv differs from $CACHE/features.tsv"
  rm -rf "$CACHE/crd"
  cp -r --no-preserve=mode "$(go list -modfile="$CACHE/suite.mod" -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd" "$CACHE/crd"
}

# stand_in DIR makes the replacement module. Only import lines may change: the same
# path is also in a serialized descriptor that has its length beside it.
stand_in() {
  local from
  from=$(cd / && go mod download -json "$ECHO_FROM" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  rm -rf "$1"
  mkdir -p "$1"
  cp -r --no-preserve=mode "$from/echo-basic" "$1/echo-basic"
  rm -f "$1"/echo-basic/.go.*
  printf 'module %s\n\ngo 1.26.0\n' "$IMAGES" >"$1/go.mod"
  find "$1" -name '*_test.go' -delete
  find "$1" -name '*.go' -exec \
    sed -Ei "s#^(\t[a-z]+ \")sigs.k8s.io/gateway-api/conformance/echo-basic/#\1$IMAGES/echo-basic/#" {} +
}
