# shellcheck shell=bash
# Running the suite: from the lab's variables to its flags, and its results in short.

ALL_PROFILES=GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP
USABLE_ADDRESS=10.96.0.250
UNUSABLE_ADDRESS=192.0.2.1 # a documentation address: nobody's here
# QUICK=1: seconds until something missing counts as missed, on a cluster that answers in milliseconds.
QUICK_WAITS="GatewayMustHaveAddress:20;GatewayMustHaveCondition:20;GatewayStatusMustHaveListeners:15"
QUICK_WAITS+=";GatewayListenersMustHaveConditions:15;ListenerSetMustHaveCondition:20"
QUICK_WAITS+=";ListenerSetListenersMustHaveConditions:15;GWCMustBeAccepted:30;HTTPRouteMustNotHaveParents:15"
QUICK_WAITS+=";HTTPRouteMustHaveCondition:15;TLSRouteMustHaveCondition:15;TCPRouteMustHaveCondition:15"
QUICK_WAITS+=";UDPRouteMustHaveCondition:15;RouteMustHaveParents:15;NamespacesMustBeReady:30"
QUICK_WAITS+=";MaxTimeToConsistency:15;RequestTimeout:4;LatestObservedGenerationSet:15;DefaultTestTimeout:20;DeleteTimeout:20"

# suite [CLASS] [-- FLAGS...]
suite() {
  local class=ringgate flags report=""
  if [ $# -gt 0 ] && [ "$1" != -- ]; then class=$1 && shift; fi
  if [ "${1:-}" = -- ]; then shift; fi
  alive kube-apiserver || die "not up: run '$0 up' first"
  if [ -e "$LAB/gateways/$class/run.sh" ]; then gateway_start "$class"; fi
  await_class "$class"

  flags=(--gateway-class="$class" --conformance-profiles="${PROFILES:-$ALL_PROFILES}"
    --usable-address="$USABLE_ADDRESS" --unusable-address="$UNUSABLE_ADDRESS")
  if [ -n "${RUN_TEST:-}" ]; then flags+=(--run-test="$RUN_TEST"); fi
  if [ -n "${SKIP_TESTS:-}" ]; then flags+=(--skip-tests="$SKIP_TESTS"); fi
  if [ -n "${QUICK:-}" ]; then flags+=(--timeout-config-overrides="$QUICK_WAITS"); fi
  if [ "${FEATURES:-}" = all ]; then
    flags+=(--supported-features="$(all_features)")
  elif [ -n "${FEATURES:-}" ]; then
    flags+=(--supported-features="$FEATURES")
  fi
  if [ -e "$LAB/gateways/$class/about.sh" ]; then
    mapfile -t -O "${#flags[@]}" flags < <(bash "$LAB/gateways/$class/about.sh")
    report=$(report_path "$class" "${flags[@]}")
    flags+=(--report-output="$report")
  fi
  run_suite "$report" "${flags[@]}" "$@"
}

# report_path CLASS FLAGS...: REPORT, or for the whole suite on Ringgate a place in the repository, named as the Gateway
# API's own repository wants it; a part of the suite makes no report worth keeping.
report_path() {
  local class=$1 version
  version=$(printf '%s\n' "$@" | sed -n 's/^--version=//p')
  if [ -n "${REPORT:-}" ]; then
    realpath -m "$REPORT"
  elif [ "$class" = ringgate ] && [ -z "${RUN_TEST:-}${SKIP_TESTS:-}" ]; then
    echo "$LAB/reports/$(channel)-$version-default-report.yaml"
  else
    echo "$RUN/report.yaml"
  fi
}

channel() { cat "$RUN/channel"; }

# all_features: every feature of a gateway that the cluster's channel has; the suite's own --all-features would add mesh.
all_features() {
  awk -F'\t' -v channel="$(channel)" '
    NR > 1 && $2 !~ /^MESH/ && (channel == "experimental" || $4 == "standard") { print $1 }
  ' "$LAB/features.tsv" | paste -sd,
}

# run_suite REPORT FLAGS... prints each test's result as it comes and keeps the whole output.
run_suite() {
  local report=$1 log=$RUN/conformance.log code=0 began=$SECONDS
  shift
  inside "$BIN/conformance.test" -test.v -test.timeout=120m -test.run='^TestConformance$' "$@" 2>&1 </dev/null |
    tee "$log" |
    awk '$1 == "lab-result:" && $2 != "SKIP" { print $2, $3, $4, $5; fflush() }' || code=$?
  summary "$log"
  if [ -e "$report" ]; then chmod 644 "$report" && say "report in $report"; fi
  say "$((SECONDS - began))s; output in $log"
  return $code
}

summary() {
  grep -q '^lab-result:' "$1" || tail -n 20 "$1" # no test came to its end: say why
  awk '$1 == "lab-result:" {
    n[$2]++
    if ($2 == "FAIL") failed = failed "\n  " $3
  }
  END {
    if (failed) print "failed:" failed
    printf "%d passed, %d failed, %d skipped\n", n["PASS"], n["FAIL"], n["SKIP"]
  }' "$1"
}

# run_all [CLASS] [-- FLAGS...]: from nothing to the results, and nothing left behind.
run_all() {
  local class=ringgate
  [ ! -e "/run/netns/$NETNS" ] || die "already up: run '$0 suite', or '$0 down' first"
  if [ $# -gt 0 ] && [ "$1" != -- ]; then class=$1; fi
  if [ -d "$LAB/gateways/$class" ]; then build "$class"; else build; fi
  trap cluster_down EXIT
  cluster_up
  suite "$@"
}
