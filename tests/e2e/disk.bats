#!/usr/bin/env bats
# disk.bats - a server whose store lies on a disk that is full, slow, failing or read-only: what clients are told, what they
# can still read, and that writing comes back by itself.
#
# Disks are a small tmpfs and ext4 on a loop device. Device-mapper is not needed: a loop device over a sparse file in a
# tmpfs that has no room fails like a thin disk does.

load helpers

NAMESPACE=/api/v1/namespaces/default
BIG=200000 # bytes of one object

make_keys() { # DIR
  mkdir -p "$1/pki"
  (
    cd "$1/pki"
    openssl ecparam -genkey -name prime256v1 -noout -out ca.key
    openssl req -x509 -new -key ca.key -days 7 -subj /CN=test-ca -out ca.crt
    openssl ecparam -genkey -name prime256v1 -noout -out service-account.key
    openssl ec -in service-account.key -pubout -out service-account.pub
    for leaf in server admin server-client; do
      openssl ecparam -genkey -name prime256v1 -noout -out $leaf.key
      openssl req -new -key $leaf.key -subj "/O=system:masters/CN=kubernetes-admin" |
        openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 7 -out $leaf.crt \
          -extfile <(echo subjectAltName=IP:127.0.0.1)
    done
  ) 2>/dev/null
}

alive() { api GET /livez | grep -qx 200; }
alive_unread() { api GET /livez/ping | grep -qx 200; } # LMDB notes readers in a file on the disk that hangs
ready() { api GET /readyz | grep -qx 200; }
not_ready() { api GET /readyz | grep -q "store/writes failed: $1"; }

server_start() { # CONDITION [OPTION...]
  local condition=$1
  shift
  "$CARAVEL" server --instance "$INSTANCE" --data-dir "$DATA" --listen "127.0.0.1:$API_PORT" "$@" \
    >>"$DATA/log" 2>&1 3>&- 4>&- </dev/null &
  echo $! >"$DATA/server.pid"
  retry 60 "$condition" || { cat "$DATA/log" >&2; return 1; }
}

server_stop() { # [SIGNAL]
  local pid
  pid=$(cat "$DATA/server.pid" 2>/dev/null) || return 0
  rm -f "$DATA/server.pid"
  kill "-${1:-TERM}" "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
}

setup() {
  export INSTANCE=e2e-disk-$$ DATA=$BATS_TEST_TMPDIR/data API_PORT
  API_PORT=$(free_port)
  mkdir -p "$DATA/store" "$BATS_TEST_TMPDIR/backing"
  make_keys "$DATA"
}

teardown() {
  fsfreeze --unfreeze "$DATA/store" 2>/dev/null || true
  server_stop KILL
  ! mountpoint -q "$DATA/store" || umount "$DATA/store" || umount --lazy "$DATA/store"
  [ ! -f "$BATS_TEST_TMPDIR/loop" ] || losetup --detach "$(cat "$BATS_TEST_TMPDIR/loop")" || true
  ! mountpoint -q "$BATS_TEST_TMPDIR/backing" || umount "$BATS_TEST_TMPDIR/backing"
}

# loop_disk BACKING-SIZE DISK-SIZE MOUNT-OPTIONS [MKFS-OPTION...] - ext4 at the store's place, on a file in a tmpfs.
loop_disk() {
  local file=$BATS_TEST_TMPDIR/backing/disk size=$2 options=$3
  mount -t tmpfs -o "size=$1" none "$BATS_TEST_TMPDIR/backing" || skip "no tmpfs can be mounted"
  shift 3
  truncate --size "$size" "$file"
  losetup --find --show "$file" >"$BATS_TEST_TMPDIR/loop" || { rm -f "$BATS_TEST_TMPDIR/loop"; skip "no loop device"; }
  mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$@" "$(cat "$BATS_TEST_TMPDIR/loop")" >/dev/null 2>&1
  mount -o "$options" "$(cat "$BATS_TEST_TMPDIR/loop")" "$DATA/store" || skip "no ext4 can be mounted"
}

body() { # NAME BYTES
  printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"value":"' "$1"
  head -c "$2" /dev/zero | tr '\0' x
  printf '"}}'
}

# create NAME [BYTES] - prints the status.
create() {
  body "$1" "${2:-10}" | api POST "$NAMESPACE/configmaps" --data @- | tail -n 1
}
created() { [ "$(create "$@")" = 201 ]; }
refused() { [ "$(create "$@")" = "$WANT" ]; }
status_of() { api GET "$NAMESPACE/configmaps/$1" | tail -n 1; }
delete() { api DELETE "$NAMESPACE/configmaps/$1" | tail -n 1; }

# Creates objects until one is refused; sets COUNT to how many there are and ANSWER to the refusal's status.
fill() {
  COUNT=0
  while [ "$COUNT" -lt 500 ]; do
    ANSWER=$(create "big-$COUNT" "$BIG")
    [ "$ANSWER" = 201 ] || return 0
    COUNT=$((COUNT + 1))
  done
}

count() { api GET "$NAMESPACE/configmaps" | jq -s '[.[0].items[] | select(.metadata.name | startswith("big-"))] | length'; }

@test "a full disk refuses objects, takes deletions, and comes back by itself" {
  mount -t tmpfs -o size=24m none "$DATA/store" || skip "no tmpfs can be mounted"
  server_start ready --history 1s
  fill
  [ "$ANSWER" = 507 ]
  [ "$COUNT" -gt 20 ]
  answer=$(body another "$BIG" | api POST "$NAMESPACE/configmaps" --data @-)
  grep -q InsufficientStorage <<<"$answer"
  retry 30 not_ready full
  alive
  [ "$(status_of big-0)" = 200 ]
  [ "$(count)" = "$COUNT" ]
  api GET /metrics | grep -q '^caravel_store_condition 1'

  # A watch goes on: it sees a deletion.
  revision=$(api GET "$NAMESPACE/configmaps?limit=1" | jq -r 'objects | .metadata.resourceVersion' | head -n 1)
  curl --silent --no-buffer --max-time 60 --cacert "$DATA/pki/ca.crt" --cert "$DATA/pki/admin.crt" --key "$DATA/pki/admin.key" \
    "https://127.0.0.1:$API_PORT$NAMESPACE/configmaps?watch=1&resourceVersion=$revision" >"$BATS_TEST_TMPDIR/events" 3>&- &
  watcher=$!
  [ "$(delete big-0)" = 200 ]
  retry 30 grep -q '"DELETED"' "$BATS_TEST_TMPDIR/events"
  kill "$watcher" || true

  # Killed while full, it starts again and knows all that it had.
  server_stop KILL
  server_start alive --history 1s
  [ "$(count)" = $((COUNT - 1)) ]
  for i in $(seq 1 $((COUNT - 1))); do
    answer=$(api DELETE "$NAMESPACE/configmaps/big-$i")
    [ "$(tail -n 1 <<<"$answer")" = 200 ] || { echo "big-$i: $answer"; df "$DATA/store"; ls -l "$DATA/store"; tail -5 "$DATA/log"; false; }
  done
  retry 90 created again-$RANDOM "$BIG"
  retry 30 ready
  server_stop
  "$CARAVEL" store check --instance "$INSTANCE" --data-dir "$DATA"
}

@test "a disk that fails: errors are told, reading goes on, and writing comes back without a restart" {
  loop_disk 16m 64m noatime -O ^has_journal
  server_start ready
  created first
  dd if=/dev/zero of="$BATS_TEST_TMPDIR/backing/ballast" bs=64k 2>/dev/null || true # the disk has no blocks left
  for i in $(seq 60); do
    ANSWER=$(create "big-$i" "$BIG")
    [ "$ANSWER" = 201 ] || break
  done
  [ "$ANSWER" = 500 ] || [ "$ANSWER" = 507 ] || [ "$ANSWER" = 503 ]
  [ "$(status_of first)" = 200 ]
  alive
  [ "$(status_of "big-$i")" = 404 ]
  rm "$BATS_TEST_TMPDIR/backing/ballast"
  retry 60 created after
  retry 60 ready
  [ "$(status_of first)" = 200 ]
  server_stop
  "$CARAVEL" store check --instance "$INSTANCE" --data-dir "$DATA"
}

@test "a disk that hangs makes a write wait, not fail" {
  loop_disk 80m 64m noatime
  server_start ready
  created first
  fsfreeze --freeze "$DATA/store" || skip "it cannot be frozen"
  create slow >"$BATS_TEST_TMPDIR/slow" 3>&- &
  slow=$!
  alive_unread
  [ ! -s "$BATS_TEST_TMPDIR/slow" ]
  fsfreeze --unfreeze "$DATA/store"
  wait "$slow"
  [ "$(cat "$BATS_TEST_TMPDIR/slow")" = 201 ]
  [ "$(status_of first)" = 200 ]
  retry 30 ready
}

@test "a disk that the kernel has made read-only: reading goes on, and a restart on the mended disk has it all" {
  loop_disk 80m 64m noatime,errors=remount-ro
  trigger=/sys/fs/ext4/$(basename "$(cat "$BATS_TEST_TMPDIR/loop")")/trigger_fs_error
  [ -w "$trigger" ] || skip "errors cannot be made here"
  server_start ready
  created first
  echo broken >"$trigger" || skip "errors cannot be made here"
  WANT=500 retry 30 refused second
  retry 30 not_ready read-only
  [ "$(status_of first)" = 200 ]
  alive
  server_stop
  umount "$DATA/store"
  e2fsck -fy "$(cat "$BATS_TEST_TMPDIR/loop")" >/dev/null 2>&1 || true
  mount "$(cat "$BATS_TEST_TMPDIR/loop")" "$DATA/store"
  server_start ready
  [ "$(status_of first)" = 200 ]
  [ "$(status_of second)" = 404 ]
  created third
}

@test "one server at a time; a store that is cut short or from the future is refused in words" {
  server_start ready
  created first "$BIG"
  created second "$BIG"
  run "$CARAVEL" server --instance "$INSTANCE" --data-dir "$DATA" --listen "127.0.0.1:$(free_port)"
  [ "$status" -eq 1 ]
  grep -q "in use by process $(cat "$DATA/server.pid")" <<<"$output"
  server_stop
  cp "$DATA/store/data.mdb" "$BATS_TEST_TMPDIR/good"

  truncate --size 300000 "$DATA/store/data.mdb"
  run "$CARAVEL" server --instance "$INSTANCE" --data-dir "$DATA" --listen "127.0.0.1:$API_PORT"
  [ "$status" -eq 1 ]
  grep -q "is cut short" <<<"$output"

  head -c 400000 /dev/urandom >"$DATA/store/data.mdb"
  run "$CARAVEL" server --instance "$INSTANCE" --data-dir "$DATA" --listen "127.0.0.1:$API_PORT"
  [ "$status" -eq 1 ]
  grep -q "is not a store" <<<"$output"

  # The format's version stands behind its magic, in whichever page holds it now.
  python3 - "$BATS_TEST_TMPDIR/good" "$DATA/store/data.mdb" <<'PYTHON'
import sys
data = open(sys.argv[1], "rb").read()
magic = b"caravel store\n\0\0"
assert magic in data
at, future = data.find(magic), bytearray(data)
while at >= 0:
    future[at + 16:at + 20] = (99).to_bytes(4, "little")
    at = data.find(magic, at + 1)
open(sys.argv[2], "wb").write(future)
PYTHON
  run "$CARAVEL" server --instance "$INSTANCE" --data-dir "$DATA" --listen "127.0.0.1:$API_PORT"
  [ "$status" -eq 1 ]
  grep -q "has format 99" <<<"$output"

  cp "$BATS_TEST_TMPDIR/good" "$DATA/store/data.mdb"
  server_start ready
  [ "$(status_of second)" = 200 ]
}
