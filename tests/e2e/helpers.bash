# helpers.bash - a cluster of its own for every file of tests: instance, data, port and links of their own.
#
# cluster_up NAME [OPTION...] and cluster_down in setup_file and teardown_file; k is kubectl on it. KEEP_CLUSTER=1 leaves the
# cluster as it is after the tests, to look at.

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
CARAVEL=${CARAVEL:-$ROOT/build/caravel}
KUBECTL_FOLDER=/usr/lib/google-cloud-sdk/bin
export KUBECACHEDIR=$BATS_RUN_TMPDIR/kubectl-cache

# One that nobody listens on now, and that the kernel gives to nobody: outside of the ports for connections, and of those
# of services.
free_port() {
  python3 -c '
import random, socket
while True:
    port = random.randrange(12000, 29000)
    try:
        socket.socket().bind(("127.0.0.1", port))
    except OSError:
        continue
    print(port)
    break'
}

cluster_up() { # NAME [OPTION...]
  export INSTANCE=$1
  shift
  export DATA=/var/lib/$INSTANCE
  export KUBECONFIG=$BATS_FILE_TMPDIR/kubeconfig
  export API_PORT=${API_PORT:-$(free_port)}
  [ -z "${E2E_INSTANCES:-}" ] || echo "$INSTANCE" >>"$E2E_INSTANCES" # whoever ends this file by force takes it down
  "$CARAVEL" down --instance "$INSTANCE" --purge >/dev/null 2>&1 || true
  cluster_start "$@" || return 1
  kubectl config set-context --current --namespace default >/dev/null
}

cluster_start() { # [OPTION...] - again, on what cluster_up has chosen
  "$CARAVEL" up --detach --instance "$INSTANCE" --listen "127.0.0.1:$API_PORT" --kubeconfig "$KUBECONFIG" \
    --node-name node-a "$@" >"$BATS_FILE_TMPDIR/up.log" 2>&1 3>&- 4>&- ||
    { cat "$BATS_FILE_TMPDIR/up.log" "$DATA/caravel.log" >&2; return 1; }
}

cluster_down() {
  [ -z "${KEEP_CLUSTER:-}" ] || return 0
  "$CARAVEL" down --instance "$INSTANCE" --purge
}

# What the cluster has said, when a test fails. A file that has a teardown of its own calls tell_log in it.
tell_log() {
  [ -n "${BATS_TEST_COMPLETED:-}" ] || [ ! -f "${DATA:-}/caravel.log" ] || tail -n 20 "$DATA/caravel.log" | cut -c1-300 >&2
}

teardown() { tell_log; }

demo_image() { # imports caravel/demo:1
  "$ROOT/tools/make-demo-image" "$BATS_FILE_TMPDIR/demo.tar" >/dev/null
  "$CARAVEL" image import --instance "$INSTANCE" "$BATS_FILE_TMPDIR/demo.tar"
}

k() { kubectl "$@"; }

# api METHOD PATH [CURL-OPTION...] - the body goes to standard output, then a line with the status. Content is JSON,
# which curl by its own name would get indented.
api() {
  local method=$1 path=$2
  shift 2
  curl --silent --show-error --max-time 30 --cacert "$DATA/pki/ca.crt" --cert "$DATA/pki/admin.crt" \
    --key "$DATA/pki/admin.key" --user-agent tests --request "$method" --header 'Content-Type: application/json' \
    --write-out '\n%{http_code}\n' "$@" "https://127.0.0.1:$API_PORT$path"
}

# kubectl versions that this machine has, oldest first.
kubectl_versions() {
  local found
  found=$(ls "$KUBECTL_FOLDER"/kubectl.1.* 2>/dev/null | sort -V)
  [ -n "$found" ] && echo "$found" || command -v kubectl
}

# retry SECONDS COMMAND... until it succeeds; prints its last output, also when it never does.
retry() {
  local end=$(($(date +%s) + $1)) output
  shift
  until output=$("$@" 2>&1); do
    [ "$(date +%s)" -lt "$end" ] || { echo "$output"; return 1; }
    sleep 0.1
  done
  echo "$output"
}

# is TEXT COMMAND... - its output is exactly that; has TEXT COMMAND... - a pattern that it matches. For retry.
is() {
  local want=$1 output
  shift
  output=$("$@" 2>&1)
  [ "$output" = "$want" ] || { echo "wanted \"$want\", got \"$output\""; return 1; }
}

has() {
  local pattern=$1 output
  shift
  output=$("$@" 2>&1)
  [[ $output =~ $pattern ]] || { echo "wanted something like \"$pattern\", got \"$output\""; return 1; }
}

# refuses PATTERN COMMAND... - it fails, and says something like that.
refuses() {
  local pattern=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "\"$*\" has succeeded: $output"
    return 1
  fi
  [[ $output =~ $pattern ]] || { echo "wanted something like \"$pattern\", got \"$output\""; return 1; }
}

pod_field() { # POD JSONPATH
  k get pod "$1" -o jsonpath="{$2}"
}

# A pod of the demo image, as YAML: demo_pod NAME [COMMAND...]; it ends fast when told to.
demo_pod() {
  local name=$1 word
  shift
  printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: %s}}\nspec:\n' "$name" "$name"
  printf '  terminationGracePeriodSeconds: 1\n  containers:\n  - name: main\n    image: caravel/demo:1\n'
  [ $# -eq 0 ] || printf '    command:\n'
  for word in "$@"; do printf '    - "%s"\n' "$word"; done
}

# The server's and the agent's pids, children of the supervisor.
child_pid() { # server|agent
  pgrep -P "$(cat "$DATA/up.lock")" -f "caravel $1"
}

# What is left on this machine that has the instance's name: one line each, nothing when it is gone.
traces() { # INSTANCE
  local pid
  for pid in /proc/[0-9]*; do
    grep -qaE "(^|/|\x00)$1(\x00|/|$)" "$pid/cmdline" 2>/dev/null && [ "${pid#/proc/}" != $$ ] &&
      echo "process ${pid#/proc/}: $(tr '\0' ' ' <"$pid/cmdline")"
  done
  grep -E "/$1(/| )" /proc/mounts | sed 's/^/mount /'
  find /sys/fs/cgroup -type d -name "$1" 2>/dev/null | sed 's/^/cgroup /'
  nft list tables 2>/dev/null | grep -E -- "[ -]$1\$" | sed 's/^/nft /'
  ip -br link | grep -E "^$1|^$(printf '%.8s' "$1")-" | sed 's/^/link /'
  ls -d "/var/lib/$1" "/run/$1" 2>/dev/null | sed 's/^/folder /'
  return 0
}
