#!/usr/bin/env bats
# deployment.bats - Deployments, ReplicaSets, garbage collection and the scheduler's choices, with real pods.

load helpers

setup_file() {
  cluster_up e2e-deploy-$$
  demo_image
}

teardown_file() {
  cluster_down
}

# deployment NAME REPLICAS [PATCH] - with a readiness probe and fast endings
deployment() {
  cat <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1}
spec:
  replicas: $2
  revisionHistoryLimit: 2
  ${3:-minReadySeconds: 0}
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: caravel/demo:1
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
YAML
}

field() { # KIND/NAME JSONPATH
  k get "$1" -o jsonpath="{$2}"
}

pods_of() { # APP - names, sorted
  k get pods -l "app=$1" -o name | sort
}

owners() { # KIND/NAME
  field "$1" '.metadata.ownerReferences[*].name'
}

@test "a Deployment comes up, and its status tells so" {
  deployment web 3 | k apply -f -
  k rollout status deployment/web --timeout=60s
  is "3 3 3 3" field deployment/web '.status.replicas}{" "}{.status.readyReplicas}{" "}{.status.availableReplicas}{" "}{.status.updatedReplicas'
  is "True True" field deployment/web '.status.conditions[?(@.type=="Available")].status}{" "}{.status.conditions[?(@.type=="Progressing")].status'
  is 1 field deployment/web '.metadata.annotations.deployment\.kubernetes\.io/revision'
  has "web +3/3 +3 +3" k get deployment web
  has "^web-[0-9a-z]+$" field "$(k get replicasets -l app=web -o name)" .metadata.name
}

@test "a deleted pod is replaced" {
  local victim
  victim=$(pods_of web | head -1)
  k delete "$victim" --wait=false
  replaced() { [ "$(pods_of web | wc -l)" -eq 3 ] && ! pods_of web | grep -q "^$victim\$" && field deployment/web .status.readyReplicas; }
  retry 60 is 3 replaced
}

@test "scaling up, down, to nothing and back" {
  k scale deployment/web --replicas=5
  retry 60 is 5 field deployment/web .status.readyReplicas
  k scale deployment/web --replicas=1 --current-replicas=5
  count() { pods_of web | wc -l; }
  retry 60 is 1 count
  refuses "Expected replicas to be 7" k scale deployment/web --replicas=2 --current-replicas=7
  k scale deployment/web --replicas=0
  retry 60 is 0 count
  k scale deployment/web --replicas=3
  k rollout status deployment/web --timeout=60s
}

@test "a rolling update never falls below its floor nor rises above its ceiling" {
  deployment roll 4 'strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}' | k apply -f -
  k rollout status deployment/roll --timeout=60s
  python3 - "$API_PORT" "$DATA" >"$BATS_TEST_TMPDIR/poll" 2>&1 3>&- 4>&- <<'PY' &
import http.client, json, ssl, sys, time
port, data = int(sys.argv[1]), sys.argv[2]
tls = ssl.create_default_context(cafile=f"{data}/pki/ca.crt")
tls.load_cert_chain(f"{data}/pki/admin.crt", f"{data}/pki/admin.key")
connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=20)
low, high, polls = 99, 0, 0
while True:
    connection.request("GET", "/api/v1/namespaces/default/pods?labelSelector=app%3Droll")
    pods = [p for p in json.loads(connection.getresponse().read())["items"] if "deletionTimestamp" not in p["metadata"]]
    ready = sum(any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", [])) for p in pods)
    low, high, polls = min(low, ready), max(high, len(pods)), polls + 1
    print(low, high, polls, flush=True)
    time.sleep(0.01)
PY
  local poller=$! low high polls
  retry 10 grep -q . "$BATS_TEST_TMPDIR/poll"
  k set env deployment/roll ROUND=2
  k rollout status deployment/roll --timeout=90s
  kill $poller
  read -r low high polls < <(tail -1 "$BATS_TEST_TMPDIR/poll")
  echo "ready at least $low, pods at most $high, $polls polls"
  [ "$low" -ge 3 ]
  [ "$high" -le 5 ]
  [ "$polls" -ge 10 ]
  is 2 field deployment/roll '.metadata.annotations.deployment\.kubernetes\.io/revision'
  k delete deployment roll
}

@test "Recreate: the old pods are gone before a new one starts" {
  deployment again 2 'strategy: {type: Recreate}' | k apply -f -
  k rollout status deployment/again --timeout=60s
  local old
  old=$(pods_of again)
  k set env deployment/again ROUND=2
  k rollout status deployment/again --timeout=60s
  [ -z "$(comm -12 <(echo "$old") <(pods_of again))" ]
  k delete deployment again
}

@test "an image that cannot be pulled stalls the rollout; undo brings the old one back" {
  k set image deployment/web main=127.0.0.1:1/nothing:1
  stalled() { k get pods -l app=web -o jsonpath='{.items[*].status.containerStatuses[*].state.waiting.reason}'; }
  retry 60 has "ErrImagePull|ImagePullBackOff" stalled
  # 25 % of 3 may be unavailable: none.
  is 3 field deployment/web .status.availableReplicas
  refuses "timed out" k rollout status deployment/web --timeout=2s
  has "REVISION.*1.*2" k rollout history deployment/web
  has "nothing:1" k rollout history deployment/web --revision=2
  k rollout undo deployment/web
  k rollout status deployment/web --timeout=60s
  is caravel/demo:1 field deployment/web '.spec.template.spec.containers[0].image'
  is 3 field deployment/web '.metadata.annotations.deployment\.kubernetes\.io/revision'
  is 3 field deployment/web .status.readyReplicas
}

@test "the deadline of progress is told" {
  deployment slow 1 'progressDeadlineSeconds: 2' | sed 's|caravel/demo:1|127.0.0.1:1/nothing:1|' | k apply -f -
  retry 40 is "False ProgressDeadlineExceeded" field deployment/slow '.status.conditions[?(@.type=="Progressing")].status}{" "}{.status.conditions[?(@.type=="Progressing")].reason'
  refuses "exceeded its progress deadline" k rollout status deployment/slow --timeout=10s
  k delete deployment slow
}

@test "history keeps as many old ReplicaSets as asked" {
  local i
  for i in 1 2 3 4; do
    k set env deployment/web ROUND=$i
    k rollout status deployment/web --timeout=60s
  done
  old() { k get replicasets -l app=web -o jsonpath='{range .items[?(@.spec.replicas==0)]}{.metadata.name}{"\n"}{end}' | wc -l; }
  retry 30 is 2 old
  k rollout undo deployment/web --to-revision="$(k rollout history deployment/web | awk '/^[0-9]/ {print $1; exit}')"
  k rollout status deployment/web --timeout=60s
}

@test "pause holds changes back, resume lets them go in one rollout" {
  local before
  before=$(field deployment/web '.metadata.annotations.deployment\.kubernetes\.io/revision')
  k rollout pause deployment/web
  k set env deployment/web A=1
  k set env deployment/web B=2
  retry 20 is "$(field deployment/web .metadata.generation)" field deployment/web .status.observedGeneration
  is "$before" field deployment/web '.metadata.annotations.deployment\.kubernetes\.io/revision'
  refuses "paused" k rollout restart deployment/web
  k rollout resume deployment/web
  k rollout status deployment/web --timeout=60s
  is "$((before + 1))" field deployment/web '.metadata.annotations.deployment\.kubernetes\.io/revision'
}

@test "a ReplicaSet adopts pods that fit, lets go of those that no longer do" {
  demo_pod stray | sed 's/app: stray/app: adopt/' | k apply -f -
  k wait --for=condition=Ready pod/stray --timeout=60s
  deployment adopt 2 | sed 's/kind: Deployment/kind: ReplicaSet/; /revisionHistoryLimit/d; /minReadySeconds: 0/d' | k apply -f -
  retry 30 is adopt owners pod/stray
  retry 60 is 2 field replicaset/adopt .status.readyReplicas
  [ "$(pods_of adopt | wc -l)" -eq 2 ]
  k label pod stray app=released --overwrite
  retry 30 is "" owners pod/stray
  retry 60 is 2 field replicaset/adopt .status.readyReplicas
  k delete pod stray
}

@test "deleting with orphans leaves pods, which the next owner takes" {
  local pods
  pods=$(pods_of adopt)
  k delete replicaset adopt --cascade=orphan
  is "$pods" pods_of adopt
  retry 10 is "" owners "$(echo "$pods" | head -1)"
  deployment adopt 2 | sed 's/kind: Deployment/kind: ReplicaSet/; /revisionHistoryLimit/d; /minReadySeconds: 0/d' | k apply -f -
  retry 30 is adopt owners "$(echo "$pods" | head -1)"
  is "$pods" pods_of adopt
}

@test "deleting in the foreground waits for the pods, in the background it does not" {
  k delete replicaset adopt --cascade=foreground --timeout=60s
  is "" pods_of adopt
  k delete deployment web --cascade=background
  refuses 'deployments.apps "web" not found' k get deployment web
  retry 60 is "" k get replicasets -l app=web -o name
  retry 60 is "" pods_of web
}

@test "what has no owner any more is collected" {
  k create configmap owner
  local uid
  uid=$(field configmap/owner .metadata.uid)
  k create configmap owned
  k patch configmap owned -p "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"owner\",\"uid\":\"$uid\"}]}}"
  k delete configmap owner
  k wait --for=delete configmap/owned --timeout=30s
  # An owner of that name, but another uid, is none.
  k create configmap owner
  k create configmap owned
  k patch configmap owned -p "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"owner\",\"uid\":\"$uid\"}]}}"
  k wait --for=delete configmap/owned --timeout=30s
}

scheduling() { # POD - the events that tell why it was not placed
  k get events --field-selector "involvedObject.name=$1,reason=FailedScheduling" -o jsonpath='{.items[*].message}'
}

@test "a pod too large for the node says so, and runs once it fits" {
  demo_pod large | sed 's|image: .*|&\n    resources: {requests: {cpu: "1000"}}|' | k apply -f -
  retry 20 has "0/1 nodes are available: 1 Insufficient cpu" scheduling large
  is "Pending Unschedulable" pod_field large '.status.phase}{" "}{.status.conditions[?(@.type=="PodScheduled")].reason'
  has "large +0/1 +Pending" k get pod large
  k delete pod large
}

@test "node selectors" {
  demo_pod picky | sed 's|^spec:|spec:\n  nodeSelector: {disk: fast}|' | k apply -f -
  retry 20 has "1 node\(s\) didn't match Pod's node affinity/selector" scheduling picky
  k label node node-a disk=fast
  k wait --for=condition=Ready pod/picky --timeout=60s
  k label node node-a disk-
  k delete pod picky
}

@test "taints and tolerations" {
  k taint node node-a crew=only:NoSchedule
  demo_pod stranger | k apply -f -
  demo_pod sailor | sed 's|^spec:|spec:\n  tolerations: [{key: crew, operator: Equal, value: only, effect: NoSchedule}]|' | k apply -f -
  k wait --for=condition=Ready pod/sailor --timeout=60s
  retry 20 has "1 node\(s\) had untolerated taint" scheduling stranger
  k taint node node-a crew-
  k wait --for=condition=Ready pod/stranger --timeout=60s
  # NoExecute drives out those that do not tolerate it.
  k taint node node-a fire=now:NoExecute
  k wait --for=delete pod/stranger pod/sailor --timeout=60s
  k taint node node-a fire-
}

@test "host ports clash" {
  local port
  port=$(free_port)
  hosted() { demo_pod "$1" | sed "s|image: .*|&\n    ports: [{containerPort: 8080, hostPort: $port}]|"; }
  hosted one | k apply -f -
  k wait --for=condition=Ready pod/one --timeout=60s
  hosted two | k apply -f -
  retry 20 has "1 node\(s\) didn't have free ports for the requested pod ports" scheduling two
  k delete pod one
  k wait --for=condition=Ready pod/two --timeout=60s
  k delete pod two
}

@test "cordon keeps new pods away, drain clears the node, uncordon opens it" {
  deployment crew 2 | k apply -f -
  k rollout status deployment/crew --timeout=60s
  demo_pod lone | k apply -f -
  k wait --for=condition=Ready pod/lone --timeout=60s
  k cordon node-a
  has "SchedulingDisabled" k get node node-a
  retry 10 has "node.kubernetes.io/unschedulable" field node/node-a '.spec.taints[*].key'
  demo_pod late | k apply -f -
  retry 20 has "1 node\(s\) (were unschedulable|had untolerated taint)" scheduling late
  refuses "declare no controller" k drain node-a --timeout=30s
  k drain node-a --force --timeout=60s
  refuses 'pods "lone" not found' k get pod lone
  is "" k get pods -o name --field-selector spec.nodeName=node-a
  k uncordon node-a
  k rollout status deployment/crew --timeout=60s
  k wait --for=condition=Ready pod/late --timeout=60s
  k delete deployment crew
}
