#!/usr/bin/env bats
# kubectl.bats - every kubectl that this machine has, through a day of ordinary commands; the oldest, the newest and one in
# the middle through all others, too.
#
# A session is a table: what is typed, and what the answer looks like. All lines are tried, and those that went wrong are shown
# together. Each kubectl works in a namespace of its own.

load helpers

setup_file() {
  cluster_up e2e-kubectl-$$
  demo_image
}

teardown_file() {
  cluster_down
}

setup() {
  export T=$BATS_TEST_TMPDIR
}

# session KUBECTL NAMESPACE <<TABLE - lines "COMMAND => PATTERN" must succeed, "COMMAND =! PATTERN" must fail; the pattern, an
# extended regular expression in which '.' also matches the end of a line, is searched in all that was printed. A line that
# begins with "~" is tried until it fits, for half a minute. Words are split as a shell does; $T is a folder for files.
session() {
  local kubectl=$1 ns=$2 line command pattern want wrong=0
  while IFS= read -r line; do
    [[ -n $line && $line != \#* ]] || continue
    case $line in
    *' => '*) want=0 command=${line%% => *} pattern=${line#* => } ;;
    *' =! '*) want=1 command=${line%% =! *} pattern=${line#* =! } ;;
    *) want=0 command=$line pattern= ;;
    esac
    if [[ $command == '~'* ]]; then
      retry 30 attempt "$kubectl" "$ns" "$want" "$pattern" "${command#\~}" >"$T/answer" && continue
    else
      attempt "$kubectl" "$ns" "$want" "$pattern" "$command" >"$T/answer" && continue
    fi
    printf '%s\n' "WRONG: $line" "$(cat "$T/answer")"
    wrong=$((wrong + 1))
  done
  [ "$wrong" -eq 0 ]
}

attempt() { # KUBECTL NAMESPACE WANT PATTERN COMMAND
  local output status=0
  output=$(eval "timeout 60 \"$1\" -n \"$2\" $5" 2>&1 </dev/null) || status=1
  echo "$output"
  [ "$status" -eq "$3" ] && [[ $output =~ $4 ]]
}

namespace_for() { # KUBECTL - of its own
  local name=${1##*/}
  echo "v-${name//./-}"
}

# each_kubectl FUNCTION [KUBECTL...] - with each kubectl and its namespace; four at a time, as much of a session is waiting.
# Waits for its own alone: bats has a child here as well, which sleeps until the test's time is up.
each_kubectl() {
  local session=$1 kubectl name pids=()
  shift
  [ $# -gt 0 ] || set -- $(kubectl_versions)
  for kubectl in "$@"; do
    name=$(namespace_for "$kubectl")
    mkdir -p "$T/$name"
    { T=$T/$name "$session" "$kubectl" "$name" || touch "$T/$name.failed"; } >"$T/$name.log" 2>&1 3>&- 4>&- &
    pids+=($!)
    [ ${#pids[@]} -lt 4 ] || { wait "${pids[0]}" || true; pids=("${pids[@]:1}"); }
  done
  [ ${#pids[@]} -eq 0 ] || wait "${pids[@]}" || true
  for name in "$T"/*.failed; do
    [ ! -e "$name" ] || { echo "== ${name##*/}"; cat "${name%.failed}.log"; }
  done
  [ -z "$(ls "$T"/*.failed 2>/dev/null)" ]
}

few_kubectls() { # FUNCTION
  each_kubectl "$1" $(kubectl_versions | awk '{ v[NR] = $0 } END { print v[1]; if (NR > 2) print v[int((NR + 1) / 2)]; if (NR > 1) print v[NR] }')
}

discovery() {
  session "$1" default <<'TABLE'
version => Server Version.*v1\.33
api-versions => apps/v1.*batch/v1.*v1$
api-resources => pods +po +v1 +true +Pod
api-resources --api-group=apps -o name => daemonsets\.apps.*deployments\.apps.*replicasets\.apps.*statefulsets\.apps
api-resources --namespaced=false -o wide => nodes +no +v1 +false +Node +.*get
cluster-info => Kubernetes control plane.* is running at .*https://127.0.0.1
explain pod.spec.containers => FIELDS:.*image.*name
explain deployment --recursive => strategy.*rollingUpdate.*maxSurge
explain deployment.spec.replicas => integer
explain nothing =! doesn't have a resource type "nothing"
explain pod.spec.nothing =! field "nothing" does not exist
get --raw /healthz => ^ok$
get --raw /version => "minor": *"33
get --raw /nowhere =! (NotFound|could not find the requested resource)
get componentstatuses => .
auth can-i create pods => ^yes
TABLE
}

@test "discovery, explain, raw paths" {
  few_kubectls discovery
}

files() { # what the sessions apply, in $T
  cat >"$T/settings.yaml" <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {tier: back}}
data: {colour: blue, size: small}
YAML
  sed 's/blue/green/' "$T/settings.yaml" >"$T/settings2.yaml"
  sed 's/size: small/& , extra: x/' "$T/settings.yaml" >"$T/settings3.yaml"
  cat >"$T/wrong.yaml" <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: wrong}
spec: {containers: [{name: main, imagee: x}]}
YAML
  cat >"$T/invalid.yaml" <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: Invalid_Name}
spec: {containers: [{name: main}]}
YAML
  printf 'hello\n' >"$T/greeting.txt"
  printf '#!/bin/sh\nsed -i s/green/yellow/ "$1"\n' >"$T/editor"
  chmod +x "$T/editor"
}

objects() {
  files
  KUBE_EDITOR=$T/editor session "$1" "$2" <<'TABLE'
create namespace $2 => namespace/v-.* created
create namespace $2 =! AlreadyExists.*namespaces "v-.*" already exists
create configmap plain --from-literal=a=1 --from-literal=b=2 --from-file=$T/greeting.txt => configmap/plain created
create configmap plain --from-literal=a=1 =! configmaps "plain" already exists
create secret generic login --from-literal=password=ahoy => secret/login created
create serviceaccount robot => serviceaccount/robot created
create service clusterip web --tcp=80:8080 => service/web created
create -f $T/settings.yaml --dry-run=client => configmap/settings created \(dry run\)
create -f $T/settings.yaml --dry-run=server => configmap/settings created \(server dry run\)
get configmap settings =! Error from server \(NotFound\): configmaps "settings" not found
create -f $T/settings.yaml => configmap/settings created
apply -f $T/settings.yaml => configmap/settings configured
apply -f $T/settings.yaml => configmap/settings unchanged
diff -f $T/settings.yaml
diff -f $T/settings2.yaml =! \+.*green
apply -f $T/settings2.yaml => configmap/settings configured
apply -f $T/settings3.yaml --dry-run=server => configured \(server dry run\)
apply view-last-applied configmap/settings => colour: green
get configmap settings -o jsonpath='{.data.colour}' => ^green$
get configmaps => NAME +DATA +AGE.*plain +3 .*settings +2
get configmaps -l tier=back -o name => ^configmap/settings$
get configmaps -l 'tier notin (back)' -o name => configmap/plain
get configmaps --field-selector metadata.name=plain -o name => ^configmap/plain$
get configmap plain -o yaml => apiVersion: v1.*greeting.txt: \|.*hello.*kind: ConfigMap
get configmap plain -o json => "a": "1"
get configmaps -o custom-columns=NAME:.metadata.name,A:.data.a => plain +1.*settings +<none>
get configmaps --sort-by=.metadata.name -o name => configmap/kube.*|configmap/plain.*configmap/settings
get configmaps -A => v-.* plain
get configmap,secret -o name => configmap/plain.*secret/login
get configmap settings --show-labels => tier=back
get configmap settings -L tier => TIER.*back
get secret login => login +Opaque +1
get secret login -o go-template='{{.data.password | base64decode}}' => ^ahoy$
get service web => web +ClusterIP +10\..* +<none> +80/TCP
label configmap plain tier=front => configmap/plain labeled
label configmap plain tier=back =! already has a value
label configmap plain tier=back --overwrite => configmap/plain labeled
label configmap plain tier- => configmap/plain unlabeled
annotate configmap plain note='by hand' => configmap/plain annotate
patch configmap plain -p '{"data":{"a":"9"}}' => configmap/plain patched
patch configmap plain --type=merge -p '{"data":{"b":null}}' => configmap/plain patched
patch configmap plain --type=json -p '[{"op":"add","path":"/data/c","value":"3"}]' => configmap/plain patched
patch configmap plain -p '{"data":{"c":"3"}}' => patched \(no change\)
patch configmap plain --type=json -p '[{"op":"remove","path":"/data/zzz"}]' =! The request is invalid.*/data/zzz
get configmap plain -o jsonpath='{.data.a}{.data.b}{.data.c}' => ^93$
edit configmap settings => configmap/settings edited
get configmap settings -o jsonpath='{.data.colour}' => ^yellow$
replace -f $T/settings.yaml => configmap/settings replaced
get configmap settings -o jsonpath='{.data.colour}' => ^blue$
apply --server-side -f $T/settings.yaml --force-conflicts => configmap/settings serverside-applied
create -f $T/wrong.yaml =! unknown field "(spec\.containers\[0\]\.)?imagee"
apply -f $T/wrong.yaml =! unknown field "(spec\.containers\[0\]\.)?imagee"
create -f $T/invalid.yaml =! metadata.name: Invalid value: "Invalid_Name".*spec.containers\[0\].image: Required value|spec.containers\[0\].image: Required value
get nothings =! the server doesn't have a resource type "nothings"
describe configmap plain => Name: +plain.*Data.*a:.*9
describe service web => Name: +web.*Type: +ClusterIP.*Port: .*80/TCP
describe namespace $2 => Name: +v-.*Status: +Active
describe node node-a => Name: +node-a.*Conditions:.*Ready +True.*Capacity:.*cpu:
describe secret login => password: +4 bytes
get nodes -o wide => node-a +Ready .*v1\.33.*crun
get namespaces => default +Active
get events
delete configmap plain => configmap "plain" deleted
delete configmap plain =! Error from server \(NotFound\): configmaps "plain" not found
delete configmap plain --ignore-not-found
delete -f $T/settings.yaml => configmap "settings" deleted
delete service,serviceaccount web robot --ignore-not-found => service "web" deleted
delete secret -l nothing=here => No resources found
TABLE
}

@test "objects: create, apply, get, label, patch, edit, replace, describe, delete" {
  few_kubectls objects
}

# What people type every day, and a watch that sees it.
everyday() {
  local ns=$2-day watch seen status=0
  files
  "$1" create namespace "$ns"
  timeout 250 "$1" -n "$ns" get configmaps -w --output-watch-events >"$T/watch" 2>&1 &
  watch=$!
  KUBE_EDITOR=$T/editor session "$1" "$ns" <<'TABLE' || status=1
version => Server Version.*v1\.33
api-resources --api-group=apps -o name => daemonsets\.apps.*deployments\.apps.*replicasets\.apps.*statefulsets\.apps
explain deployment.spec.replicas => integer
create configmap plain --from-literal=a=1 => configmap/plain created
create configmap plain --from-literal=a=1 =! configmaps "plain" already exists
apply -f $T/settings2.yaml => configmap/settings created
apply -f $T/settings2.yaml => configmap/settings unchanged
edit configmap settings => configmap/settings edited
get configmap settings -o jsonpath='{.data.colour}' => ^yellow$
label configmap plain tier=front => configmap/plain labeled
annotate configmap plain note='by hand' => configmap/plain annotate
get configmaps => NAME +DATA +AGE.*plain +1 .*settings +2
get configmaps -l tier=front -o name => ^configmap/plain$
describe configmap plain => Name: +plain.*Labels: +tier=front.*Annotations: +note: by hand.*Data.*a:
delete configmap plain => configmap "plain" deleted
create deployment web --image=caravel/demo:1 --replicas=1 => deployment.apps/web created
rollout status deployment/web --timeout=100s => successfully rolled out
scale deployment/web --replicas=2 => deployment.apps/web scaled
wait --for=jsonpath='{.status.readyReplicas}'=2 deployment/web --timeout=100s => condition met
get deployment web => web +2/2 +2 +2
describe deployment web => Replicas: +2 desired.*NewReplicaSet: +web-.*ScalingReplicaSet
~logs deployment/web => listening on port 8080
rollout history deployment/web => REVISION +CHANGE-CAUSE.*1
delete deployment web => deployment.apps "web" deleted
wait --for=delete deployment/web --timeout=50s
~get pods -l app=web => No resources found
TABLE
  for seen in 'ADDED +plain +1' 'ADDED +settings +2' 'MODIFIED +settings +2' 'DELETED +plain +1'; do
    retry 20 grep -qE "$seen" "$T/watch" || { echo "WRONG: get -w: no $seen"; cat "$T/watch"; status=1; }
  done
  kill $watch
  "$1" delete namespace "$ns" --wait=false
  return $status
}

@test "every day: all of get, describe, create, apply, edit, label, annotate, delete, scale, rollout, logs, wait, explain" {
  each_kubectl everyday
}

workloads() {
  cat >"$T/pod.yaml" <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: single, labels: {app: single}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: caravel/demo:1}]
YAML
  session "$1" "$2" <<'TABLE'
create deployment web --image=caravel/demo:1 --replicas=1 --port=8080 => deployment.apps/web created
apply -f $T/pod.yaml => pod/single created
wait --for=condition=Ready pod/single --timeout=50s => pod/single condition met
wait --for=jsonpath='{.status.phase}'=Running pod/single --timeout=50s => condition met
rollout status deployment/web --timeout=50s => successfully rolled out
get pods => NAME +READY +STATUS +RESTARTS +AGE.*single +1/1 +Running +0 
get pods -o wide => IP +NODE.*single .* 10\.[0-9.]+ +node-a
get pods --field-selector status.phase=Running -l app=single -o name => ^pod/single$
get pod/single deployment/web => pod/single .*deployment.apps/web +1/1 +1 +1
get all => pod/single.*deployment.apps/web.*replicaset.apps/web-
get deployment web -o wide => CONTAINERS +IMAGES +SELECTOR.*caravel/demo:1 +app=web
get pod nope =! Error from server \(NotFound\): pods "nope" not found
describe pod single => Name: +single.*Status: +Running.*Image: +caravel/demo:1.*Conditions:.*Ready +True.*Events:.*(Scheduled.*Started|Started.*Scheduled)
describe deployment web => Replicas: +1 desired \| 1 updated.*NewReplicaSet: +web-.*ScalingReplicaSet
~logs single => listening on port 8080
logs deployment/web --tail=1 => .
logs single --timestamps --since=1h => [0-9T:-]+\.[0-9]+Z caravel demo
logs single -c nothing =! container nothing is not valid for pod single
set image deployment/web demo=caravel/demo:1 
set env deployment/web ROUND=2 => deployment.apps/web env updated
rollout status deployment/web --timeout=50s => successfully rolled out
rollout history deployment/web => REVISION +CHANGE-CAUSE.*1.*2
rollout undo deployment/web => rolled back
rollout status deployment/web --timeout=50s => successfully rolled out
rollout pause deployment/web => paused
rollout restart deployment/web =! can't restart paused deployment
rollout resume deployment/web => resumed
rollout restart deployment/web => restarted
scale deployment/web --replicas=2 => deployment.apps/web scaled
rollout status deployment/web --timeout=50s => successfully rolled out
autoscale deployment/web --min=1 --max=3 --cpu-percent=80 => autoscaled
delete hpa web => deleted
expose deployment web --port=80 --target-port=8080 => service/web exposed
run quick --image=caravel/demo:1 --restart=Never --command -- sh -c 'echo done; exit 3' => pod/quick created
wait --for=jsonpath='{.status.phase}'=Failed pod/quick --timeout=50s => condition met
get pod quick => quick +0/1 +Error +0
logs quick => ^done$
delete pod single --grace-period=0 --force => pod "single" force deleted
wait --for=delete pod/single --timeout=50s
delete pod quick --now => deleted
delete deployment web --cascade=foreground => deployment.apps "web" deleted
get pods -l app=web => No resources found
delete service web => deleted
delete namespace $2 --wait=false => deleted
TABLE
}

@test "workloads: pods, deployments, rollouts, logs, wait, delete" {
  few_kubectls workloads
}

@test "get -w streams what happens, in order" {
  k create namespace watching
  local watch
  for_watch() { grep -cE "$1" "$T/watch"; }
  k get pods -n watching -w --output-watch-events >"$T/watch" 2>&1 3>&- 4>&- &
  watch=$!
  demo_pod seen | k apply -n watching -f -
  k wait --for=condition=Ready pod/seen -n watching --timeout=60s
  retry 20 for_watch "ADDED +seen +0/1 +Pending"
  retry 20 for_watch "MODIFIED +seen +1/1 +Running"
  k delete pod seen -n watching
  retry 20 for_watch "DELETED +seen"
  kill $watch
  k delete namespace watching --wait=false
}

more_files() {
  mkdir -p "$T/kustom"
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: base}\ndata: {a: "1"}\n' >"$T/kustom/base.yaml"
  printf 'resources: [base.yaml]\nnamePrefix: k-\ncommonLabels: {by: kustomize}\nconfigMapGenerator: [{name: made, literals: [x=y]}]\n' \
    >"$T/kustom/kustomization.yaml"
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned, labels: {set: p}}\ndata: {a: "1"}\n' >"$T/owned.yaml"
  sed 's/"1"/"2"/' "$T/owned.yaml" >"$T/owned2.yaml"
  sed 's/name: owned/name: other/' "$T/owned.yaml" >"$T/other.yaml"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/key" -subj "/O=crew/CN=sailor" 2>/dev/null >"$T/csr"
  cat >"$T/csr.yaml" <<YAML
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: csr-$1}
spec: {request: $(base64 -w0 "$T/csr"), signerName: example.com/captain, usages: [client auth]}
YAML
}

# Nothing here needs a container to run.
generators() {
  more_files "$2-gen"
  session "$1" "$2-gen" <<'TABLE'
create namespace $2 => created
create role reader --verb=get,list --resource=pods,deployments.apps => role.rbac.authorization.k8s.io/reader created
create rolebinding read --role=reader --user=sailor => rolebinding.rbac.authorization.k8s.io/read created
create clusterrole $2-reader --verb=get --resource=nodes => created
create clusterrolebinding $2-read --clusterrole=$2-reader --group=crew => created
create quota q --hard=pods=100 => resourcequota/q created
create priorityclass $2-high --value=1000 --description=tests => created
create poddisruptionbudget pdb --selector=app=x --min-available=1 => poddisruptionbudget.policy/pdb created
create ingress ing --rule="a.example.com/=svc:80" => ingress.networking.k8s.io/ing created
create cronjob cj --image=caravel/demo:1 --schedule="0 0 1 1 *" -- echo hi => cronjob.batch/cj created
create job jb --from=cronjob/cj => job.batch/jb created
create secret tls t --cert=/nothing --key=/nothing =! .
create secret docker-registry reg --docker-username=a --docker-password=b --docker-server=r.example.com => secret/reg created
create service nodeport np --tcp=80:80 => service/np created
create service externalname en --external-name=a.example.com => service/en created
create service loadbalancer lb --tcp=80:80 => service/lb created
create deployment dep --image=caravel/demo:1 --replicas=0 => deployment.apps/dep created
expose deployment dep --port=80 --name=exposed --type=ClusterIP => service/exposed exposed
set image deployment/dep demo=caravel/demo:2 => image updated
set env deployment/dep A=b => env updated
set env deployment/dep --list => A=b
set resources deployment/dep --requests=cpu=10m,memory=8Mi => resource requirements updated
set serviceaccount deployment/dep default => serviceaccount updated
set selector service/np app=other => selector updated
set subject rolebinding/read --user=other => subjects updated
get deployment dep -o jsonpath='{.spec.template.spec.containers[0].image} {.spec.template.spec.containers[0].resources.requests.cpu}' => ^caravel/demo:2 10m
patch deployment dep -p '{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"demo"}],"containers":[{"name":"demo","env":[{"name":"A","$patch":"delete"}]}]}}}}' => patched
patch deployment dep --type=merge -p '{"spec":{"paused":true}}' => patched
patch deployment dep --type=json -p '[{"op":"replace","path":"/spec/paused","value":false}]' => patched
patch deployment dep --subresource=scale --type=merge -p '{"spec":{"replicas":0}}' => patched
autoscale deployment dep --min=1 --max=2 --cpu-percent=50 => autoscaled
get hpa dep => dep +Deployment/dep .* 1 +2 
diff -k $T/kustom =! \+.*k-base
apply -k $T/kustom => configmap/k-base created.*configmap/k-made-[a-z0-9]+ created|configmap/k-made-[a-z0-9]+ created
get configmap -l by=kustomize -o name => configmap/k-base
delete -k $T/kustom => deleted
apply -f $T/owned.yaml -f $T/other.yaml => owned created.*other created
apply -f $T/owned.yaml --prune -l set=p => configmap/other pruned
apply --server-side --field-manager=one -f $T/owned2.yaml --force-conflicts => serverside-applied
apply --server-side --field-manager=two -f $T/owned.yaml =! conflict with "one".*\.data\.a
replace --force -f $T/owned.yaml => replaced
apply set-last-applied -f $T/owned.yaml --create-annotation => configured
apply -f $T/csr.yaml => created
get csr csr-$2 => csr-v.*example.com/captain.*Pending
certificate approve csr-$2 => approved
get csr csr-$2 => Approved
delete csr csr-$2 => deleted
auth can-i create pods => ^yes
auth can-i --list => .
top nodes =! ([Mm]etrics|metrics)
top pods =! ([Mm]etrics|metrics)
api-versions => networking.k8s.io/v1
cluster-info dump --output-directory=$T/dump => dump|$
explain pod --recursive => ephemeralContainers
explain service.spec.ports => targetPort
get secrets,configmaps,services --chunk-size=2 -o name => secret/reg
get deployment dep -o json => "kind": "Deployment"
get deployment dep -o yaml => kind: Deployment
get deployment dep -o name => ^deployment.apps/dep$
get deployment dep -o wide => CONTAINERS
get deployment dep -o jsonpath-as-json='{.metadata.name}' => "dep"
get deployment dep -o go-template='{{.metadata.name}}' => ^dep$
get deployment dep -o custom-columns-file=/dev/stdin =! .
get deployment dep --show-managed-fields -o yaml => managedFields
get events --sort-by=.lastTimestamp
wait --for=jsonpath='{.spec.replicas}'=0 deployment/dep --timeout=20s => condition met
wait --for=jsonpath='{.data.a}'=1 configmap/owned --timeout=20s
delete clusterrole,clusterrolebinding,priorityclass $2-reader $2-read $2-high --ignore-not-found => deleted
delete namespace $2 --wait=false => deleted
TABLE
}

@test "generators, set, patch, kustomize, prune, certificates, every output" {
  few_kubectls generators
}

nodes() {
  session "$1" "$2" <<'TABLE'
taint nodes node-a $2=x:PreferNoSchedule => tainted
taint nodes node-a $2- => untainted
label node node-a $2=x => labeled
label node node-a $2- => unlabeled
TABLE
}

# One after the other: taints are one list, which each kubectl writes as a whole.
@test "nodes: taints and labels; cordon, drain, uncordon" {
  local kubectl
  for kubectl in $(kubectl_versions); do
    nodes "$kubectl" "$(namespace_for "$kubectl")"
  done
  k cordon node-a
  has 'SchedulingDisabled' k get nodes
  k drain node-a --ignore-daemonsets --force --delete-emptydir-data --grace-period=1 --timeout=90s
  k uncordon node-a
  refuses 'SchedulingDisabled' bash -c 'kubectl get nodes | grep SchedulingDisabled && exit 1; echo SchedulingDisabled gone; exit 1'
}

@test "explain finds every kind" {
  local name version wrong=0
  while read -r name version; do
    k explain "$name" --api-version="$version" --recursive >"$T/explained" 2>&1 </dev/null && grep -q '^KIND:' "$T/explained" ||
      { echo "$name $version"; cat "$T/explained"; wrong=1; }
  done < <(k api-resources --no-headers | awk '{print $1, $(NF-2)}')
  [ "$wrong" = 0 ]
}

@test "proxy" {
  k proxy --port=0 >"$T/proxy" 2>&1 3>&- 4>&- &
  local proxy=$!
  retry 20 grep -q 'Starting to serve' "$T/proxy"
  local address
  address=$(sed -n 's/.* on //p' "$T/proxy")
  has '"gitVersion"' curl -s "http://$address/version"
  has '"kind": ?"NamespaceList"' curl -s "http://$address/api/v1/namespaces"
  kill $proxy
}

@test "a namespace that waits says why" {
  k create namespace held
  k -n held create configmap c
  k -n held patch configmap c --type=merge -p '{"metadata":{"finalizers":["example.com/hold"]}}'
  k delete namespace held --wait=false
  retry 30 has 'Some resources are remaining: configmaps. has 1 resource instances' k get namespace held \
    -o jsonpath='{.status.conditions[?(@.type=="NamespaceContentRemaining")].message}'
  has 'example.com/hold in 1 resource' k describe namespace held
  k -n held patch configmap c --type=merge -p '{"metadata":{"finalizers":null}}'
  k wait --for=delete namespace/held --timeout=60s
}

@test "conflicts: an old resourceVersion is refused" {
  k create configmap contested --from-literal=a=1
  k get configmap contested -o json >"$T/old.json"
  k patch configmap contested -p '{"data":{"a":"2"}}'
  refuses 'Error from server \(Conflict\).*the object has been modified' k replace -f "$T/old.json"
  is 2 k get configmap contested -o jsonpath='{.data.a}'
  k delete configmap contested
}

@test "an editor that changes nothing" {
  k create configmap edited --from-literal=a=1
  printf '#!/bin/sh\n' >"$T/lazy"
  chmod +x "$T/lazy"
  KUBE_EDITOR=$T/lazy has "no changes made" k edit configmap edited
  k delete configmap edited
}

@test "the examples apply cleanly, twice" {
  k apply -f "$ROOT/examples/"
  local output
  output=$(k apply -f "$ROOT/examples/")
  echo "$output"
  [ -z "$(grep -v 'unchanged$' <<<"$output")" ]
  k rollout status deployment/web --timeout=60s
  k wait --for=condition=Ready pod --all --timeout=60s
  has "the secret is known" k logs greeter
  k delete -f "$ROOT/examples/" --wait=false
}

@test "a table of many rows comes in chunks, whole" {
  k create namespace many
  local i
  for i in $(seq 30); do
    printf -- '---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%02d}\n' "$i"
  done | k create -n many -f - >/dev/null
  is 30 count_many
  k delete namespace many --wait=false
}

count_many() { k get configmaps -n many --chunk-size=7 --no-headers | wc -l; }
