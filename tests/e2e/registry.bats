#!/usr/bin/env bats
# registry.bats - images from registries: Debian's docker-registry, once open to all and once behind a password.

load helpers

USER_NAME=sailor
PASSWORD=ahoy-there

# registry_up NAME PORT [AUTH-YAML] - sets no global; its pid goes to $BATS_FILE_TMPDIR/NAME.pid
registry_up() {
  local dir=$BATS_FILE_TMPDIR/$1
  mkdir -p "$dir"
  {
    printf 'version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: %s}}\n' "$dir/data"
    printf 'http: {addr: "127.0.0.1:%s"}\n' "$2"
    [ -z "${3:-}" ] || printf 'auth: %s\n' "$3"
  } >"$dir/config.yml"
  docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 3>&- 4>&- &
  echo $! >"$BATS_FILE_TMPDIR/$1.pid"
  retry 30 curl --silent --show-error --output /dev/null "http://127.0.0.1:$2/v2/"
}

registry_down() {
  [ ! -f "$BATS_FILE_TMPDIR/$1.pid" ] || kill "$(cat "$BATS_FILE_TMPDIR/$1.pid")" || true
}

push() { # IMAGE [SKOPEO-OPTION...]
  local image=$1
  shift
  skopeo copy --quiet --dest-tls-verify=false "$@" "docker-archive:$BATS_FILE_TMPDIR/demo.tar" "docker://$image"
}

setup_file() {
  cluster_up e2e-reg-$$
  export OPEN_PORT CLOSED_PORT OPEN CLOSED
  OPEN_PORT=$(free_port)
  CLOSED_PORT=$(free_port)
  OPEN=127.0.0.1:$OPEN_PORT
  CLOSED=127.0.0.1:$CLOSED_PORT
  "$ROOT/tools/make-demo-image" "$BATS_FILE_TMPDIR/demo.tar" >/dev/null
  htpasswd -Bbn "$USER_NAME" "$PASSWORD" >"$BATS_FILE_TMPDIR/htpasswd"
  registry_up open "$OPEN_PORT"
  registry_up closed "$CLOSED_PORT" "{htpasswd: {realm: harbour, path: $BATS_FILE_TMPDIR/htpasswd}}"
  push "$OPEN/demo:1"
  push "$OPEN/fleet/ships/demo:2"
  push "$CLOSED/demo:1" --dest-creds "$USER_NAME:$PASSWORD"
}

teardown_file() {
  registry_down open
  registry_down closed
  cluster_down
}

pod() { # NAME IMAGE [EXTRA-SPEC-LINE]
  demo_pod "$1" | sed "s|image: .*|image: $2|; s|^spec:|spec:\n  ${3:-restartPolicy: Always}|" | k apply -f -
}

waiting() { # POD - reason and message of the container that waits
  pod_field "$1" '.status.containerStatuses[0].state.waiting.reason}{": "}{.status.containerStatuses[0].state.waiting.message'
}

events() { # POD
  k get events --field-selector "involvedObject.name=$1" -o custom-columns=T:.type,R:.reason,M:.message --no-headers
}

pull_secret() { # NAME USER PASSWORD
  k create secret docker-registry "$1" --docker-server="$CLOSED" --docker-username="$2" --docker-password="$3"
}

@test "a pod runs an image of an open registry" {
  pod open "$OPEN/demo:1"
  k wait --for=condition=Ready pod/open --timeout=30s
  [[ $(curl -sS --max-time 5 "http://$(pod_field open .status.podIP):8080/") =~ "It sails" ]]
  is "$OPEN/demo:1" pod_field open '.status.containerStatuses[0].image'
  has "^$OPEN/demo@sha256:[0-9a-f]{64}$" pod_field open '.status.containerStatuses[0].imageID'
  retry 10 has "Pulling image \"$OPEN/demo:1\"" events open
  retry 10 has "Successfully pulled image \"$OPEN/demo:1\"" events open
}

@test "a name with folders, and a digest" {
  local digest
  digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$OPEN/demo:1")
  pod folders "$OPEN/fleet/ships/demo:2"
  pod digest "$OPEN/demo@$digest"
  pod both "$OPEN/demo:1@$digest"
  k wait --for=condition=Ready pod/folders pod/digest pod/both --timeout=30s
  has "@$digest$" pod_field digest '.status.containerStatuses[0].imageID'
}

@test "a digest that is not there is refused, though the name is" {
  pod nodigest "$OPEN/demo@sha256:$(printf '0%.0s' $(seq 64))"
  retry 30 has "^(ErrImagePull|ImagePullBackOff): " waiting nodigest
  retry 10 has "Failed .*not found|Failed .*unknown" events nodigest
}

@test "a wrong tag: ErrImagePull with the registry's words, then ImagePullBackOff" {
  pod wrong "$OPEN/demo:nowhere"
  retry 30 has "^ErrImagePull: .*(not found|unknown)" waiting wrong
  is Pending pod_field wrong .status.phase
  retry 30 has "^ImagePullBackOff: Back-off pulling image \"$OPEN/demo:nowhere\"" waiting wrong
  retry 10 has "Failed to pull image \"$OPEN/demo:nowhere\": .*(not found|unknown)" events wrong
  retry 10 has "BackOff +Back-off pulling image" events wrong
  # kubectl shows it in its table.
  has "wrong +0/1 +(ErrImagePull|ImagePullBackOff) +0" k get pod wrong
}

@test "what is pushed later is found by the next try" {
  push "$OPEN/demo:later"
  k set image pod/wrong "main=$OPEN/demo:later"
  k wait --for=condition=Ready pod/wrong --timeout=60s
}

@test "a registry that nobody answers for" {
  pod silent "127.0.0.1:$(free_port)/demo:1"
  retry 30 has "^(ErrImagePull|ImagePullBackOff): " waiting silent
  retry 10 has "Failed to pull image .*([Rr]efused|connect)" events silent
}

@test "a name that is none" {
  pod badname "$OPEN/Demo:1"
  retry 30 has "^InvalidImageName: " waiting badname
}

@test "pull policies: Never and IfNotPresent use what is here, Always asks" {
  pod never "$OPEN/demo:absent" "restartPolicy: Always"
  k get pod never -o json | sed 's/"IfNotPresent"/"Never"/' >"$BATS_TEST_TMPDIR/never.json"
  k delete pod never --grace-period=0 --force
  k replace --force -f "$BATS_TEST_TMPDIR/never.json" || k create -f "$BATS_TEST_TMPDIR/never.json"
  retry 30 has "^ErrImageNeverPull: " waiting never
  # Present already: runs without a registry.
  registry_down open
  retry 10 refuses "" curl -sS "http://$OPEN/v2/"
  pod present "$OPEN/demo:1"
  k wait --for=condition=Ready pod/present --timeout=30s
  retry 10 has "Container image \"$OPEN/demo:1\" already present" events present
  registry_up open "$OPEN_PORT"
}

@test "a registry with a password: refused without a secret" {
  pod closed "$CLOSED/demo:1"
  retry 30 has "^(ErrImagePull|ImagePullBackOff): " waiting closed
  retry 10 has "Failed to pull image .*([Uu]nauthorized|authentication required|401)" events closed
}

@test "a registry with a password: refused with a wrong one" {
  pull_secret wrong-password "$USER_NAME" guess
  pod guess "$CLOSED/demo:1" "imagePullSecrets: [{name: wrong-password}]"
  retry 30 has "^(ErrImagePull|ImagePullBackOff): " waiting guess
  retry 10 has "Failed to pull image .*([Uu]nauthorized|authentication required|401)" events guess
}

@test "a registry with a password: runs with imagePullSecrets" {
  pull_secret harbour "$USER_NAME" "$PASSWORD"
  is kubernetes.io/dockerconfigjson k get secret harbour -o jsonpath='{.type}'
  pod named "$CLOSED/demo:1" "imagePullSecrets: [{name: nothing}, {name: harbour}]"
  k wait --for=condition=Ready pod/named --timeout=30s
}
