#!/usr/bin/env bats
# logs.bats - a container's log with every option there is.

load helpers

LOG=/api/v1/namespaces/default/pods/lines/log

setup_file() {
  cluster_up e2e-logs-$$
  demo_image
  demo_pod lines sh -c 'for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done; while :; do sleep 100000; done' | k apply -f -
  pods | k apply -f -
  k wait --for=condition=Ready pod/lines pod/two --timeout=60s ||
    { k get events; cat "$DATA/caravel.log"; return 1; } >&2
  retry 30 has 'err 5' k logs lines
}

teardown_file() {
  cluster_down
}

pods() {
  demo_pod two sh -c 'echo first; sleep 100000'
  printf '  - {name: other, image: "caravel/demo:1", command: [sh, -c, "echo second; sleep 100000"]}\n---\n'
  demo_pod again sh -c 'echo run; [ -e /data/one ] && sleep 100000; touch /data/one; exit 3'
  printf '    volumeMounts: [{name: data, mountPath: /data}]\n  volumes: [{name: data, emptyDir: {}}]\n---\n'
  demo_pod waiting true | sed 's/^    image:.*/    image: caravel\/absent:1\n    imagePullPolicy: Never/'
}

@test "tail, limit, since, time stamps" {
  is 2 sh -c 'kubectl logs lines --tail=2 | wc -l'
  is "" k logs lines --tail=0
  has '^(out|err) 1$' kubectl logs lines --limit-bytes=5
  is 10 sh -c 'kubectl logs lines --since=1h | wc -l'
  is 1 sh -c 'kubectl logs lines --since=1h --tail=1 | wc -l'
  is "" k logs lines --since-time=2100-01-01T00:00:00Z
  is 10 sh -c 'kubectl logs lines --since-time=2000-01-01T00:00:00Z | wc -l'
  is 10 sh -c 'kubectl logs lines --timestamps | grep -Ec "^20[0-9-]+T[0-9:.]+Z (out|err) [1-5]$"'
  is 10 sh -c 'kubectl logs lines --insecure-skip-tls-verify-backend | wc -l'
}

@test "several containers" {
  is second k logs two -c other
  has $'first' k logs two
  is $'[pod/two/main] first\n[pod/two/other] second' sh -c 'kubectl logs two --all-containers --prefix | sort'
  run api GET "/api/v1/namespaces/default/pods/two/log"
  [[ $output == *"a container name must be specified for pod two, choose one of: [main other]"*400 ]]
  refuses "container nope is not valid for pod two" k logs two -c nope
}

@test "previous ones, and those that wait" {
  retry 60 is run k logs again --previous
  retry 60 is 1 pod_field again .status.containerStatuses[0].restartCount
  is run k logs again --previous
  refuses 'previous terminated container "main" in pod "lines" not found' k logs lines --previous
  retry 30 has ErrImageNeverPull pod_field waiting .status.containerStatuses[0].state.waiting.reason
  refuses 'container "main" in pod "waiting" is waiting to start: ErrImageNeverPull' k logs waiting
}

@test "what cannot be asked for" {
  has 'tailLines: Invalid value: -1' api GET "$LOG?tailLines=-1"
  has 'at most one of .sinceTime. or .sinceSeconds. may be specified' \
    api GET "$LOG?sinceSeconds=1&sinceTime=2000-01-01T00:00:00Z"
  has 'stream: Forbidden' api GET "$LOG?stream=Stdout"
}

@test "following goes on while the log is rotated, and ends with the container" {
  local pid
  demo_pod loud sh -c 'i=0; p=$(printf %01000d 0); while [ ! -e /tmp/stop ]; do i=$((i + 1)); echo $i $p; done; echo end $i' | k apply -f -
  k wait --for=condition=Ready pod/loud --timeout=60s
  kubectl logs -f loud >"$BATS_TEST_TMPDIR/loud" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
  pid=$!
  retry 90 sh -c "ls $DATA/logs/*loud*/main/ | grep -q '0.log.'"
  k exec loud -- touch /tmp/stop || true # the container may end before the command that has it end
  wait "$pid" || { cat "$BATS_TEST_TMPDIR/err"; return 1; }
  # every line once, in order
  is "" sh -c "awk '/^[0-9]/ { if (\$1 != NR) { print NR; exit } }' $BATS_TEST_TMPDIR/loud"
  has '^end [0-9]+$' tail -1 "$BATS_TEST_TMPDIR/loud"
}
