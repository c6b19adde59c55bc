#!/usr/bin/env bats
# debug.bats - ephemeral containers: added to a running pod, never started again.

load helpers

POD=/api/v1/namespaces/default/pods/web

setup_file() {
  cluster_up e2e-debug-$$
  demo_image
  demo_pod web | k apply -f -
  k wait --for=condition=Ready pod/web --timeout=60s ||
    { k get events; cat "$DATA/caravel.log"; return 1; } >&2
}

teardown_file() {
  cluster_down
}

ended() { # NAME - the reason and the exit code of an ephemeral container
  k get pod web -o jsonpath="{.status.ephemeralContainerStatuses[?(@.name==\"$1\")].state.terminated.reason} \
{.status.ephemeralContainerStatuses[?(@.name==\"$1\")].state.terminated.exitCode}"
}

patch() { # KIND JSON
  curl --silent --show-error --max-time 30 --cacert "$DATA/pki/ca.crt" --cert "$DATA/pki/admin.crt" \
    --key "$DATA/pki/admin.key" --user-agent tests --request PATCH --header "Content-Type: application/$1-patch+json" --data "$2" \
    "https://127.0.0.1:$API_PORT$POD/ephemeralcontainers"
}

add() { # JSON-OF-CONTAINER
  patch strategic-merge "{\"spec\":{\"ephemeralContainers\":[$1]}}"
}

@test "kubectl debug: output, exit code, logs" {
  k debug web --image=caravel/demo:1 --container=look -- sh -c 'echo seen; exit 3'
  retry 30 is "Error 3" ended look
  is seen k logs web -c look
  is "true" k get pod web -o jsonpath='{.status.containerStatuses[0].ready}'
  is 0 k get pod web -o jsonpath='{.status.ephemeralContainerStatuses[0].restartCount}'
  is Running pod_field web .status.phase
}

@test "kubectl debug -it with a target sees its processes" {
  local got
  got=$( (sleep 2; echo 'ps; exit') | timeout 60 script -qec \
    "kubectl debug -it web --image=caravel/demo:1 --target=main --container=target -- sh" /dev/null | tr -d '\r')
  [[ $got == *httpd* ]] || { echo "$got"; return 1; }
  retry 30 has Completed ended target
}

@test "without a target it sees its own alone; exec and attach" {
  k debug web --image=caravel/demo:1 --container=alone -- sh -c 'while sleep 1; do echo tick; done'
  retry 30 has running k get pod web \
    -o jsonpath='{.status.ephemeralContainerStatuses[?(@.name=="alone")].state}'
  run k exec web -c alone -- ps
  [[ $output != *httpd* && $output == *sleep* ]]
  run timeout 5 kubectl attach web -c alone
  [[ $output == *tick* ]]
}

@test "only additions, and only what is temporary" {
  has "may not be changed" add '{"name":"look","image":"caravel/demo:2"}'
  has 'Duplicate value: ..main' add '{"name":"main","image":"caravel/demo:1"}'
  has 'targetContainerName: Not found' add '{"name":"x","image":"caravel/demo:1","targetContainerName":"nope"}'
  has 'ports: Forbidden: cannot be set for an Ephemeral Container' \
    add '{"name":"x","image":"caravel/demo:1","ports":[{"containerPort":80}]}'
  has 'image: Required value' add '{"name":"x"}'
  run api PUT "$POD/ephemeralcontainers" --data '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{}}'
  [[ $output == *"may not be removed"*422 ]] || { echo "$output"; return 1; }
  run api POST /api/v1/namespaces/default/pods --data '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"early"},
    "spec":{"containers":[{"name":"a","image":"x"}],"ephemeralContainers":[{"name":"b","image":"x"}]}}'
  [[ $output == *"cannot be set on create"*422 ]] || { echo "$output"; return 1; }
}

@test "nothing else changes through the subresource" {
  has '"kind":"Pod"' patch merge '{"metadata":{"labels":{"new":"1"}},"spec":{"activeDeadlineSeconds":5}}'
  is "" pod_field web .metadata.labels.new
  is "" pod_field web .spec.activeDeadlineSeconds
}

@test "an image that is not there waits; the pod goes on" {
  k debug web --image=caravel/absent:1 --image-pull-policy=Never --container=absent -- true
  retry 30 has ErrImageNeverPull k get pod web \
    -o jsonpath='{.status.ephemeralContainerStatuses[?(@.name=="absent")].state.waiting.reason}'
  is True k get pod web -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}'
}

@test "an agent that starts again does not start them again" {
  kill "$(child_pid agent)"
  retry 30 k exec web -c main -- true
  is "Error 3" ended look
  is seen k logs web -c look
}

@test "the pod goes with them" {
  k delete pod web --timeout=60s
  run k get pod web
  [[ $output == *"not found"* ]]
}
