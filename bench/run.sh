#!/usr/bin/env bash
# Measures the real binary beside a bare net/http handler, in one run on one
# machine: the server on one core (GOMAXPROCS=1), the load on another. Every answer
# is checked by the load; a wrong one fails the run.
#
#   bench/run.sh                      # about four minutes
#   RUNS=1 DURATION=3s bench/run.sh   # a first look
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

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
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$dir"
}
trap cleanup EXIT

echo "building"
CGO_ENABLED=0 go build -o "$dir/" ./cmd/countersign ./bench/deviceload ./bench/bare ./bench/signin

# await FILE PATTERN waits until a file has a line and prints what matched.
await() {
  for _ in $(seq 1000); do
    if grep -oE -m1 "$2" "$1" 2>/dev/null; then return; fi
    sleep 0.01
  done
  echo "the server did not start:" >&2
  cat "$1" >&2
  exit 1
}

GOMAXPROCS=1 taskset -c 0 "$dir/bare" >"$dir/bare.out" 2>&1 &
pids+=($!)
bare=http://$(await "$dir/bare.out" '^127\.0\.0\.1:[0-9]+')

# start_server DIR FLAGS… sets base and server; the log goes to a file, as it would
# be JSON lines in production.
start_server() {
  local data=$1
  shift
  : >"$dir/serve.out"
  # The load's client is not registered: of the pending requests it has a tenth.
  GOMAXPROCS=1 taskset -c 0 "$dir/countersign" serve --listen 127.0.0.1:0 --data "$data" --device-poll-interval 1s --pending-limit 20000000 "$@" \
    >"$dir/serve.out" 2>&1 &
  server=$!
  pids+=("$server")
  base=http://$(await "$dir/serve.out" '127\.0\.0\.1:[0-9]+')
}

stop_server() {
  kill "$server"
  wait "$server"
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

# row NAME JSON AGAINST AIM prints a line of the table; AGAINST is the bare rate.
row() {
  local rate
  rate=$(echo "$2" | member ops_per_s)
  awk -v n="$1" -v r="$rate" -v lo="$(echo "$2" | member min)" -v hi="$(echo "$2" | member max)" \
    -v p50="$(echo "$2" | member p50_ms)" -v p99="$(echo "$2" | member p99_ms)" -v b="$3" -v aim="$4" 'BEGIN {
      printf "%-22s %9.0f  (%.0f-%.0f)%*s %8.2f %8.2f", n, r, lo, hi, 15 - length(sprintf("(%.0f-%.0f)", lo, hi)), "", p50, p99
      if (b > 0) printf "   %5.1f %%  %s", 100 * r / b, aim
      printf "\n"
    }'
}

start_server "$dir/data"
cookie=$("$dir/signin" -base "$base")
token=$("$dir/signin" -base "$base" -token)

# The bare handler is measured before and after, because a machine does not keep
# its pace; what is read beside it is the mean of the two.
bare_before=$(load code "$bare")
polls=$(load poll "$base")
codes=$(load code "$base")
flows=$(load flow "$base" -cookie "$cookie")
userinfo=$(load userinfo "$base" -token "$token")
bare_after=$(load code "$bare")
bare_rate=$(awk -v a="$(echo "$bare_before" | member ops_per_s)" -v b="$(echo "$bare_after" | member ops_per_s)" 'BEGIN { print (a + b) / 2 }')

printf '%-22s %9s  %-15s %8s %8s   %7s  %s\n' "1 core, $conns clients" "ops/s" "(least-most)" "p50 ms" "p99 ms" "of bare" "aim"
row "bare handler, before" "$bare_before" 0 ""
row "bare handler, after" "$bare_after" 0 ""
row "pending polls" "$polls" "$bare_rate" "75 %"
row "durable device codes" "$codes" "$bare_rate" "40 %"
row "whole flows" "$flows" "$bare_rate" "8 %"
row "userinfo" "$userinfo" "$bare_rate" ""
stop_server

# Memory: a fresh server with 100 000 codes that live, after the load has gone.
start_server "$dir/memory"
"$dir/deviceload" -base "$base" -work poll -codes 100000 -conns "$conns" -runs 1 -duration 2s -warmup 1s -interval 1s -json >/dev/null
rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$server/status")
peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$server/status")
awk -v r="$rss" -v p="$peak" 'BEGIN { printf "\nmemory with 100 000 live codes: %.0f MiB (at most %.0f MiB)   aim: under 100 MiB\n", r / 1024, p / 1024 }'
stop_server

# Start: until ready, with the database of the run before.
began=$(date +%s%N)
start_server "$dir/memory"
until curl -sf -o /dev/null "$base/readyz"; do sleep 0.005; done
awk -v ns=$(($(date +%s%N) - began)) 'BEGIN { printf "start to ready with that database: %.0f ms (looked at every 10 ms)   aim: under 200 ms\n", ns / 1e6 }'
stop_server
