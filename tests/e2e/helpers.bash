# helpers.bash - a cluster of its own for every file of tests: instance, data, port and links of their own.
#
# cluster_up NAME [OPTION...] and cluster_down in setup_file and teardown_file; k is kubectl on it.

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
CARAVEL=${CARAVEL:-$ROOT/build/caravel}
KUBECTL_FOLDER=/usr/lib/google-cloud-sdk/bin

free_port() { # one that nobody listens on now
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

cluster_up() { # NAME [OPTION...]
  export INSTANCE=$1
  shift
  export DATA=/var/lib/$INSTANCE
  export KUBECONFIG=$BATS_FILE_TMPDIR/kubeconfig
  export API_PORT=${API_PORT:-$(free_port)}
  "$CARAVEL" down --instance "$INSTANCE" --purge >/dev/null 2>&1 || true
  "$CARAVEL" up --detach --instance "$INSTANCE" --listen "127.0.0.1:$API_PORT" --kubeconfig "$KUBECONFIG" \
    --node-name node-a "$@" >"$BATS_FILE_TMPDIR/up.log" 2>&1 ||
    { cat "$BATS_FILE_TMPDIR/up.log" "$DATA/caravel.log" >&2; return 1; }
  kubectl config set-context --current --namespace default >/dev/null
}

cluster_down() {
  [ "${BATS_TEST_COMPLETED:-}${KEEP_CLUSTER:-}" != keep ] || return 0
  "$CARAVEL" down --instance "$INSTANCE" --purge
}

demo_image() { # imports caravel/demo:1
  "$ROOT/tools/make-demo-image" "$BATS_FILE_TMPDIR/demo.tar" >/dev/null
  "$CARAVEL" image import --instance "$INSTANCE" "$BATS_FILE_TMPDIR/demo.tar"
}

k() { kubectl "$@"; }

# kubectl versions that this machine has, oldest first.
kubectl_versions() {
  local found
  found=$(ls "$KUBECTL_FOLDER"/kubectl.1.* 2>/dev/null | sort -V)
  [ -n "$found" ] && echo "$found" || command -v kubectl
}

# retry SECONDS COMMAND... until it succeeds; prints its last output when it never does.
retry() {
  local end=$(($(date +%s) + $1)) output
  shift
  until output=$("$@" 2>&1); do
    [ "$(date +%s)" -lt "$end" ] || { echo "$output"; return 1; }
    sleep 0.1
  done
  echo "$output"
}

pod_field() { # POD JSONPATH
  k get pod "$1" -o jsonpath="{$2}"
}

# The server's and the agent's pids, children of the supervisor.
child_pid() { # server|agent
  pgrep -P "$(cat "$DATA/up.lock")" -f "caravel $1"
}
