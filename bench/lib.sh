# What run.sh and peers.sh share; sourced by them. It goes to the repository's root,
# makes $dir for everything that is written, and removes it and stops what was
# started when the script ends.
# shellcheck shell=bash
# shellcheck disable=SC2034 # base is for those who source this
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

runs=${RUNS:-3}
duration=${DURATION:-6s}
conns=${CONNS:-32}

if [ "$(nproc)" -lt 2 ] || ! command -v taskset >/dev/null; then
  echo "this needs two cores and taskset: server and load must not share one" >&2
  exit 1
fi

# Server and load take both cores of a small machine; with a third at work the
# figures say nothing.
busy=$(cut -d ' ' -f 1 /proc/loadavg)
if awk -v l="$busy" 'BEGIN { exit !(l > 1) }'; then
  echo "note: other work is running (load average $busy): do not quote these figures" >&2
fi

dir=$(mktemp -d)
declare -A running=() # by process id
cleanup() {
  local pid
  for pid in "${!running[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$dir"
}
trap cleanup EXIT

# build compiles ours and the tools into $dir.
build() {
  echo "building" >&2
  CGO_ENABLED=0 go build -o "$dir/" ./cmd/countersign ./bench/deviceload ./bench/baseline ./bench/signin
}

# await FILE PATTERN waits until a file has a line and prints what matched first.
await() {
  local found
  for _ in $(seq 1000); do
    found=$(grep -oE "$2" "$1" 2>/dev/null | head -n 1) || true
    if [ -n "$found" ]; then
      echo "$found"
      return
    fi
    sleep 0.01
  done
  echo "the server did not start:" >&2
  cat "$1" >&2
  exit 1
}

# start NAME COMMAND… starts a server on its core and sets server; what it prints
# goes to $dir/NAME.out.
start() {
  local name=$1
  shift
  : >"$dir/$name.out"
  GOMAXPROCS=1 taskset -c 0 "$@" >"$dir/$name.out" 2>&1 &
  server=$!
  running[$server]=1
}

# start_database starts a PostgreSQL of our own, on any core, and sets database.
start_database() {
  go build -o "$dir/" ./bench/database
  "$dir/database" >"$dir/database.out" 2>&1 &
  running[$!]=1
  database=$(await "$dir/database.out" '^postgres://.*')
}

start_baseline() {
  start baseline "$dir/baseline"
  base=http://$(await "$dir/baseline.out" '^127\.0\.0\.1:[0-9]+')
}

# start_server DIR FLAGS… starts ours and sets base and server; the log goes to a
# file, as it would be JSON lines in production.
start_server() {
  local data=$1 name
  name=serve-$(basename "$data")
  shift
  # The load's client is not registered: of the pending requests it has a tenth.
  start "$name" "$dir/countersign" serve --listen 127.0.0.1:0 --data "$data" --device-poll-interval 1s --pending-limit 20000000 "$@"
  base=http://$(await "$dir/$name.out" '127\.0\.0\.1:[0-9]+')
}

# stop_server ends the server that was started last. Node ends by the signal, ours
# by itself.
stop_server() {
  kill "$server"
  wait "$server" || [ $? -eq 143 ]
  unset "running[$server]"
}

# load WORK BASE FLAGS… prints operations per second (median, least, most) and
# latencies (ms).
load() {
  local work=$1 at=$2
  shift 2
  taskset -c 1 "$dir/deviceload" -base "$at" -work "$work" -conns "$conns" -runs "$runs" -duration "$duration" -warmup 1s -interval 1s -json "$@"
}

# member NAME takes a number out of the load's JSON.
member() { sed -nE "s/.*\"$1\":([0-9.]+).*/\1/p"; }

# mean_rate JSON JSON: the bare handler is measured before and after, because a
# machine does not keep its pace; what is read beside it is the mean of the two.
mean_rate() {
  awk -v a="$(echo "$1" | member ops_per_s)" -v b="$(echo "$2" | member ops_per_s)" 'BEGIN { print (a + b) / 2 }'
}

# memory PID FIELD prints a process's VmRSS or VmHWM in KiB.
memory() { awk -v field="$2:" '$1 == field { print $2 }' "/proc/$1/status"; }
