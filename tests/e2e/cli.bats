#!/usr/bin/env bats
# cli.bats - the command line: what it refuses, what it says, what it leaves behind. Clusters come up and go down in here.

load helpers

setup_file() {
  export NAME=e2e-cli-$$
  export OTHER=e2e-cli2-$$
  export API_PORT OTHER_PORT
  API_PORT=$(free_port)
  OTHER_PORT=$(free_port)
  "$ROOT/tools/make-demo-image" "$BATS_FILE_TMPDIR/demo.tar" >/dev/null
}

teardown_file() {
  "$CARAVEL" down --instance "$NAME" --purge
  "$CARAVEL" down --instance "$OTHER" --purge
}

setup() {
  export INSTANCE=$NAME DATA=/var/lib/$NAME KUBECONFIG=$BATS_FILE_TMPDIR/kubeconfig
}

# says STATUS PATTERN ARGUMENT... - how it ends and what it says.
says() {
  local want=$1 pattern=$2
  shift 2
  run timeout 30 "$CARAVEL" "$@"
  [ "$status" -eq "$want" ] || { echo "caravel $*: status $status, not $want: $output"; return 1; }
  [[ $output =~ $pattern ]] || { echo "caravel $*: \"$output\" is not like \"$pattern\""; return 1; }
}

@test "help: of the program and of every command" {
  says 0 "Usage: caravel COMMAND" --help
  says 0 "Usage: caravel COMMAND" help
  says 2 "Usage: caravel COMMAND"
  local command
  for command in up down server agent image; do
    says 0 "Usage: caravel $command" "$command" --help
    says 0 "caravel $command" "$command" --usage
    [[ $("$CARAVEL" --help) =~ $command ]]
  done
}

@test "version" {
  says 0 "^caravel [0-9]+\.[0-9]+\.[0-9]+, Kubernetes API v1\.33$" version
  says 0 "^caravel [0-9]" --version
  says 2 "unexpected argument" version extra
}

@test "unknown commands, flags and arguments are refused with status 2" {
  says 2 'no command "sail"' sail
  local command
  for command in up down server agent image; do
    says 2 "caravel $command: unrecognized option '--bogus'" "$command" --bogus
    says 2 "caravel $command: option '--instance' requires an argument" "$command" --instance
  done
  for command in up down server agent; do
    says 2 "caravel $command: unexpected argument \"extra\"" "$command" extra
  done
  says 2 "say import, list or remove" image
  says 2 "say import, list or remove" image sink
  says 2 "import wants one FILE" image import
  says 2 "remove wants one REF" image remove a b
  says 2 "list takes no argument" image list a
  says 2 "--port x: expected a number from 0 to 65535" agent --port x
  says 2 "--port 65536: expected a number" agent --port 65536
  says 2 "--max-pods 0: expected a number" agent --max-pods 0
  says 2 "--loops many: expected a number" server --loops many
}

@test "bad instance names are refused" {
  local name command
  for name in "" UPPER a_b a.b a/b ../x -a a- "a b" "$(printf 'a%.0s' $(seq 41))"; do
    for command in up down server agent; do
      run timeout 30 "$CARAVEL" "$command" --instance "$name"
      [ "$status" -ne 0 ]
      [[ $output =~ "1 to 40 of a-z" ]]
    done
  done
}

@test "bad addresses, ranges and folders are refused before anything is made" {
  local address
  for address in "" nonsense 127.0.0.1 127.0.0.1: 127.0.0.1:0 127.0.0.1:65536 127.0.0.1:x 300.1.1.1:6443 host:6443 ::1:6443; do
    says 1 "--listen" up --instance "$NAME" --listen "$address"
  done
  says 1 "--pod-cidr" up --instance "$NAME" --listen "127.0.0.1:$API_PORT" --pod-cidr nonsense
  says 1 "--pod-cidr" up --instance "$NAME" --listen "127.0.0.1:$API_PORT" --pod-cidr 10.1.2.3/16
  says 1 "--service-cidr" up --instance "$NAME" --listen "127.0.0.1:$API_PORT" --service-cidr 10.1.2.3
  says 1 "--node-ip" up --instance "$NAME" --listen "127.0.0.1:$API_PORT" --node-ip nowhere
  says 1 "--node-name" up --instance "$NAME" --listen "127.0.0.1:$API_PORT" --node-name "no name"
  says 1 "10.96.0.0/16 and --service-cidr 10.96.0.0/12 overlap" up --instance "$NAME" \
    --listen "127.0.0.1:$API_PORT" --pod-cidr 10.96.0.0/16 --service-cidr 10.96.0.0/12
  says 1 "must be absolute" up --instance "$NAME" --data-dir relative
  says 1 "must be absolute" up --instance "$NAME" --data-dir "/tmp/a b"
  says 1 "longer than" up --instance "$NAME" --data-dir "/$(printf 'x%.0s' $(seq 300))"
  [ ! -e "$DATA" ]
}

@test "a missing crun or conmon is named" {
  local folder=$BATS_TEST_TMPDIR/bin
  mkdir "$folder"
  PATH=$folder run "$CARAVEL" up --instance "$NAME" --listen "127.0.0.1:$API_PORT"
  [ "$status" -eq 1 ]
  [[ $output =~ "crun is missing" ]]
  ln -s "$(command -v crun)" "$folder/crun"
  PATH=$folder run "$CARAVEL" up --instance "$NAME" --listen "127.0.0.1:$API_PORT"
  [ "$status" -eq 1 ]
  [[ $output =~ "conmon is missing" ]]
}

@test "down and images of an instance that never was" {
  says 0 "nothing in /var/lib/$NAME" down --instance "$NAME"
  says 0 "nothing in /var/lib/$NAME" down --instance "$NAME" --purge
  says 1 "nothing in /var/lib/$NAME" image list --instance "$NAME"
  says 1 "nothing in /var/lib/$NAME" image remove --instance "$NAME" x
  says 1 "/nowhere.*No such file" image import --instance "$NAME" /nowhere
  [ ! -e "$DATA" ]
}

@test "images: import, list, remove; bad archives leave nothing" {
  local dir=$BATS_TEST_TMPDIR good=$BATS_FILE_TMPDIR/demo.tar
  says 0 "^docker.io/caravel/demo:1 +[0-9a-f]{12} +[0-9.]+ MB$" image import --instance "$NAME" "$good"
  says 0 "docker.io/caravel/demo:1" image list --instance "$NAME"
  says 0 "^docker.io/caravel/demo:1" image import --instance "$NAME" - <"$good"
  says 0 "docker.io/other/name:2" image import --instance "$NAME" --name other/name:2 "$good"
  [ "$("$CARAVEL" image list --instance "$NAME" | tail -n +2 | wc -l)" -eq 2 ]
  says 0 "" image remove --instance "$NAME" other/name:2
  says 1 "other/name:2.* not here" image remove --instance "$NAME" other/name:2

  : >"$dir/empty"
  echo "this is no archive" >"$dir/text"
  head -c 300000 "$good" >"$dir/cut"
  head -c 100000 /dev/urandom >"$dir/noise"
  tar -C "$dir" -cf "$dir/other.tar" text
  local bad
  for bad in empty text cut noise other.tar; do
    says 1 "^caravel: importing $dir/$bad: ." image import --instance "$NAME" "$dir/$bad"
  done
  says 1 "importing $dir: |opening $dir" image import --instance "$NAME" "$dir"
  says 1 "invalid|reference" image import --instance "$NAME" --name "Not A Name" "$good"
  [ "$("$CARAVEL" image list --instance "$NAME" | tail -n +2 | wc -l)" -eq 1 ]
  [ -z "$(ls "$DATA/images/tmp")" ]
}

@test "up: the stages are told, the kubeconfig is written where asked, for its owner only" {
  run "$CARAVEL" up --detach --instance "$NAME" --listen "127.0.0.1:$API_PORT" --kubeconfig "$KUBECONFIG" \
    --node-name node-a 3>&- 4>&-
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output =~ certificates.*server.*127.0.0.1:$API_PORT.*node-a\ is\ Ready.*kubeconfig\ +$KUBECONFIG ]]
  [ "$(stat -c %a "$KUBECONFIG")" = 600 ]
  [ "$(stat -c %a "$DATA/admin.kubeconfig")" = 600 ]
  [ -z "$(find "$DATA/pki" -name '*.key' ! -perm 600)" ]
  is node/node-a k get nodes -o name
  is True k get node node-a -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}'
  # Imported before the cluster came up: it is there.
  says 0 "docker.io/caravel/demo:1" image list --instance "$NAME"
}

@test "up: an instance that is up already, a port in use, another instance's folder" {
  says 1 "instance $NAME is up already \(process $(cat "$DATA/up.lock")\)" up --detach --instance "$NAME" \
    --listen "127.0.0.1:$OTHER_PORT"
  says 1 "--listen 127.0.0.1:$API_PORT: the port is in use" up --detach --instance "$OTHER" \
    --listen "127.0.0.1:$API_PORT"
  says 1 "$DATA belongs to instance \"$NAME\"" up --detach --instance "$OTHER" --data-dir "$DATA" \
    --listen "127.0.0.1:$OTHER_PORT"
  says 1 "$DATA belongs to instance \"$NAME\"" down --instance "$OTHER" --data-dir "$DATA" --purge
  says 1 "$DATA belongs to instance \"$NAME\"" image list --instance "$OTHER" --data-dir "$DATA"
  is node/node-a k get nodes -o name
}

@test "store check: while it is in use, with damage, and where there is none" {
  says 0 "records, .* keys, .*: no damage" store check --instance "$NAME"
  says 1 "there is no store in /var/lib/e2e-nowhere/store" store check --instance e2e-nowhere
  says 2 "check is what can be done" store --instance "$NAME"
  mkdir "$BATS_TEST_TMPDIR/data"
  cp -r "$DATA/store" "$BATS_TEST_TMPDIR/data/"
  python3 - "$BATS_TEST_TMPDIR/data/store/data.mdb" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
at = data.find(b'"kind":"Namespace"')
while at >= 0:
    data[at + 8:at + 12] = b'Mame'
    at = data.find(b'"kind":"Namespace"', at)
open(sys.argv[1], "wb").write(data)
PY
  says 1 "damaged: revision [0-9.]+: the record is damaged: its checksum is wrong" store check --data-dir "$BATS_TEST_TMPDIR/data"
}

@test "history: how long it is kept, and bad limits" {
  says 2 "\-\-history x: a time like 24h" up --history x
  says 2 "\-\-history-size 5x: a size like 2GiB" server --history-size 5x
}

@test "two instances side by side know nothing of each other" {
  local other="--kubeconfig $BATS_FILE_TMPDIR/other"
  run "$CARAVEL" up --detach --instance "$OTHER" --listen "127.0.0.1:$OTHER_PORT" --node-name node-b \
    --kubeconfig "$BATS_FILE_TMPDIR/other" 3>&- 4>&-
  echo "$output"
  [ "$status" -eq 0 ]
  "$CARAVEL" image import --instance "$OTHER" "$BATS_FILE_TMPDIR/demo.tar"
  is node/node-a k get nodes -o name
  is node/node-b k $other get nodes -o name
  demo_pod twin | k apply -f -
  demo_pod twin | k $other apply -f -
  k wait --for=condition=Ready pod/twin --timeout=30s
  k $other wait --for=condition=Ready pod/twin --timeout=30s
  # Each is reached at its own address, and their ranges differ.
  local one two
  one=$(pod_field twin .status.podIP)
  two=$(k $other get pod twin -o jsonpath='{.status.podIP}')
  [ "${one%.*}" != "${two%.*}" ]
  [[ $(curl -sS --max-time 5 "http://$one:8080/") =~ "It sails" ]]
  [[ $(curl -sS --max-time 5 "http://$two:8080/") =~ "It sails" ]]
  # The credentials of one are nothing to the other.
  refuses "certificate|Unauthorized|logged in" k --server "https://127.0.0.1:$OTHER_PORT" get nodes
}

@test "down --purge of one leaves nothing of it, and the other alone" {
  local pid
  pid=$(cat "$DATA/up.lock")
  says 0 "everything of it is removed" down --instance "$OTHER" --purge
  run traces "$OTHER"
  echo "$output"
  [ -z "$output" ]
  kill -0 "$pid"
  is True k get pod twin -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}'
  says 0 "nothing in /var/lib/$OTHER" down --instance "$OTHER" --purge
}

container_pids() { # the first processes of the containers of this instance
  local id
  for id in $(crun --root "/run/$NAME/crun" list -q); do
    crun --root "/run/$NAME/crun" state "$id" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'
  done | sort
}

@test "pods survive a plain down, and the next up finds them with the same pids" {
  local before id
  before=$(container_pids)
  id=$(pod_field twin '.status.containerStatuses[0].containerID')
  [ -n "$before" ]
  says 0 "server and agent have stopped.*[1-9][0-9]* containers? keeps? running" down --instance "$NAME"
  [ "$(container_pids)" = "$before" ]
  says 0 "was not up" down --instance "$NAME"
  cluster_start
  k wait --for=condition=Ready pod/twin --timeout=30s
  [ "$(container_pids)" = "$before" ]
  [ "$(pod_field twin '.status.containerStatuses[0].containerID')" = "$id" ]
  [ "$(pod_field twin '.status.containerStatuses[0].restartCount')" = 0 ]
}

@test "containers that ended while nothing was up are started again" {
  # Behind the back of a stopped agent; the next one notices.
  says 0 "have stopped" down --instance "$NAME"
  kill -9 $(container_pids)
  cluster_start
  retry 30 is 1 pod_field twin '.status.containerStatuses[0].restartCount'
  k wait --for=condition=Ready pod/twin --timeout=30s
}

@test "up in the foreground ends with SIGTERM and SIGINT" {
  says 0 "have stopped" down --instance "$NAME"
  local signal pid
  for signal in TERM INT; do
    "$CARAVEL" up --instance "$NAME" --listen "127.0.0.1:$API_PORT" --kubeconfig "$KUBECONFIG" --node-name node-a \
      >"$BATS_TEST_TMPDIR/up.log" 2>&1 3>&- 4>&- &
    pid=$!
    retry 30 grep -q kubeconfig "$BATS_TEST_TMPDIR/up.log"
    kill -$signal $pid
    wait $pid
    run pgrep -f "caravel (server|agent) --instance $NAME"
    [ -z "$output" ]
  done
}

@test "down --purge removes every trace of pods, too" {
  cluster_start
  k wait --for=condition=Ready pod/twin --timeout=30s
  [ -n "$(traces "$NAME")" ]
  says 0 "everything of it is removed" down --instance "$NAME" --purge
  run traces "$NAME"
  echo "$output"
  [ -z "$output" ]
  [ -f "$KUBECONFIG" ] # what was written elsewhere is the user's
}
