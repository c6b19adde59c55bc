#!/usr/bin/env bats
# commands.bats - caravel get, describe, apply, delete, logs, exec, explain, api-resources, completion: on a live cluster with
# real containers, and beside kubectl where both should say the same.

load helpers

setup_file() {
  cluster_up "cmd-$$"
  demo_image
  export BOATS=$BATS_FILE_TMPDIR/boats.yaml
  cat >"$BOATS" <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.sea.example.com}
spec:
  group: sea.example.com
  names: {kind: Boat, plural: boats, singular: boat, shortNames: [bt], categories: [all]}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {length: {type: integer, description: From bow to stern.}}}
---
apiVersion: sea.example.com/v1
kind: Boat
metadata: {name: argo}
spec: {length: 30}
YAML
  demo_pod sail | c apply -f - >/dev/null
  c apply -f "$ROOT/examples" >/dev/null
  k wait --for=condition=Ready pod/sail pod/greeter --timeout=60s >/dev/null
  k rollout status deployment/web --timeout=60s >/dev/null
}

teardown_file() {
  cluster_down
}

c() { "$CARAVEL" "$@"; }

# says STATUS PATTERN ARGUMENT... - how it ends and what it says, both outputs together.
says() {
  local want=$1 pattern=$2
  shift 2
  run timeout 60 "$CARAVEL" "$@"
  [ "$status" -eq "$want" ] || { echo "caravel $*: status $status, not $want: $output"; return 1; }
  [[ $output =~ $pattern ]] || { echo "caravel $*: \"$output\" is not like \"$pattern\""; return 1; }
}

# as_kubectl ARGUMENT... - both print the same. Ages go on between the two calls: when they are all that differs after a few
# tries, the words are compared without them.
as_kubectl() {
  local ours theirs _
  for _ in 1 2 3; do
    ours=$(c "$@" 2>&1)
    theirs=$(k "$@" 2>&1)
    [ "$ours" != "$theirs" ] || return 0
  done
  diff <(ageless "$ours") <(ageless "$theirs")
}
ageless() { sed -E 's/\b([0-9]+[smhd]){1,2}\b/AGE/g; s/ +/ /g' <<<"$1"; }

@test "get prints what kubectl prints" {
  local line
  while read -r line; do
    echo "get $line"
    as_kubectl get $line
  done <<'END'
pods
pods -A
pods -A -o wide
po,svc
all
all -A
pod/sail service/kubernetes
pods sail greeter
nodes -o wide
pods -L app
pods --show-labels
pods --no-headers
pods -l app=web
pods -l app=web,pod-template-hash --show-labels
pods --field-selector status.phase=Running
pods --field-selector metadata.name=sail
pods --sort-by=.metadata.name
deploy,rs -o name
pods -o name
namespaces
deployments.apps
deployments.v1.apps
configmaps,secrets
configmaps -n kube-system
pods -o jsonpath={.items[*].metadata.name}
pod sail -o jsonpath={.status.phase}
END
}

@test "get -o yaml and json print what kubectl prints" {
  as_kubectl get pod sail -o yaml
  as_kubectl get configmaps -o yaml
  as_kubectl get deploy,svc -o yaml
  diff <(c get pods -A -o json | jq -S .) <(k get pods -A -o json | jq -S .)
  [ "$(c get pods -o json --show-managed-fields | jq '[.items[].metadata.managedFields | length > 0] | all')" = true ]
  [ "$(c get pods -o json | jq '[.items[].metadata | has("managedFields")] | any')" = false ]
}

@test "get: long lists come in chunks, whole" {
  local name=chunks
  k create namespace $name
  # Many in each transaction: kubectl, which sends them one by one, holds itself to fifty a second.
  python3 - "$BATS_TEST_TMPDIR" <<'END'
import json, sys
for part in range(3):
    json.dump({"kind": "Transaction", "apiVersion": "caravel.io/v1", "writes": [
        {"method": "POST", "path": "/api/v1/namespaces/chunks/configmaps", "body": {"metadata": {"name": f"c-{i:04}"}}}
        for i in range(part * 401, part * 401 + 401)]}, open(f"{sys.argv[1]}/many{part}", "w"))
END
  for part in 0 1 2; do
    has '200$' api POST /apis/caravel.io/v1/transactions --data "@$BATS_TEST_TMPDIR/many$part" --output /dev/null
  done
  [ "$(c get configmaps -n $name -l '!x' --no-headers | grep -c '^c-')" -eq 1203 ]
  [ "$(c get configmaps -n $name -o name | grep -c '^configmap/c-')" -eq 1203 ]
  says 0 "" delete namespace $name
  says 1 'namespaces "chunks" not found' get namespace $name
}

@test "get: what is not there" {
  says 1 '^caravel: pods "nope" not found$' get pod nope
  says 0 '^$' get pod nope --ignore-not-found
  says 1 'no resource type "nope".*api-resources' get nope
  says 0 '^No resources found in kube-public namespace.$' get pods -n kube-public
  says 0 '^No resources found$' get persistentvolumes
  # The others are shown all the same.
  says 1 'pods "nope" not found' get pods nope sail
  [[ $(c get pods nope sail 2>/dev/null) =~ sail.*Running ]]
}

# change N FILE: another ConfigMap, until FILE tells of one. For a watch that may not have begun yet.
change() { k create configmap "watched-$RANDOM" -n "$1" >/dev/null 2>&1; grep -q 'watched-' "$2"; }

@test "get --watch shows changes as they come" {
  local pid log=$BATS_TEST_TMPDIR/log
  k create namespace watched
  says 1 'configmaps "nope" not found' get configmap nope --watch
  c get configmaps -n watched --watch-only >"$log" 2>&1 3>&- &
  pid=$!
  retry 30 change watched "$log"
  kill $pid
  [[ $(head -1 "$log") =~ ^NAME\ +DATA\ +AGE$ ]]
  c get configmaps -n watched -w -o name >"$BATS_TEST_TMPDIR/names" 2>&1 3>&- &
  pid=$!
  retry 30 change watched "$BATS_TEST_TMPDIR/names"
  kill $pid
  k delete namespace watched --wait=false
}

@test "apply: created, configured, unchanged; a dry run changes nothing" {
  local file=$BATS_TEST_TMPDIR/app.yaml
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {a: "1", b: "2"}\n' >"$file"
  says 0 '^configmap/app created \(server dry run\)$' apply -f "$file" --dry-run=server
  says 1 'not found' get configmap app
  says 0 '^configmap/app created$' apply -f "$file"
  says 0 '^configmap/app unchanged$' apply -f "$file"
  says 0 '^configmap/app unchanged \(server dry run\)$' apply -f - --dry-run=server <"$file"
  sed -i 's/, b: "2"//; s/"1"/"3"/' "$file"
  says 0 '^configmap/app configured \(server dry run\)$' apply -f "$file" --dry-run=server
  says 0 '^configmap/app configured$' apply -f "$file"
  # What is no longer in the file is gone; the manager is us.
  is '{"a":"3"}' k get configmap app -o jsonpath='{.data}'
  is caravel k get configmap app -o jsonpath='{.metadata.managedFields[0].manager}'
  says 0 'configmap "app" deleted' delete -f "$file"
}

@test "apply: conflicts are told, and forced" {
  local file=$BATS_TEST_TMPDIR/app.yaml
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\ndata: {a: "1"}\n' >"$file"
  k apply --server-side --field-manager=other -f "$file"
  sed -i 's/"1"/"2"/' "$file"
  says 1 "^caravel: $file: .*conflict.*other.*--force-conflicts" apply -f "$file"
  says 0 '^configmap/mine configured$' apply -f "$file" --force-conflicts
  is 2 k get configmap mine -o jsonpath='{.data.a}'
  k delete configmap mine
}

@test "apply: in order, on after errors; places of errors are told" {
  local dir=$BATS_TEST_TMPDIR/all
  mkdir -p "$dir/deeper"
  cp "$BOATS" "$dir/1.yaml"
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: BAD}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\n' >"$dir/2.yaml"
  printf '{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"listed"}}]}' >"$dir/3.json"
  printf 'a: b\n c: d\n' >"$dir/4.yml"
  printf 'kind: ConfigMap\napiVersion: v1\nmetadata: {name: deep}\n' >"$dir/deeper/5.yaml"
  echo ignored >"$dir/notes.txt"
  says 1 'boats.sea.example.com created.*boat.sea.example.com/argo created' apply -f "$dir"
  [[ $output =~ "configmap/good created" && $output =~ "configmap/listed created" && ! $output =~ configmap/deep ]]
  [[ $output =~ "$dir/2.yaml, document 1: ConfigMap \"BAD\" is invalid" ]]
  [[ $output =~ "$dir/4.yml: invalid YAML at line 2" ]]
  says 1 'configmap/deep created' apply -R -f "$dir"
  says 1 'strict decoding error: unknown field "dat"' apply -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"dat":{}}'
  says 1 "/nowhere.*No such file" apply -f /nowhere
  says 1 "kind \"Ship\" in \"sea.example.com/v1\"" apply -f - <<<'{"apiVersion":"sea.example.com/v1","kind":"Ship","metadata":{"name":"x"}}'
  says 2 "unrecognized option '--prune'" apply --prune -f "$dir"
  says 2 "say what to apply" apply
  says 1 'namespace "a" is not "b"' apply -n b -f - <<<'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"a"}}'
  k delete configmap good listed deep >/dev/null
}

@test "custom resources: by every name" {
  c apply -f "$BOATS"
  local name
  for name in boats boat bt Boat boats.sea.example.com boats.v1.sea.example.com; do
    is boat.sea.example.com/argo c get $name -o name
  done
  as_kubectl get bt
  [[ $(c get all -o name) =~ boat.sea.example.com/argo ]]
  says 0 "Spec:.*Length: +30" describe boat argo
  says 0 "From bow to stern" explain boat.spec.length
  [[ $(c api-resources) =~ boats\ +bt\ +sea.example.com/v1\ +true\ +Boat ]]
  says 0 'boat.sea.example.com "argo" deleted' delete bt --all
}

@test "api-resources names what kubectl names" {
  diff <(c api-resources -o name | sort) <(k api-resources -o name | sort)
  diff <(c api-resources --namespaced=false -o name | sort) <(k api-resources --namespaced=false -o name | sort)
}

@test "describe: pods, nodes, services, workloads, secrets; with events" {
  says 0 "Name: +sail" describe pod sail
  [[ $output =~ "Image:".*"caravel/demo:1" && $output =~ State:\ +Running && $output =~ Events:.*Scheduled.*Started ]]
  says 0 "greeter" describe pod gree
  says 0 "Allocatable:.*Events:" describe node node-a
  says 0 "Selector:" describe service kubernetes
  says 0 "Pod Template:.*Containers:.*Events:.*ScalingReplicaSet" describe deployment/web
  k create secret generic hush --from-literal=word=mellon
  says 0 "word: +6 bytes" describe secret hush
  [[ ! $output =~ mellon && ! $output =~ bWVsbG9u ]]
  k delete secret hush
  says 1 'pods "nope" not found' describe pod nope
}

@test "logs: of pods, workloads and labels, and their parts" {
  demo_pod talker sh -c 'for i in 1 2 3 4 5; do echo line $i; done; exec sleep 1000' | c apply -f -
  k wait --for=condition=Ready pod/talker --timeout=60s
  retry 30 has 'line 5' c logs talker
  is "$(k logs talker)" c logs talker
  is $'line 4\nline 5' c logs talker --tail 2
  is 'line 1' c logs talker --limit-bytes 7
  is '[pod/talker/main] line 5' c logs -l app=talker --prefix --tail 1
  [[ $(c logs pod/talker --timestamps --tail 1) =~ ^20[0-9-]+T[0-9:.]+.*\ line\ 5$ ]]
  is "" c logs talker --since-time 2100-01-01T00:00:00Z
  c logs deployment/web
  says 1 'pods "nope" not found' logs nope
  says 1 'no container "x"; it has main' logs talker -c x
  says 1 'previous terminated container "main"' logs talker -p
  says 2 'say whose logs' logs
  says 2 '--since x: expected a time' logs talker --since x
}

@test "logs -f goes on until the container ends" {
  demo_pod counter sh -c 'i=0; while [ ! -e /tmp/end ]; do echo tick $i; i=$((i+1)); sleep 0.1; done; echo done' |
    sed 's/^spec:/spec:\n  restartPolicy: Never/' | c apply -f -
  k wait --for=condition=Ready pod/counter --timeout=60s
  c logs -f counter >"$BATS_TEST_TMPDIR/log" 3>&- &
  local pid=$!
  retry 30 grep -q 'tick 3' "$BATS_TEST_TMPDIR/log"
  c exec counter -- touch /tmp/end
  wait $pid
  [ "$(tail -1 "$BATS_TEST_TMPDIR/log")" = done ]
  c delete pod counter
}

@test "exec: outputs apart, exit status, standard input, arguments as they are" {
  is sail c exec sail -- hostname
  says 7 'out' exec sail -- sh -c 'echo out; exit 7'
  [ "$(c exec sail -- sh -c 'echo out; echo err >&2' 2>/dev/null)" = out ]
  [ "$(c exec sail -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" = err ]
  [ "$(printf 'one\ntwo' | c exec -i sail -- cat)" = $'one\ntwo' ]
  [ "$(c exec sail -- printf '%s|' 'a b' '' '*' --flag -- x)" = 'a b||*|--flag|--|x|' ]
  has web- c exec deployment/web -- hostname
  head -c 2000000 /dev/urandom >"$BATS_TEST_TMPDIR/noise"
  c exec -i sail -- sh -c 'cat >/tmp/noise' <"$BATS_TEST_TMPDIR/noise"
  c exec sail -- cat /tmp/noise | cmp - "$BATS_TEST_TMPDIR/noise"
  says 1 'pods "nope" not found' exec nope -- true
  says 1 'no container "x"' exec sail -c x -- true
  says 2 'the command stands after --' exec sail hostname
  says 2 'POD -- COMMAND' exec sail
}

@test "exec -it: a terminal with our size and the status of the command" {
  python3 - "$CARAVEL" <<'END'
import fcntl, os, pty, struct, sys, termios
pid, master = pty.fork()
if pid == 0:
    # The size is there before the command asks for it.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 100, 0, 0))
    os.execv(sys.argv[1], ['caravel', 'exec', '-it', 'sail', '--', 'sh', '-c',
        'test -t 0 || exit 9; for i in $(seq 100); do case $(stty size) in "40 100") exit 5;; esac; sleep 0.1; done; exit 8'])
seen = b''
while True:
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(seen, status)
sys.exit(0 if status == 5 else 1)
END
}

@test "delete: by name, file, label, all; waits until they are gone" {
  demo_pod one | c apply -f -
  demo_pod two | c apply -f -
  says 0 '^pod "one" deleted$' delete pod one --now
  says 1 'pods "one" not found' get pod one
  says 0 'pod "two" deleted' delete pods -l app=two --grace-period=1
  says 1 'pods "two" not found' get pod two
  says 1 'pods "one" not found' delete pod one
  says 0 '^$' delete pod one --ignore-not-found
  says 1 'say which pods: by name' delete pods
  says 1 'excludes' delete pod one --all
  says 2 '--cascade x: expected' delete pod one --cascade x
  k create configmap held
  k patch configmap held --type merge -p '{"metadata":{"finalizers":["example.com/hold"]}}'
  says 1 'configmaps/held is deleted, but was not gone in time' delete configmap held --timeout 100ms
  says 0 'configmap "held" deleted' delete configmap held --wait=false
  k patch configmap held --type merge -p '{"metadata":{"finalizers":null}}'
  says 1 'configmaps "held" not found' get configmap held
}

@test "delete --cascade" {
  says 0 'deployment.apps "web" deleted' delete deployment web --cascade=orphan
  [ -n "$(c get rs -l app=web -o name)" ]
  says 0 'replicaset.apps "web-.*deleted' delete rs -l app=web --cascade=foreground
  [ -z "$(c get pods -l app=web,pod-template-hash -o name)" ]
}

@test "explain: as far down as asked" {
  says 0 "KIND: +Pod.*FIELDS:.*spec" explain pod
  says 0 "enum: Always, Never, OnFailure|Always, OnFailure, Never" explain pod.spec.restartPolicy
  says 0 "VERSION: +v1" explain hpa --api-version autoscaling/v1
  [ "$(c explain pod --recursive | wc -l)" -gt 300 ]
  says 1 'no field "nope" in spec' explain pod.spec.nope
  says 1 'no resource type "nope"' explain nope
}

@test "the server is found by kubeconfig, context and instance" {
  says 0 sail get pods --kubeconfig "$KUBECONFIG"
  KUBECONFIG= says 0 sail get pods --instance "$INSTANCE" -n default
  KUBECONFIG=/nowhere:$KUBECONFIG says 0 sail get pods
  KUBECONFIG=/nowhere says 1 '/nowhere.*No such file' get pods
  says 1 'no context "nope"' get pods --context nope
  says 0 node-a get nodes --context "$(k config current-context)"
  says 1 'the server https://127.0.0.1:1: ' get pods --kubeconfig <(sed 's/server: .*/server: https:\/\/127.0.0.1:1/' "$KUBECONFIG")
}

@test "completion: scripts that shells accept, candidates from the server" {
  bash -n <(c completion bash)
  local shell
  for shell in zsh fish; do
    if command -v $shell >/dev/null; then $shell -n <(c completion $shell); fi
  done
  says 2 "say which shell" completion tcsh
  is sail c __complete get pod sa
  is pod/sail c __complete describe pod/sa
  [[ $(c __complete get po) =~ pods ]]
  [[ $(c __complete get pods -n kube-) =~ kube-system ]]
  [[ $(c __complete get --outp) =~ ^--output= ]]
  is :files c __complete apply -f ""
  [ "$(c __complete exe | cut -f1)" = exec ]
  is main c __complete logs sail -c ""
  # The script in a bash of its own.
  local line
  line=$(PATH=$(dirname "$CARAVEL"):$PATH bash -c 'source <(caravel completion bash)
    COMP_WORDS=(caravel get pod sa) COMP_CWORD=3; _caravel; echo "${COMPREPLY[*]}"')
  [ "$line" = sail ]
}

@test "manual pages: one for each command, without warnings" {
  c __man "$BATS_TEST_TMPDIR/man1"
  local page name
  for name in "" $(c --help | sed -n 's/^  \([a-z-]*\) .*/-\1/p'); do
    [ -s "$BATS_TEST_TMPDIR/man1/caravel$name.1" ]
  done
  for page in "$BATS_TEST_TMPDIR"/man1/*.1; do
    if command -v groff >/dev/null; then is "" groff -man -ww -Tutf8 -z "$page"; fi
    if command -v mandoc >/dev/null; then mandoc -T lint -W warning "$page"; fi
  done
}
