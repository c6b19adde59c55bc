#!/usr/bin/env bats
# kubelet.bats - what a node does with pods, seen through kubectl: containers, environment, volumes, probes, ends, logs.

load helpers

setup_file() {
  snapshot >"$BATS_FILE_TMPDIR/before"
  cluster_up "kl-$$"
  demo_image
  mkdir -p "$BATS_FILE_TMPDIR/host"
}

teardown_file() {
  cluster_down
}

teardown() { # what a test made; those that look at removal do it themselves
  k delete pod --all --grace-period=0 --force >/dev/null 2>&1 || true
}

# pod NAME [SPEC-LINE...]: reads the container's fields from standard input; further arguments are lines of the spec.
pod() {
  local name=$1 line
  shift
  {
    printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: %s}}\nspec:\n' "$name" "$name"
    printf '  terminationGracePeriodSeconds: 5\n'
    for line in "$@"; do printf '  %s\n' "$line"; done
    printf '  containers:\n  - name: c\n    image: caravel/demo:1\n'
    sed 's/^/    /'
  } | k apply -f - >/dev/null
}

sh_command() { printf 'command: [sh, -c, %s]\n' "$(printf '%s' "$1" | python3 -c 'import json, sys; print(json.dumps(sys.stdin.read()))')"; }

make() { # what kubectl create takes; again: replaced
  k create "$@" --dry-run=client -o yaml | k apply -f - >/dev/null
}

phase_is() { [ "$(pod_field "$1" .status.phase)" = "$2" ]; }
field_is() { [ "$(pod_field "$1" "$2")" = "$3" ]; }
logs_have() { k logs "$1" | grep -q -- "$2"; }
ready_is() { field_is "$1" '.status.conditions[?(@.type=="Ready")].status' "$2"; }
waits_for() { field_is "$1" '.status.containerStatuses[0].state.waiting.reason' "$2"; }
event_of() { k events --for "pod/$1" | grep -q -- "$2"; }

# Everything on this host that may carry the name of an instance of ours.
snapshot() {
  {
    grep -o ' /[^ ]*kl-[0-9]*[^ ]*' /proc/self/mountinfo
    ip -o link | grep -o 'kl-[^:@ ]*'
    ls -d /sys/fs/cgroup/*/kl-* /sys/fs/cgroup/kl-* 2>/dev/null
    ls -d /run/kl-* 2>/dev/null
  } | sort
}

# What belongs to pods: mounts, links, network namespaces, cgroups.
pod_traces() {
  grep -o " $DATA/pods/[^ ]*\| /run/$INSTANCE/ns/[^ ]*\| /run/$INSTANCE/shm/[^ ]*" /proc/self/mountinfo
  ip -o link show master "${INSTANCE}0" 2>/dev/null
  find /sys/fs/cgroup -maxdepth 4 -type d -path "*/$INSTANCE/pod*" 2>/dev/null
  ls "$DATA/pods" "$DATA/logs" "$DATA/sandboxes" 2>/dev/null | grep -v ':$' | grep .
  ls "$DATA/containers" | grep -v exits
  return 0
}

@test "init containers run one after the other, before the others" {
  pod init 'restartPolicy: Never' \
    'volumes: [{name: v, emptyDir: {}}]' \
    'initContainers:' \
    '- {name: one, image: "caravel/demo:1", command: [sh, -c, "echo one >> /v/order"], volumeMounts: [{name: v, mountPath: /v}]}' \
    '- {name: two, image: "caravel/demo:1", command: [sh, -c, "echo two >> /v/order"], volumeMounts: [{name: v, mountPath: /v}]}' \
    <<<"$(sh_command 'cat /v/order; echo main')
volumeMounts: [{name: v, mountPath: /v}]"
  retry 15 phase_is init Succeeded
  [ "$(k logs init)" = $'one\ntwo\nmain' ]
  field_is init '.status.initContainerStatuses[*].ready' 'true true'
}

@test "an init container that fails ends a pod that never restarts" {
  pod initfail 'restartPolicy: Never' 'initContainers:' \
    '- {name: one, image: "caravel/demo:1", command: [sh, -c, "exit 3"]}' <<<"$(sh_command 'echo main')"
  retry 15 phase_is initfail Failed
  field_is initfail '.status.initContainerStatuses[0].state.terminated.exitCode' 3
  field_is initfail '.status.containerStatuses[0].state.waiting.reason' PodInitializing
}

@test "sidecars start first and stop last, with their grace" {
  pod side 'restartPolicy: Never' 'initContainers:' \
    '- {name: s, restartPolicy: Always, image: "caravel/demo:1", command: [sh, -c, "trap \"echo bye; exit 0\" TERM; echo up; while :; do sleep 0.1; done"]}' \
    <<<"$(sh_command 'sleep 1')"
  retry 10 phase_is side Running
  field_is side '.status.initContainerStatuses[0].started' true
  retry 15 phase_is side Succeeded
  [ "$(k logs side -c s)" = $'up\nbye' ]
}

@test "environment from values, ConfigMaps, Secrets and the pod itself" {
  make configmap env-cm --from-literal=a=1 --from-literal=b=two
  make secret generic env-sec --from-literal=pw=hush
  pod env 'restartPolicy: Never' <<<"$(sh_command 'env')"'
envFrom: [{prefix: P_, configMapRef: {name: env-cm}}]
env:
- {name: PLAIN, value: "$(P_a)-$(NONE)-$$(P_a)"}
- {name: ONE, valueFrom: {configMapKeyRef: {name: env-cm, key: b}}}
- {name: PW, valueFrom: {secretKeyRef: {name: env-sec, key: pw}}}
- {name: GONE, valueFrom: {configMapKeyRef: {name: none, key: x, optional: true}}}
- {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: MEM, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
resources: {limits: {memory: 32Mi}}'
  retry 15 phase_is env Succeeded
  k logs env >"$BATS_TEST_TMPDIR/env"
  for line in P_a=1 P_b=two 'PLAIN=1-$(NONE)-$(P_a)' ONE=two PW=hush NAME=env "IP=$(pod_field env .status.podIP)" MEM=32 HOSTNAME=env; do
    grep -qxF -- "$line" "$BATS_TEST_TMPDIR/env" || { echo "no $line"; cat "$BATS_TEST_TMPDIR/env"; return 1; }
  done
  ! grep -q GONE "$BATS_TEST_TMPDIR/env"
}

@test "a missing ConfigMap holds the container back until it is there" {
  pod nocm <<<'envFrom: [{configMapRef: {name: late-cm}}]'
  retry 10 waits_for nocm CreateContainerConfigError
  pod_field nocm '.status.containerStatuses[0].state.waiting.message' | grep -q 'configmap "late-cm" not found'
  make configmap late-cm --from-literal=a=1
  retry 20 phase_is nocm Running
}

@test "command and args: both, either, expanded" {
  pod args 'restartPolicy: Never' <<<'command: [echo]
args: ["$(A)", "$(B)", "$$(A)"]
env: [{name: A, value: one}]'
  pod onlyargs 'restartPolicy: Never' <<<'args: [echo, by, the, entrypoint]'
  retry 15 phase_is args Succeeded
  retry 15 phase_is onlyargs Succeeded
  [ "$(k logs args)" = 'one $(B) $(A)' ]
  [ "$(k logs onlyargs)" = 'by the entrypoint' ]
}

@test "ConfigMap, Secret and downward API volumes; a change arrives" {
  make configmap vol-cm --from-literal=a=1 --from-literal=b=2
  make secret generic vol-sec --from-literal=pw=hush
  pod vols 'volumes:' '- {name: cm, configMap: {name: vol-cm}}' \
    '- {name: some, configMap: {name: vol-cm, items: [{key: b, path: deep/er, mode: 256}]}}' \
    '- {name: sec, secret: {secretName: vol-sec, defaultMode: 256}}' \
    '- {name: down, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}' \
    '- {name: all, projected: {sources: [{configMap: {name: vol-cm}}, {secret: {name: vol-sec}}]}}' \
    <<<"$(sh_command 'sleep 1000')
volumeMounts:
- {name: cm, mountPath: /cm}
- {name: some, mountPath: /some}
- {name: sec, mountPath: /sec}
- {name: down, mountPath: /down}
- {name: all, mountPath: /all}
- {name: cm, mountPath: /one/file, subPath: a}"
  retry 10 phase_is vols Running
  in_pod vols 'cat /cm/a /cm/b /some/deep/er /sec/pw /all/a /all/pw /one/file' >"$BATS_TEST_TMPDIR/out"
  [ "$(cat "$BATS_TEST_TMPDIR/out")" = 122hush1hush1 ]
  [ "$(in_pod vols 'stat -Lc %a /sec/pw /some/deep/er' | xargs)" = '400 400' ]
  in_pod vols 'grep -q " /sec tmpfs" /proc/mounts && ! touch /cm/x 2>/dev/null'
  in_pod vols 'cat /down/labels' | grep -q 'app="vols"'
  make configmap vol-cm --from-literal=a=changed --from-literal=c=3
  k label pod vols extra=yes >/dev/null # a look at the pod's labels is a look at its volumes
  retry 10 in_pod vols 'grep -q changed /cm/a && [ ! -e /cm/b ] && grep -q 3 /cm/c && grep -q extra= /down/labels'
  in_pod vols 'grep -q 1 /one/file' # a subPath stays what it was
}

whoami() { # TOKEN - what the API takes its bearer for
  k --kubeconfig /dev/null --server "https://127.0.0.1:$API_PORT" --certificate-authority "$DATA/pki/ca.crt" --token "$1" \
    auth whoami -o "jsonpath={.status.userInfo.username} {.status.userInfo.extra['authentication\.kubernetes\.io/pod-name'][0]}"
}

@test "a pod's token is believed by the API as long as the pod is there" {
  local token
  pod sailor 'volumes:' '- {name: t, projected: {sources: [{serviceAccountToken: {path: api}},' \
    '    {serviceAccountToken: {path: other, audience: other, expirationSeconds: 600}}]}}' <<<"$(sh_command 'sleep 1000')
volumeMounts: [{name: t, mountPath: /tokens}]"
  retry 10 phase_is sailor Running
  token=$(in_pod sailor 'cat /tokens/api')
  [ "$(whoami "$token")" = 'system:serviceaccount:default:default sailor' ]
  refuses Unauthorized whoami "$(in_pod sailor 'cat /tokens/other')"
  k delete pod sailor --grace-period=0 --force
  refuses Unauthorized whoami "$token"
}

# Runs a command in the first process' mounts of the pod's container: no exec through the API is needed for that.
in_pod() { # POD COMMAND
  local pid
  pid=$(pod_pid "$1")
  nsenter -t "$pid" -m -p -r -w sh -c "$2"
}

pod_pid() { # POD
  local id
  id=$(pod_field "$1" '.status.containerStatuses[0].containerID')
  crun --root "/run/$INSTANCE/crun" state "${id#crun://}" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'
}

@test "emptyDir, in memory too, hostPath and subPath" {
  echo from-host >"$BATS_FILE_TMPDIR/host/file"
  pod dirs 'securityContext: {fsGroup: 4242}' 'volumes:' '- {name: e, emptyDir: {}}' '- {name: m, emptyDir: {medium: Memory, sizeLimit: 1Mi}}' \
    "- {name: h, hostPath: {path: $BATS_FILE_TMPDIR/host, type: Directory}}" \
    "- {name: made, hostPath: {path: $BATS_FILE_TMPDIR/host/made, type: DirectoryOrCreate}}" \
    <<<"$(sh_command 'echo x > /e/f; echo y > /sub/g; sleep 1000')
volumeMounts:
- {name: e, mountPath: /e}
- {name: e, mountPath: /sub, subPath: one/two}
- {name: m, mountPath: /m}
- {name: h, mountPath: /h, readOnly: true}
- {name: made, mountPath: /made}"
  retry 10 phase_is dirs Running
  retry 5 in_pod dirs '[ "$(cat /e/one/two/g)" = y ]'
  in_pod dirs '[ "$(cat /h/file)" = from-host ] && ! touch /h/x 2>/dev/null && touch /made/x'
  in_pod dirs 'grep -q " /m tmpfs.*size=1024k" /proc/mounts && [ "$(stat -c %g /e)" = 4242 ]'
  [ -f "$BATS_FILE_TMPDIR/host/made/x" ]
}

@test "a subPath cannot leave its volume through a link" {
  pod escape 'volumes: [{name: e, emptyDir: {}}]' 'restartPolicy: Never' 'initContainers:' \
    '- {name: i, image: "caravel/demo:1", command: [ln, -s, /, /e/out], volumeMounts: [{name: e, mountPath: /e}]}' \
    <<<"$(sh_command 'ls /sub; echo listed')
volumeMounts: [{name: e, mountPath: /sub, subPath: out/etc}]"
  retry 15 phase_is escape Succeeded
  [ "$(k logs escape)" = listed ]
}

@test "volumes that are not there: the pod waits and says why" {
  pod novol 'volumes: [{name: v, configMap: {name: nowhere}}]' </dev/null
  pod oddvol 'volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]' </dev/null
  retry 10 event_of novol 'configmap "nowhere" not found'
  waits_for novol ContainerCreating
  phase_is oddvol Pending || phase_is oddvol Running
}

@test "restart policies: Always crashes in a loop, OnFailure and Never end" {
  pod always <<<"$(sh_command 'echo try; exit 1')"
  pod onfailure 'restartPolicy: OnFailure' <<<"$(sh_command 'exit 0')"
  pod never 'restartPolicy: Never' <<<"$(sh_command 'exit 7')"
  retry 15 waits_for always CrashLoopBackOff
  phase_is always Running
  field_is always '.status.containerStatuses[0].lastState.terminated.exitCode' 1
  [ "$(pod_field always '.status.containerStatuses[0].restartCount')" -ge 1 ]
  retry 10 event_of always 'Back-off restarting failed container'
  retry 10 phase_is onfailure Succeeded
  retry 10 phase_is never Failed
  field_is never '.status.containerStatuses[0].state.terminated.exitCode' 7
  k get pod always | grep -q CrashLoopBackOff
}

@test "out of memory is told as such" {
  pod oom 'restartPolicy: Never' <<<"$(sh_command 'tail /dev/zero')
resources: {limits: {memory: 16Mi}}"
  retry 20 phase_is oom Failed
  field_is oom '.status.containerStatuses[0].state.terminated.reason' OOMKilled
  field_is oom '.status.containerStatuses[0].state.terminated.exitCode' 137
}

@test "termination messages: the file, or the end of the log" {
  pod message 'restartPolicy: Never' <<<"$(sh_command 'echo because > /dev/termination-log; exit 1')"
  pod fallback 'restartPolicy: Never' <<<"$(sh_command 'echo last words; exit 1')
terminationMessagePolicy: FallbackToLogsOnError"
  retry 10 phase_is message Failed
  retry 10 phase_is fallback Failed
  pod_field message '.status.containerStatuses[0].state.terminated.message' | grep -q because
  pod_field fallback '.status.containerStatuses[0].state.terminated.message' | grep -q 'last words'
}

@test "liveness restarts, readiness turns, startup holds the others back" {
  pod live <<<"$(sh_command 'sleep 1000')
livenessProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 1}"
  pod ready <<<"$(sh_command 'touch /tmp/ok; sleep 1000')
readinessProbe: {exec: {command: [cat, /tmp/ok]}, periodSeconds: 1, failureThreshold: 1}"
  pod startup <<<"$(sh_command 'sleep 2; touch /tmp/up; sleep 1000')
startupProbe: {exec: {command: [cat, /tmp/up]}, periodSeconds: 1, failureThreshold: 30}
livenessProbe: {exec: {command: ['true']}, periodSeconds: 1}"
  retry 10 ready_is ready True
  in_pod ready 'rm /tmp/ok'
  retry 10 ready_is ready False
  in_pod ready 'touch /tmp/ok'
  retry 10 ready_is ready True
  field_is ready '.status.containerStatuses[0].restartCount' 0
  retry 15 field_is startup '.status.containerStatuses[0].started' true
  field_is startup '.status.containerStatuses[0].restartCount' 0
  retry 20 sh -c '[ "$(kubectl get pod live -o jsonpath="{.status.containerStatuses[0].restartCount}")" -ge 1 ]'
  retry 5 event_of live 'Liveness probe failed'
}

@test "HTTP and TCP probes reach the pod" {
  pod http <<<'readinessProbe: {httpGet: {path: /, port: web}, periodSeconds: 1}
livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
ports: [{name: web, containerPort: 8080}]'
  retry 10 ready_is http True
}

@test "postStart and preStop run; SIGTERM comes after preStop" {
  pod hooks 'volumes:' "- {name: h, hostPath: {path: $BATS_FILE_TMPDIR/host}}" \
    <<<"$(sh_command 'trap "echo term >> /h/hooks; exit 0" TERM; while :; do sleep 0.1; done')
volumeMounts: [{name: h, mountPath: /h}]
lifecycle:
  postStart: {exec: {command: [sh, -c, 'echo post >> /h/hooks']}}
  preStop: {exec: {command: [sh, -c, 'sleep 0.5; echo pre >> /h/hooks']}}"
  retry 10 phase_is hooks Running
  k delete pod hooks --wait=true >/dev/null
  [ "$(cat "$BATS_FILE_TMPDIR/host/hooks")" = $'post\npre\nterm' ]
}

@test "a graceful stop shows in the log before the end; grace 0 does not wait" {
  pod polite <<<"$(sh_command 'trap "echo got TERM; sleep 1; exit 0" TERM; while :; do sleep 0.1; done')"
  retry 10 phase_is polite Running
  k delete pod polite --wait=false >/dev/null
  retry 5 logs_have polite 'got TERM'
  retry 10 sh -c '! kubectl get pod polite >/dev/null 2>&1'
  pod stubborn <<<"$(sh_command 'trap "" TERM; while :; do sleep 0.1; done')"
  retry 10 phase_is stubborn Running
  local pid begun
  pid=$(pod_pid stubborn)
  k delete pod stubborn --grace-period=0 --force >/dev/null 2>&1
  retry 3 sh -c "! kill -0 $pid 2>/dev/null"
}

@test "activeDeadlineSeconds ends a pod" {
  pod deadline 'activeDeadlineSeconds: 1' 'restartPolicy: Never' <<<"$(sh_command 'sleep 1000')"
  retry 15 phase_is deadline Failed
  field_is deadline .status.reason DeadlineExceeded
}

@test "images: missing, unreachable, forbidden to pull, misnamed" {
  pod unreachable <<<'imagePullPolicy: Always'
  k get pod unreachable -o name >/dev/null
  printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: noimage}\nspec: {containers: [{name: c, image: "localhost:1/none:1"}]}\n' | k apply -f - >/dev/null
  printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: nopull}\nspec: {containers: [{name: c, image: "none:1", imagePullPolicy: Never}]}\n' | k apply -f - >/dev/null
  printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: badname}\nspec: {containers: [{name: c, image: "Bad:::x"}]}\n' | k apply -f - >/dev/null
  retry 10 event_of noimage 'Error: ErrImagePull'
  retry 10 waits_for noimage ImagePullBackOff
  pod_field noimage '.status.containerStatuses[0].state.waiting.message' | grep -q 'localhost'
  event_of noimage 'Failed to pull image "localhost:1/none:1"'
  retry 10 waits_for nopull ErrImageNeverPull
  retry 10 waits_for badname InvalidImageName
}

@test "users, groups and rights" {
  pod user 'restartPolicy: Never' 'securityContext: {runAsUser: 1234, runAsGroup: 4321, supplementalGroups: [77], runAsNonRoot: true}' \
    <<<"$(sh_command 'id -u; id -g; id -G; touch /x 2>&1 || echo refused; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status')
securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"
  pod root <<<'securityContext: {runAsNonRoot: true}'
  retry 10 phase_is user Succeeded
  k logs user >"$BATS_TEST_TMPDIR/out"
  [ "$(sed -n 1,2p "$BATS_TEST_TMPDIR/out" | xargs)" = '1234 4321' ]
  grep -q 77 "$BATS_TEST_TMPDIR/out"
  grep -q 'Read-only file system' "$BATS_TEST_TMPDIR/out"
  grep -q 'CapEff:.0000000000000000' "$BATS_TEST_TMPDIR/out"
  grep -q 'NoNewPrivs:.1' "$BATS_TEST_TMPDIR/out"
  retry 10 waits_for root CreateContainerConfigError
}

@test "hostNetwork, hosts file, hostname" {
  pod hostnet 'hostNetwork: true' 'restartPolicy: Never' <<<"$(sh_command 'readlink /proc/self/ns/net')"
  pod names 'restartPolicy: Never' 'hostname: me' 'hostAliases: [{ip: 10.9.8.7, hostnames: [far.example]}]' \
    <<<"$(sh_command 'hostname; cat /etc/hosts')"
  retry 10 phase_is hostnet Succeeded
  retry 10 phase_is names Succeeded
  [ "$(k logs hostnet)" = "$(readlink /proc/self/ns/net)" ]
  [ "$(pod_field hostnet .status.podIP)" = "$(pod_field hostnet .status.hostIP)" ]
  k logs names | head -1 | grep -qx me
  k logs names | grep -q "$(pod_field names .status.podIP).me"
  k logs names | grep -q '10.9.8.7.far.example'
}

@test "logs: previous, tail, since, timestamps, follow" {
  pod lines <<<"$(sh_command 'echo run; for i in 1 2 3 4 5; do echo line $i; done; sleep 2; echo end; sleep 1000')"
  retry 10 logs_have lines 'line 5'
  [ "$(k logs lines --tail=2 | head -1)" = 'line 4' ] || [ "$(k logs lines --tail=2 | head -1)" = 'line 5' ]
  k logs lines --timestamps | head -1 | grep -Eq '^20[0-9-]+T[0-9:.]+Z run$'
  k logs lines --since=1h | grep -qx run
  [ -z "$(k logs lines --since-time="$(date -u -d '+1 hour' +%FT%TZ)")" ]
  timeout 10 kubectl logs -f lines >"$BATS_TEST_TMPDIR/follow" 2>/dev/null 3>&- &
  retry 10 grep -qx end "$BATS_TEST_TMPDIR/follow"
  kill -9 "$(pod_pid lines)"
  retry 5 field_is lines '.status.containerStatuses[0].restartCount' 1
  retry 5 sh -c 'kubectl logs lines --previous | grep -qx end'
  retry 5 logs_have lines run
}

@test "a killed container is back at once and counted" {
  pod back <<<"$(sh_command 'sleep 1000')"
  retry 10 phase_is back Running
  local old
  old=$(pod_pid back)
  kill -9 "$old"
  retry 5 field_is back '.status.containerStatuses[0].restartCount' 1
  retry 5 sh -c '[ -n "$(kubectl get pod back -o jsonpath="{.status.containerStatuses[0].state.running.startedAt}")" ]'
  field_is back '.status.containerStatuses[0].lastState.terminated.exitCode' 137
  [ "$(pod_pid back)" != "$old" ]
}

@test "the agent dies and comes back: containers stay, ready pods stay ready" {
  pod stay <<<'readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}'
  retry 10 ready_is stay True
  local pid since agent
  pid=$(pod_pid stay)
  since=$(pod_field stay '.status.conditions[?(@.type=="Ready")].lastTransitionTime')
  agent=$(child_pid agent)
  kill -9 "$agent"
  retry 20 sh -c '[ -n "$(pgrep -P '"$(cat "$DATA/up.lock")"' -f "caravel agent")" ] && [ "$(pgrep -P '"$(cat "$DATA/up.lock")"' -f "caravel agent")" != '"$agent"' ]'
  pod after <<<"$(sh_command 'sleep 1000')"
  retry 20 phase_is after Running
  [ "$(pod_pid stay)" = "$pid" ]
  kill -0 "$pid"
  field_is stay '.status.containerStatuses[0].restartCount' 0
  ready_is stay True
  [ "$(pod_field stay '.status.conditions[?(@.type=="Ready")].lastTransitionTime')" = "$since" ]
}

@test "a pod that goes while no agent runs is cleaned up by the next one" {
  pod orphan 'volumes: [{name: m, emptyDir: {medium: Memory}}]' <<<"$(sh_command 'sleep 1000')
volumeMounts: [{name: m, mountPath: /m}]"
  retry 10 phase_is orphan Running
  local pid agent
  pid=$(pod_pid orphan)
  agent=$(child_pid agent)
  kill -STOP "$agent"
  k delete pod orphan --grace-period=0 --force >/dev/null 2>&1
  kill -9 "$agent"
  retry 20 sh -c "! kill -0 $pid 2>/dev/null"
  retry 20 sh -c "! grep -q ' $DATA/pods/' /proc/self/mountinfo"
}

@test "nothing of deleted pods is left" {
  pod traces 'volumes:' '- {name: m, emptyDir: {medium: Memory}}' '- {name: s, secret: {secretName: trace-sec, optional: true}}' \
    <<<'volumeMounts:
- {name: m, mountPath: /m}
- {name: m, mountPath: /n, subPath: deep}
- {name: s, mountPath: /s}'
  retry 10 phase_is traces Running
  [ -n "$(pod_traces)" ]
  k delete pod --all --wait=true >/dev/null
  retry 10 no_traces
}

no_traces() { local left; left=$(pod_traces); [ -z "$left" ] || { echo "$left"; return 1; }; }

@test "nothing of the instance is left" {
  cluster_down
  diff "$BATS_FILE_TMPDIR/before" <(snapshot)
}
