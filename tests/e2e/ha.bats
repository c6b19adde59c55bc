#!/usr/bin/env bats
# ha.bats - three servers on an etcd of three members, each pair on a machine of its own; one address in front; a node. What
# breaks is mended by the rest, while many clients write and watch through all of it (ha.py).

load helpers

HOME_FOLDER=${TMPDIR:-/dev/shm} # a tmpfs: power is not the subject here
FRONT=10.77.0.254

cluster() { "$ROOT/tests/etcd/cluster" "$FOLDER/etcd" "$@"; }
on() { cluster exec "$@"; } # MACHINE COMMAND...

address() { [ "$1" = front ] && echo $FRONT || echo "10.77.0.$1"; }

# ask MACHINE|front METHOD PATH [CURL-OPTION...] - body, then a line with the status
ask() {
  local server=$1 method=$2 path=$3 from=0
  shift 3
  [ "$server" = front ] || from=$server # a server can be asked on its own machine, whatever is cut
  on "$from" curl --silent --show-error --max-time 15 --cacert "$FOLDER/pki/ca.crt" --cert "$FOLDER/pki/admin.crt" \
    --key "$FOLDER/pki/admin.key" --user-agent tests --request "$method" --header 'Content-Type: application/json' \
    --write-out '\n%{http_code}\n' "$@" "https://$(address "$server"):6443$path"
}
status_of() { ask "$@" | tail -1; }

k() { on 0 kubectl "$@"; }

make_keys() {
  mkdir -p "$FOLDER/pki"
  (
    cd "$FOLDER/pki"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -subj /CN=ha-ca -days 7 -out ca.crt
    for leaf in server/kube-apiserver/system:masters server-client/server/system:masters admin/kubernetes-admin/system:masters \
      node/system:node:node-a/system:nodes node-server/system:node:node-a/system:nodes; do
      IFS=/ read -r file user group <<<"$leaf"
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$file.key" -subj "/O=$group/CN=$user" -out csr
      openssl x509 -req -in csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 7 -out "$file.crt" -extfile \
        <(echo subjectAltName=DNS:node-a,IP:127.0.0.1,IP:10.77.0.1,IP:10.77.0.2,IP:10.77.0.3,IP:$FRONT)
    done
  ) 2>"$FOLDER/openssl.log"
  export KUBECONFIG=$FOLDER/kubeconfig
  kubectl config set-cluster ha --server "https://$FRONT:6443" --certificate-authority "$FOLDER/pki/ca.crt"
  kubectl config set-credentials admin --client-certificate "$FOLDER/pki/admin.crt" --client-key "$FOLDER/pki/admin.key"
  kubectl config set-context ha --cluster ha --user admin --namespace default
  kubectl config use-context ha
}

# A shell loop stands for what starts a server again when it has ended.
server_start() { # MACHINE
  local data=$FOLDER/server$1
  mkdir -p "$data"
  ln -sfn "$FOLDER/pki" "$data/pki"
  on "$1" "$CARAVEL" server --instance "$INSTANCE-$1" --data-dir "$data" --listen "10.77.0.$1:6443" \
    --store "etcd://$(cluster endpoints)" --etcd-cafile "$FOLDER/etcd/tls/ca.crt" \
    --etcd-certfile "$FOLDER/etcd/tls/client.crt" --etcd-keyfile "$FOLDER/etcd/tls/client.key" \
    >>"$FOLDER/server$1.log" 2>&1 3>&- 4>&- </dev/null &
}
server_pid() { pgrep -f "caravel server --instance $INSTANCE-$1 "; }
ready() { [ "$(status_of "$1" GET /readyz)" = 200 ]; }
# A server that cannot begin ends, and is started again.
comes_up() { # MACHINE
  ready "$1" && return
  server_pid "$1" >/dev/null || { tail -1 "$FOLDER/server$1.log" | sed 's/^/# /' >&3; server_start "$1"; }
  return 1
}

# The name under which a server campaigns has its machine's address.
leader() {
  local value machine
  value=$(cluster ctl get /caravel/leader --print-value-only)
  for machine in 1 2 3; do
    [[ $value != *"10.77.0.$machine:6443"* ]] || echo "$machine"
  done
}
another_leads() { # MACHINE
  local now
  now=$(leader) && [ -n "$now" ] && [ "$now" != "$1" ]
}

now() { awk '{print $1}' /proc/uptime; } # what Python's monotonic clock says
mark() { echo "$1 $(now)" >>"$FOLDER/marks"; }
tell() { echo "# $*" >&3; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN {printf "%.1f s", b - a}'; }

front_up() {
  {
    printf 'defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\n'
    printf 'listen api\n  bind %s:6443\n  option httpchk GET /readyz\n' $FRONT
    printf '  default-server check check-ssl verify none inter 300ms fall 2 rise 1 on-marked-down shutdown-sessions\n'
    printf '  server server%d 10.77.0.%d:6443\n' 1 1 2 2 3 3
  } >"$FOLDER/haproxy.cfg"
  on 0 haproxy -db -f "$FOLDER/haproxy.cfg" >"$FOLDER/haproxy.log" 2>&1 3>&- 4>&- </dev/null &
}

agent_up() {
  local data=$FOLDER/agent
  mkdir -p "$data"
  ln -sfn "$FOLDER/pki" "$data/pki"
  "$ROOT/tools/make-demo-image" "$FOLDER/demo.tar" >/dev/null
  "$CARAVEL" image import --instance "$INSTANCE-1" --data-dir "$data" "$FOLDER/demo.tar"
  on 1 "$CARAVEL" agent --instance "$INSTANCE-1" --data-dir "$data" --server "https://$FRONT:6443" --node-name node-a \
    --node-ip 10.77.0.1 >"$FOLDER/agent.log" 2>&1 3>&- 4>&- </dev/null &
}

setup_file() {
  local machine
  export INSTANCE=e2e-ha-$$ FOLDER
  FOLDER=$(mktemp -d "$HOME_FOLDER/caravel-ha-XXXXXX")
  cluster up --tls --owner $$
  make_keys >/dev/null
  cluster ctl watch --prefix /caravel -w json >"$FOLDER/history" 2>"$FOLDER/history.err" 3>&- 4>&- </dev/null &
  for machine in 1 2 3; do server_start $machine; done
  front_up
  for machine in 1 2 3; do retry 60 comes_up $machine; done
  retry 30 k get --raw /readyz
  agent_up
  k create namespace storm
  on 0 python3 "$BATS_TEST_DIRNAME/ha.py" --servers 10.77.0.1:6443,10.77.0.2:6443,10.77.0.3:6443 --pki "$FOLDER/pki" \
    --namespace storm --folder "$FOLDER" >"$FOLDER/storm.log" 2>&1 3>&- 4>&- </dev/null &
}

teardown_file() {
  local pid
  [ -z "${KEEP_CLUSTER:-}" ] || return 0
  for pid in $(server_pid 1) $(server_pid 2) $(server_pid 3) $(pgrep -f "caravel agent --instance $INSTANCE-1 "); do
    kill -9 "$pid"
  done
  on 1 "$CARAVEL" down --instance "$INSTANCE-1" --data-dir "$FOLDER/agent" --purge || true
  cluster down
  rm -rf "$FOLDER"
}

teardown() { # a test that has failed leaves nothing cut or stopped for the next one
  local machine pid
  for machine in 1 2 3; do
    cluster heal $machine
    cluster start $machine
    cluster resume $machine
    if pid=$(server_pid $machine); then kill -CONT "$pid"; else server_start $machine; fi
  done
}

all_well() {
  local machine
  cluster wait
  for machine in 1 2 3; do retry 60 comes_up $machine; done
}

@test "what one server acknowledged the others show at once" {
  local i version
  for i in $(seq 15); do
    ask $((i % 3 + 1)) POST /api/v1/namespaces/default/configmaps --data "{\"metadata\":{\"name\":\"at-once-$i\"}}" | tail -1 | grep -qx 201
    ask $(((i + 1) % 3 + 1)) GET "/api/v1/namespaces/default/configmaps/at-once-$i" | tail -1 | grep -qx 200
    ask $(((i + 2) % 3 + 1)) GET /api/v1/namespaces/default/configmaps | grep -q "\"at-once-$i\""
  done
}

@test "one server leads; when it is killed another does, and goes on with what it was at" {
  local old begun
  old=$(leader)
  [ -n "$old" ]
  k create deployment web --image=caravel/demo:1 --replicas=2
  k rollout status deployment/web --timeout=60s
  k scale deployment/web --replicas=5
  kill -9 "$(server_pid "$old")"
  begun=$(now)
  mark "leading server killed"
  retry 20 another_leads "$old"
  tell "another server led $(since "$begun") after the leading one was killed"
  k rollout status deployment/web --timeout=60s
  tell "the deployment was rolled out $(since "$begun") after that"
  server_start "$old"
  all_well
}

@test "the etcd member that leads is killed: writes resume" {
  local old
  old=$(cluster leader)
  cluster kill "$old"
  mark "etcd's leader killed"
  sleep 4
  cluster start "$old"
  all_well
}

@test "a machine is cut off: it says so, reads of what it has go on, and it comes back by itself" {
  local old begun
  old=$(leader)
  cluster cut "$old"
  mark "leading machine cut off"
  begun=$(now)
  retry 20 another_leads "$old"
  tell "another server led $(since "$begun") after the leading machine was cut off"
  retry 15 is 503 status_of "$old" GET /api/v1/namespaces/default/configmaps/at-once-1
  is 503 status_of "$old" POST /api/v1/namespaces/default/configmaps --data '{"metadata":{"name":"nowhere"}}'
  is 200 status_of "$old" GET "/api/v1/namespaces/default/configmaps/at-once-1?resourceVersion=0"
  run ready "$old"
  [ "$status" -ne 0 ]
  cluster heal "$old"
  begun=$(now)
  retry 30 ready "$old"
  tell "it was ready again $(since "$begun") after it was healed"
  retry 15 is 404 status_of "$old" GET /api/v1/namespaces/default/configmaps/nowhere
  all_well
}

@test "a server is cut off from etcd, not from its clients" {
  local cut=$(($(leader) % 3 + 1))
  cluster cut "$cut" 2379
  mark "a server cut off from etcd"
  retry 15 is 503 status_of "$cut" GET /api/v1/namespaces/default/configmaps/at-once-1
  is 200 status_of "$cut" GET "/api/v1/namespaces/default/configmaps?resourceVersion=0&limit=1"
  k create configmap meanwhile --from-literal=a=b
  cluster heal "$cut"
  retry 30 ready "$cut"
  retry 15 is 200 status_of "$cut" GET /api/v1/namespaces/default/configmaps/meanwhile
}

@test "the leading server hangs: another leads, and what the old one still wanted is not written" {
  local old begun
  old=$(leader)
  begun=$(now)
  kill -STOP "$(server_pid "$old")"
  retry 20 another_leads "$old"
  tell "another server led $(since "$begun") after the leading one was stopped"
  k scale deployment/web --replicas=3
  kill -CONT "$(server_pid "$old")"
  k rollout status deployment/web --timeout=60s
  all_well
}

@test "all members of etcd are restarted" {
  cluster stop 1 2 3
  retry 15 is 503 status_of 1 GET /api/v1/namespaces/default/configmaps/at-once-1
  cluster start 1 2 3
  mark "all members started"
  all_well
}

@test "nothing acknowledged was lost, nothing was doubled, no watch missed anything" {
  touch "$FOLDER/stop"
  retry 60 test -s "$FOLDER/report"
  while read -r line; do tell "$line"; done <"$FOLDER/report"
  run grep WRONG "$FOLDER/report"
  [ "$status" -ne 0 ]
}

@test "never did two servers lead" {
  run python3 "$BATS_TEST_DIRNAME/terms.py" <"$FOLDER/history"
  tell "$output"
  [ "$status" -eq 0 ]
}
