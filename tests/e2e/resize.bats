#!/usr/bin/env bats
# resize.bats - a running pod is given more or less cpu and memory.

load helpers

PODS=/api/v1/namespaces/default/pods

setup_file() {
  cluster_up e2e-resize-$$
  demo_image
  pod web NotRequired | k apply -f -
  pod again RestartContainer | k apply -f -
  k wait --for=condition=Ready pod --all --timeout=60s ||
    { k get events; cat "$DATA/caravel.log"; return 1; } >&2
}

teardown_file() {
  cluster_down
}

pod() { # NAME POLICY-OF-MEMORY
  demo_pod "$1"
  cat <<YAML
    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}
    resizePolicy:
    - {resourceName: cpu, restartPolicy: NotRequired}
    - {resourceName: memory, restartPolicy: $2}
YAML
}

resize() { # POD RESOURCES-AS-JSON
  curl --silent --show-error --max-time 30 --cacert "$DATA/pki/ca.crt" --cert "$DATA/pki/admin.crt" \
    --key "$DATA/pki/admin.key" --user-agent tests --request PATCH --header "Content-Type: application/strategic-merge-patch+json" \
    --data "{\"spec\":{\"containers\":[{\"name\":\"main\",\"resources\":$2}]}}" \
    "https://127.0.0.1:$API_PORT$PODS/$1/resize"
}

# What the kernel allows the container: cpu in thousandths, memory in bytes.
limits() { # POD
  k exec "$1" -- sh -c 'cd /sys/fs/cgroup
    if [ -e cpu.max ]; then set -- $(cat cpu.max); echo $(($1 * 1000 / $2)) $(cat memory.max)
    else echo $(($(cat cpu/cpu.cfs_quota_us) / 100)) $(cat memory/memory.limit_in_bytes); fi'
}

has_now() { # POD JSON-OF-LIMITS
  is "$2" k get pod "$1" -o jsonpath='{.status.containerStatuses[0].resources.limits}'
}

condition() { # POD TYPE
  k get pod "$1" -o jsonpath="{.status.conditions[?(@.type==\"$2\")].reason}"
}

@test "what a container has is in its status" {
  has_now web '{"cpu":"200m","memory":"64Mi"}'
  is '{"cpu":"100m","memory":"32Mi"}' k get pod web -o jsonpath='{.status.containerStatuses[0].allocatedResources}'
  is 0 k get pod web -o jsonpath='{.status.containerStatuses[0].user.linux.uid}'
  is "200 67108864" limits web
}

@test "more, without a restart" {
  local id
  id=$(pod_field web .status.containerStatuses[0].containerID)
  has '"generation":2' resize web '{"requests":{"cpu":"150m"},"limits":{"cpu":"300m","memory":"96Mi"}}'
  retry 30 has_now web '{"cpu":"300m","memory":"96Mi"}'
  is "300 100663296" limits web
  is "$id" pod_field web .status.containerStatuses[0].containerID
  is 0 pod_field web .status.containerStatuses[0].restartCount
  is "" condition web PodResizePending
}

@test "less cpu, without a restart" {
  has '"kind":"Pod"' resize web '{"requests":{"cpu":"50m"},"limits":{"cpu":"60m"}}'
  retry 30 has_now web '{"cpu":"60m","memory":"96Mi"}'
  is "60 100663296" limits web
  has '"kind":"Pod"' resize web '{"requests":{"cpu":"100m"},"limits":{"cpu":"200m"}}'
  retry 30 has_now web '{"cpu":"200m","memory":"96Mi"}'
}

@test "with a restart where the policy wants one" {
  has '"kind":"Pod"' resize again '{"limits":{"cpu":"250m"}}'
  retry 30 has_now again '{"cpu":"250m","memory":"64Mi"}'
  is 0 pod_field again .status.containerStatuses[0].restartCount
  has '"kind":"Pod"' resize again '{"limits":{"memory":"48Mi"}}'
  retry 60 is 1 pod_field again .status.containerStatuses[0].restartCount
  retry 30 has_now again '{"cpu":"250m","memory":"48Mi"}'
  is "250 50331648" limits again
  k wait --for=condition=Ready pod/again --timeout=60s
}

@test "what the node can never give, and what it cannot give now" {
  local cpus room
  cpus=$(k get node node-a -o jsonpath='{.status.allocatable.cpu}')
  has '"kind":"Pod"' resize web "{\"requests\":{\"cpu\":\"$((cpus + 1))\"},\"limits\":{\"cpu\":\"$((cpus + 1))\"}}"
  retry 30 is Infeasible condition web PodResizePending
  has_now web '{"cpu":"200m","memory":"96Mi"}'
  has "enough capacity: cpu" k get pod web -o jsonpath='{.status.conditions[?(@.type=="PodResizePending")].message}'
  has '"kind":"Pod"' resize web "{\"requests\":{\"cpu\":\"$cpus\"},\"limits\":{\"cpu\":\"$cpus\"}}"
  retry 30 is Deferred condition web PodResizePending
  # when the other pod goes, there is room
  k delete pod again --timeout=60s
  retry 60 has_now web "{\"cpu\":\"$cpus\",\"memory\":\"96Mi\"}"
  retry 30 is "" condition web PodResizePending
}

@test "an agent that starts again changes nothing" {
  local id
  id=$(pod_field web .status.containerStatuses[0].containerID)
  kill "$(child_pid agent)"
  has '"kind":"Pod"' resize web '{"requests":{"cpu":"100m"},"limits":{"cpu":"400m"}}'
  retry 60 has_now web '{"cpu":"400m","memory":"96Mi"}'
  is "$id" pod_field web .status.containerStatuses[0].containerID
  is "400 100663296" limits web
}

@test "what a resize may not do" {
  has 'memory limits cannot be decreased unless resizePolicy is RestartContainer' resize web '{"limits":{"memory":"8Mi"}}'
  has 'Pod QOS Class may not change' \
    resize web '{"requests":{"cpu":"400m","memory":"96Mi"},"limits":{"cpu":"400m","memory":"96Mi"}}'
}
