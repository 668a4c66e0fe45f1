# shellcheck shell=bash
# Who may do what: kubeconfigs, ServiceAccounts with tokens, and what the audit log says of them.

# write_kubeconfig FILE USER TOKEN [NAMESPACE]
write_kubeconfig() {
  cat >"$1" <<-END
	apiVersion: v1
	kind: Config
	current-context: lab
	contexts: [{name: lab, context: {cluster: lab, user: "$2", namespace: "${4:-default}"}}]
	users: [{name: "$2", user: {token: "$3"}}]
	clusters:
	- name: lab
	  cluster:
	    server: https://127.0.0.1:$API_PORT
	    certificate-authority-data: $(base64 -w0 "$RUN/pki/ca.crt")
	END
  chmod 600 "$1"
}

# account NAMESPACE/NAME asks the API server for a token of the ServiceAccount, as a kubelet does for a Pod, and prints
# the path of a kubeconfig with it, whose namespace is the ServiceAccount's, as in a Pod. The token lives a day.
account() {
  local namespace=${1%%/*} name=${1#*/} token file
  file=$RUN/kubeconfig-$namespace-$name
  token=$(inside "$BIN/kubectl" create token "$name" --namespace "$namespace" --duration 24h)
  write_kubeconfig "$file" "$namespace/$name" "$token" "$namespace"
  echo "$file"
}

# gateway_account prints the path of the kubeconfig for a gateway. AUTHORIZE=rbac: with the role that RBAC (a file)
# gives to its ServiceAccount; else with every right, but under a name of its own, so that the audit log knows it.
gateway_account() {
  local who=ringgate-lab/gateway
  if [ "${AUTHORIZE:-}" = rbac ]; then
    who=$(apply_role "${RBAC:-$LAB/../../deploy/kubernetes/rbac.yaml}")
  else
    inside "$BIN/kubectl" apply --filename "$LAB/lib/gateway-account.yaml" >>"$RUN/access.log"
  fi
  account "$who"
}

# apply_role FILE puts the roles in force and prints the ServiceAccount to use: SERVICE_ACCOUNT, or the file's first.
apply_role() {
  local who=${SERVICE_ACCOUNT:-} names='jsonpath={.kind} {.metadata.namespace}/{.metadata.name}{"\n"}'
  [ -e "$1" ] || die "no file $1 with a role: say RBAC=path"
  if [ -z "$who" ]; then
    who=$(inside "$BIN/kubectl" create --dry-run=client --filename "$1" --output "$names" |
      awk '$1 == "ServiceAccount" && !seen++ { print $2 }')
  fi
  [ -n "$who" ] || die "$1 has no ServiceAccount: say SERVICE_ACCOUNT=namespace/name"
  inside "$BIN/kubectl" create namespace "${who%%/*}" >>"$RUN/access.log" 2>&1 || true
  inside "$BIN/kubectl" apply --filename "$1" >>"$RUN/access.log"
  echo "$who"
}

requests() { python3 "$LAB/lib/audit.py" "$RUN"/audit*.log; }

denied() { python3 "$LAB/lib/audit.py" --denied "$RUN"/audit*.log; }
