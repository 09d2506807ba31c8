#!/usr/bin/env bash
# Measures the real binary beside a bare net/http handler, in one run on one
# machine: the server on one core (GOMAXPROCS=1), the load on another. Every answer
# is checked by the load; a wrong one fails the run.
#
#   bench/run.sh                      # about four minutes
#   RUNS=1 DURATION=3s bench/run.sh   # a first look
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build
start_baseline
baseline=$base

# row NAME JSON AGAINST AIM prints a line of the table; AGAINST is the bare rate, 0
# for a line that is not read beside it.
row() {
  local rate
  rate=$(echo "$2" | member ops_per_s)
  awk -v n="$1" -v r="$rate" -v lo="$(echo "$2" | member min)" -v hi="$(echo "$2" | member max)" \
    -v p50="$(echo "$2" | member p50_ms)" -v p99="$(echo "$2" | member p99_ms)" -v b="$3" -v aim="$4" 'BEGIN {
      printf "%-26s %9.0f  (%.0f-%.0f)%*s %8.2f %8.2f", n, r, lo, hi, 15 - length(sprintf("(%.0f-%.0f)", lo, hi)), "", p50, p99
      if (b > 0) printf "   %5.1f %%", 100 * r / b
      else if (aim != "") printf "%10s", ""
      if (aim != "") printf "  %s", aim
      printf "\n"
    }'
}

start_server "$dir/data"
token=$("$dir/signin" -base "$base")
# A service asks about a token of its own, which a person approved, and gets others for itself.
service=(-client bench-service -secret "$("$dir/countersign" clients add bench-service --confidential --scope "openid profile offline_access jobs:run" \
  --grant-type urn:ietf:params:oauth:grant-type:device_code --grant-type refresh_token --grant-type client_credentials --data "$dir/data" 2>/dev/null)")
service_token=$("$dir/signin" -base "$base" "${service[@]}")
# An application leads its users here and back.
web=(-client bench-web -secret "$("$dir/countersign" clients add bench-web --confidential --scope "openid profile" \
  --redirect-uri https://app.example/callback --grant-type authorization_code --data "$dir/data" 2>/dev/null)")

baseline_before=$(load code "$baseline")
polls=$(load poll "$base")
codes=$(load code "$base")
flows=$(load flow "$base")
userinfo=$(load userinfo "$base" -token "$token")
introspection=$(load introspect "$base" -token "$service_token" "${service[@]}")
credentials=$(load credentials "$base" -token-path /api/auth/oauth2/token "${service[@]}")
refreshes=$(load refresh "$base" -token-path /api/auth/oauth2/token "${service[@]}")
exchanges=$(load exchange "$base" -token-path /api/auth/oauth2/token "${web[@]}")
# 200 devices wait, each for two seconds.
waits=$(load wait "$base" -conns 200 -rate 100)
baseline_after=$(load code "$baseline")
baseline_rate=$(mean_rate "$baseline_before" "$baseline_after")

printf '%-26s %9s  %-15s %8s %8s   %7s  %s\n' "1 core, $conns clients" "ops/s" "(least-most)" "p50 ms" "p99 ms" "of bare" "aim"
row "bare handler, before" "$baseline_before" 0 ""
row "bare handler, after" "$baseline_after" 0 ""
row "pending polls" "$polls" "$baseline_rate" "75 %"
row "durable device codes" "$codes" "$baseline_rate" "40 %"
row "whole flows" "$flows" "$baseline_rate" "8 %"
row "userinfo" "$userinfo" "$baseline_rate" "60 %"
row "introspection" "$introspection" "$baseline_rate" "60 %"
row "client credentials" "$credentials" "$baseline_rate" "25 %"
row "rotating refreshes" "$refreshes" "$baseline_rate" "10 %"
row "code exchanges" "$exchanges" "$baseline_rate" "8 %"
row "approval to token, waiting" "$waits" 0 "p99 20 ms"
stop_server

# Memory: a fresh server with 100 000 codes that live, after the load has gone.
start_server "$dir/memory"
"$dir/deviceload" -base "$base" -work poll -codes 100000 -conns "$conns" -runs 1 -duration 2s -warmup 1s -interval 1s -json >/dev/null
rss=$(memory "$server" VmRSS)
peak=$(memory "$server" VmHWM)
awk -v r="$rss" -v p="$peak" 'BEGIN { printf "\nmemory with 100 000 live codes: %.0f MiB (at most %.0f MiB)   aim: under 100 MiB\n", r / 1024, p / 1024 }'
stop_server

# Start: until ready, with the database of the run before.
began=$(date +%s%N)
start_server "$dir/memory"
until curl -sf -o /dev/null "$base/readyz"; do sleep 0.005; done
awk -v ns=$(($(date +%s%N) - began)) 'BEGIN { printf "start to ready with that database: %.0f ms (looked at every 10 ms)   aim: under 200 ms\n", ns / 1e6 }'
stop_server

# PostgreSQL on the same machine, its processes on both cores. Two servers share one
# core with each other: what is read is what the second costs.
start_database
(umask 077 && head -c 32 /dev/urandom >"$dir/secret") # which nobody else may read
shared=(--database "$database" --secret-file "$dir/secret")
start_server "$dir/one" "${shared[@]}"
one=$base first=$server
pg_polls=$(load poll "$one")
pg_codes=$(load code "$one")
pg_flows=$(load flow "$one")
start_server "$dir/two" "${shared[@]}" --issuer "$one"
two=$base
load flow "$one" -conns $((conns / 2)) >"$dir/half" &
half=$!
other_half=$(load flow "$two" -origin "$one" -conns $((conns / 2)))
wait "$half"
pg_waits=$(load wait "$one" -approve-at "$two" -origin "$one" -conns 200 -rate 100)
sqlite_rate=$(echo "$flows" | member ops_per_s)

printf '\n%-26s %9s  %-15s %8s %8s   %7s  %s\n' "PostgreSQL" "ops/s" "(least-most)" "p50 ms" "p99 ms" "of" "aim"
row "pending polls" "$pg_polls" "$baseline_rate" "bare"
row "durable device codes" "$pg_codes" "$baseline_rate" "bare"
row "whole flows" "$pg_flows" "$sqlite_rate" "SQLite; aim 50 %"
both=$(awk -v a="$(member ops_per_s <"$dir/half")" -v b="$(echo "$other_half" | member ops_per_s)" 'BEGIN { print a + b }')
awk -v n="whole flows, two servers" -v r="$both" -v o="$(echo "$pg_flows" | member ops_per_s)" 'BEGIN {
  printf "%-26s %9.0f  %-15s %8s %8s   %5.1f %%  one server; aim 100 %%\n", n, r, "", "", "", 100 * r / o }'
row "approval to token, across" "$pg_waits" 0 "p99 60 ms"
stop_server
server=$first
stop_server
