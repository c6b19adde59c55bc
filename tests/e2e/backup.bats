#!/usr/bin/env bats
# Backup and restore of a control plane: while it is written to, in increments, encrypted, to a point in time.

load helpers

NAMESPACE=/api/v1/namespaces/default

setup_file() {
  export API_PORT=$(free_port)
  export DATA=$BATS_FILE_TMPDIR/data BACKUPS=$BATS_FILE_TMPDIR/backups
  export INSTANCE=e2e-backup-$$
  mkdir -p "$BACKUPS"
  make_pki "$DATA"
  server_start "$DATA"
}

teardown_file() {
  server_stop "$DATA"
}

make_pki() { # DIR - as `caravel up` would make it
  mkdir -p "$1/pki"
  (
    cd "$1/pki"
    openssl ecparam -genkey -name prime256v1 -noout -out ca.key
    openssl req -x509 -new -key ca.key -subj /CN=caravel-ca -days 7 -out ca.crt
    for leaf in server admin server-client; do
      openssl ecparam -genkey -name prime256v1 -noout -out $leaf.key
      openssl req -new -key $leaf.key -subj "/O=system:masters/CN=kubernetes-admin" |
        openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 7 -out $leaf.crt \
          -extfile <(echo subjectAltName=IP:127.0.0.1)
    done
  ) 2>/dev/null
}

server_start() { # DIR [OPTION...]
  local dir=$1
  shift
  "$CARAVEL" server --instance "$INSTANCE" --data-dir "$dir" --listen "127.0.0.1:$API_PORT" "$@" \
    >>"$dir/log" 2>&1 3>&- 4>&- </dev/null &
  echo $! >"$dir/server.pid"
  retry 60 answers "$dir" || { cat "$dir/log" >&2; return 1; }
}

answers() { # DIR
  DATA=$1 api GET /readyz | grep -qx 200
}

server_stop() { # DIR [SIGNAL]
  local pid
  pid=$(cat "$1/server.pid" 2>/dev/null) || return 0
  rm -f "$1/server.pid"
  kill "-${2:-TERM}" "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}

create() { # NAME VALUE - prints its revision
  api POST "$NAMESPACE/configmaps" --data \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"$1\"},\"data\":{\"value\":\"$2\"}}" |
    jq -r 'objects | .metadata.resourceVersion'
}

# All ConfigMaps at exactly that revision, and the answer's status.
list_at() { # DIR REVISION
  DATA=$1 api GET "$NAMESPACE/configmaps?resourceVersion=$2&resourceVersionMatch=Exact"
}

caravel() { # COMMAND DIR [ARGUMENT...]
  local command=$1 dir=$2
  shift 2
  "$CARAVEL" "$command" --instance "$INSTANCE" --data-dir "$dir" "$@"
}

check() { # DIR
  "$CARAVEL" store check --instance "$INSTANCE" --data-dir "$1" | grep 'no damage'
}

# What the server of DATA lists at each of the revisions; then the same of the restored one, which must be equal.
compare_at() { # DIR REVISION...
  local dir=$1 revision
  shift
  for revision in "$@"; do list_at "$DATA" "$revision" >"$BATS_TEST_TMPDIR/want.$revision"; done
  server_stop "$DATA"
  server_start "$dir"
  for revision in "$@"; do
    grep -qx 200 "$BATS_TEST_TMPDIR/want.$revision"
    list_at "$dir" "$revision" | cmp - "$BATS_TEST_TMPDIR/want.$revision"
  done
  server_stop "$dir"
  check "$dir"
  server_start "$DATA"
}

@test "a backup that was taken while it was written to reads as the store did, at every revision" {
  local i revisions=() dir=$BATS_TEST_TMPDIR/restored
  for i in 1 2 3 4 5; do revisions+=("$(create "early-$i" "$i")"); done
  while :; do create "load-$((i++))" x >/dev/null; done 3>&- 4>&- &
  local writer=$!
  retry 60 has 'load-9' api GET "$NAMESPACE/configmaps"
  caravel backup "$DATA" "$BACKUPS/full" >"$BATS_TEST_TMPDIR/said" 2>&1
  kill $writer; wait $writer || true
  cat "$BATS_TEST_TMPDIR/said"
  local last
  last=$(grep -o 'revision [0-9]*' "$BATS_TEST_TMPDIR/said" | grep -o '[0-9]*')
  [ "$last" -gt "${revisions[4]}" ]
  [ ! -e "$BACKUPS/full.partial" ]
  [ "$(stat -c %a "$BACKUPS/full")" = 600 ]
  caravel restore "$dir" "$BACKUPS/full"
  cmp "$DATA/pki/ca.key" "$dir/pki/ca.key"
  check "$dir"
  compare_at "$dir" "${revisions[@]}" "$last"
}

@test "increments follow one another, and a restore to a point in time is exact to the revision" {
  local i revisions=() dir=$BATS_TEST_TMPDIR/restored
  caravel backup "$DATA" "$BACKUPS/base"
  for i in 1 2 3; do
    revisions+=("$(create "step-$i" a)" "$(create "step-$i-more" b)")
    caravel backup "$DATA" "$BACKUPS/increment.$i" --since "$([ $i = 1 ] && echo "$BACKUPS/base" || echo "$BACKUPS/increment.$((i - 1))")"
  done
  caravel restore "$dir" "$BACKUPS"/base "$BACKUPS"/increment.{1,2,3}
  compare_at "$dir" "${revisions[@]}"
  for i in 0 1 2 3 4 5; do
    rm -rf "$dir"
    caravel restore "$dir" "$BACKUPS"/base "$BACKUPS"/increment.{1,2,3} --as-of "${revisions[i]}" |
      grep "is at revision ${revisions[i]} "
    check "$dir" | grep "to ${revisions[i]}:"
  done
  refuses 'are missing' caravel restore "$dir" "$BACKUPS"/base "$BACKUPS"/increment.{1,3}
  refuses 'cannot be the first' caravel restore "$dir" "$BACKUPS"/increment.1
  refuses 'end at revision' caravel restore "$dir" "$BACKUPS"/base --as-of 1000000
}

@test "an encrypted backup opens with its passphrase only" {
  local dir=$BATS_TEST_TMPDIR/restored
  echo 'correct horse' >"$BATS_TEST_TMPDIR/right"
  echo 'battery staple' >"$BATS_TEST_TMPDIR/wrong"
  caravel backup "$DATA" "$BACKUPS/sealed" --encrypt --passphrase-file "$BATS_TEST_TMPDIR/right"
  refuses 'passphrase' caravel restore "$dir" "$BACKUPS/sealed" --passphrase-file "$BATS_TEST_TMPDIR/wrong"
  [ ! -e "$dir/store" ]
  CARAVEL_PASSPHRASE='correct horse' caravel restore "$dir" "$BACKUPS/sealed"
  check "$dir"
  caravel backup "$DATA" - --encrypt --passphrase-file "$BATS_TEST_TMPDIR/right" |
    caravel restore "$dir" - --passphrase-file "$BATS_TEST_TMPDIR/right"
}

@test "a damaged backup replaces nothing, and neither does one while the server runs" {
  local dir=$BATS_TEST_TMPDIR/restored size before
  caravel backup "$DATA" "$BACKUPS/whole"
  caravel restore "$dir" "$BACKUPS/whole"
  before=$(check "$dir")
  size=$(stat -c %s "$BACKUPS/whole")
  head -c $((size - 1)) "$BACKUPS/whole" >"$BATS_TEST_TMPDIR/cut"
  cp "$BACKUPS/whole" "$BATS_TEST_TMPDIR/changed"
  printf 'x' | dd of="$BATS_TEST_TMPDIR/changed" bs=1 seek=$((size / 2)) conv=notrunc status=none
  refuses 'damaged' caravel restore "$dir" "$BATS_TEST_TMPDIR/cut"
  refuses 'damaged' caravel restore "$dir" "$BATS_TEST_TMPDIR/changed"
  [ "$(check "$dir")" = "$before" ]
  [ "$(cd "$dir" && echo store*)" = store ]
  refuses 'is running' caravel restore "$DATA" "$BACKUPS/whole"
}

@test "a restore over a store keeps the one of before" {
  local dir=$BATS_TEST_TMPDIR/restored
  caravel restore "$dir" "$BACKUPS/whole"
  caravel restore "$dir" "$BACKUPS/whole" --dry-run
  [ "$(ls -d "$dir"/store* | wc -l)" = 1 ]
  caravel restore "$dir" "$BACKUPS/whole"
  [ "$(ls -d "$dir"/store.before-* | wc -l)" = 1 ]
  [ "$(ls -d "$dir"/pki.before-* | wc -l)" = 1 ]
  caravel restore "$dir" "$BACKUPS/whole" --keep-pki
  [ "$(ls -d "$dir"/pki.before-* | wc -l)" = 1 ]
  check "$dir"
}

# What --backup-to has put where, up to a revision: the last name of DIR goes that far.
shipped() { # DIR REVISION
  local last
  last=$(cd "$1" && printf '%s\n' *.backup | tail -1)
  [ "$((10#$(cut -d- -f2 <<<"$last")))" -ge "$2" ]
}

@test "a folder gets backups as the server goes; after kill -9 nothing of them is missing" {
  local there=$BATS_TEST_TMPDIR/there dir=$BATS_TEST_TMPDIR/restored revisions=() i
  server_stop "$DATA"
  server_start "$DATA" --backup-to "$there"
  for i in 1 2 3; do
    revisions+=("$(create "shipped-$i" x)")
    retry 60 shipped "$there" "${revisions[-1]}"
  done
  server_stop "$DATA" KILL
  server_start "$DATA" --backup-to "$there"
  revisions+=("$(create shipped-4 x)")
  retry 60 shipped "$there" "${revisions[-1]}"
  [ "$(ls "$there" | grep -c -- '-00000000000000000000.backup')" = 1 ] # it went on where it was
  server_stop "$DATA" KILL
  server_start "$DATA"
  caravel restore "$dir" "$there"
  compare_at "$dir" "${revisions[@]}"
  for i in 0 1 2 3; do
    rm -rf "$dir"
    caravel restore "$dir" "$there" --as-of "${revisions[i]}" | grep "is at revision ${revisions[i]} "
    check "$dir"
  done
}

@test "a store that was restored to an earlier time begins new backups in the same folder" {
  local there=$BATS_TEST_TMPDIR/there dir=$BATS_TEST_TMPDIR/restored first second
  server_stop "$DATA"
  server_start "$DATA" --backup-to "$there"
  first=$(create forked-1 x)
  create forked-2 x
  second=$(create forked-3 x)
  retry 60 shipped "$there" "$second"
  server_stop "$DATA"
  cp -a "$DATA" "$dir"
  caravel restore "$dir" "$there" --as-of "$first"
  server_start "$dir" --backup-to "$there"
  second=$(DATA=$dir create forked-other x)
  retry 60 eval "[ \$(ls '$there' | grep -c -- '-00000000000000000000.backup') = 2 ]"
  server_stop "$dir"
  rm -rf "$dir"
  caravel restore "$dir" "$there"
  server_start "$dir"
  DATA=$dir api GET "$NAMESPACE/configmaps/forked-other" | tail -1 | grep -qx 200
  DATA=$dir api GET "$NAMESPACE/configmaps/forked-2" | tail -1 | grep -qx 404
  server_stop "$dir"
  check "$dir"
  server_start "$DATA"
}

@test "a bucket gets them too, and what it has refused comes later" {
  local vault=$BATS_TEST_TMPDIR/vault dir=$BATS_TEST_TMPDIR/restored revisions=() i where
  mkdir -p "$vault"
  "$BATS_TEST_DIRNAME/s3.py" "$vault" "$vault/.port" 3>&- 4>&- &
  echo $! >"$BATS_TEST_TMPDIR/s3.pid"
  retry 60 test -s "$vault/.port"
  where="s3://vault/clusters/one?endpoint=http://127.0.0.1:$(cat "$vault/.port")&region=eu-test-1"
  export AWS_ACCESS_KEY_ID=test-id AWS_SECRET_ACCESS_KEY=test/secret
  server_stop "$DATA"
  server_start "$DATA" --backup-to "$where"
  for i in 1 2 3; do
    revisions+=("$(create "kept-$i" x)")
    retry 60 shipped "$vault/objects/clusters/one" "${revisions[-1]}"
  done
  touch "$vault/.refuse"
  revisions+=("$(create kept-4 x)")
  retry 60 grep -q 'is behind: .* status 503 SlowDown' "$DATA/log"
  rm "$vault/.refuse"
  retry 60 shipped "$vault/objects/clusters/one" "${revisions[-1]}"
  server_stop "$DATA" KILL
  server_start "$DATA"
  caravel restore "$dir" "$where"
  compare_at "$dir" "${revisions[@]}"
  rm -rf "$dir"
  caravel restore "$dir" "$where" --as-of "${revisions[1]}" | grep "is at revision ${revisions[1]} "
  check "$dir"
  [ ! -e "$vault/.bad" ] || { cat "$vault/.bad"; false; }
  AWS_SECRET_ACCESS_KEY=wrong refuses 'status 403 SignatureDoesNotMatch' caravel restore "$dir" "$where"
}

teardown() {
  [ ! -f "$BATS_TEST_TMPDIR/s3.pid" ] || kill "$(cat "$BATS_TEST_TMPDIR/s3.pid")"
}
