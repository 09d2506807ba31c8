#!/usr/bin/env bash
# Measures ours, the bare handler, two peers from the npm registry and Ory Hydra in one
# run on one machine: each server alone on one core, the same load on another, every
# answer checked. Prints the tables of docs/performance.md, with versions and settings.
#
#   make bench-peers                         # installs the peers, then about nine minutes
#   RUNS=1 DURATION=2s make bench-peers      # a first look
set -euo pipefail
: "${RUNS:=5}"
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if ! [ -d bench/peers/node_modules ]; then
  echo "the peers are not installed: run make bench-peers" >&2
  exit 1
fi

# start_peer NAME ARGS… starts bench/peers/NAME.mjs and sets base and server.
start_peer() {
  local name=$1
  shift
  NODE_ENV=production start "$name" node "bench/peers/$name.mjs" "$@"
  base=$(await "$dir/$name.out" '^listening http://127\.0\.0\.1:[0-9]+')
  base=${base#listening }
}

# told NAME WORD prints what a peer said of itself on the line that begins with WORD.
told() { sed -n "s/^$2 //p" "$dir/$1.out"; }

# measure NAME WORK FLAGS… keeps the load's answer as $dir/NAME.json.
measure() {
  echo "measuring $1" >&2
  load "$2" "$base" "${@:3}" >"$dir/$1.json"
}

# measure_memory NAME keeps what the last server has resident.
measure_memory() { memory "$server" VmRSS >"$dir/$1-memory"; }

build
echo "building Hydra, which takes minutes the first time" >&2
go -C bench/peers/hydra build -tags sqlite,json1,sqlite_omit_load_extension -ldflags "-s -w" -o "$dir/hydra" github.com/ory/hydra/v2

start_baseline
measure baseline-before code
measure_memory baseline
stop_server

start_server "$dir/data"
measure ours-code code
measure ours-poll poll
measure ours-flow flow -userinfo-path ""
measure ours-userinfo flow
measure_memory ours
service=(-client bench-service -secret "$("$dir/countersign" clients add bench-service --confidential --scope "openid profile offline_access" \
  --grant-type urn:ietf:params:oauth:grant-type:device_code --grant-type refresh_token --data "$dir/data" 2>/dev/null)")
measure ours-introspection introspect -token "$("$dir/signin" -base "$base" "${service[@]}")" "${service[@]}"
measure ours-refresh refresh -token-path /api/auth/oauth2/token "${service[@]}"
stop_server

# A slow server gets a shorter ring of codes: none is polled twice within its interval.
start_peer better-auth "$dir/better-auth.db"
measure better-auth-code code
measure better-auth-poll poll -codes 2000
measure better-auth-flow flow -cookie "$(told better-auth cookie)" -userinfo-path ""
measure_memory better-auth
stop_server

# Its adapter keeps 1 000 entries and a code takes two, so that few codes are polled
# often; it has no slow_down for that.
oidc=(-code-path /device/auth -token-path /token -code-form -token-form)
start_peer oidc-provider
measure oidc-provider-code code "${oidc[@]}"
measure oidc-provider-poll poll "${oidc[@]}" -codes 400 -interval 1ms
measure_memory oidc-provider
stop_server

start_peer oidc-provider # once more, for its memory has lost what it had before so many codes
service=(-client bench-service -secret bench)
told oidc-provider refresh >"$dir/oidc-provider-tokens"
measure oidc-provider-introspection introspect -introspection-path /token/introspection -token "$(told oidc-provider access)" "${service[@]}"
measure oidc-provider-refresh refresh -token-path /token -refresh-tokens "$dir/oidc-provider-tokens" "${service[@]}"
stop_server

mkdir "$dir/hydra-data"
start_peer hydra "$dir/hydra" "$dir/hydra-data"
service=(-client "$(told hydra client)" -secret "$(told hydra secret)")
told hydra refresh >"$dir/hydra-tokens"
public=$base base=$(told hydra admin) # a refresh ends the access token before
measure hydra-introspection introspect -introspection-path /admin/oauth2/introspect -token "$(told hydra access)" "${service[@]}"
base=$public
measure hydra-refresh refresh -token-path /oauth2/token -refresh-tokens "$dir/hydra-tokens" "${service[@]}"
stop_server

start_baseline
measure baseline-after code
stop_server

# rate FILE prints a measured rate.
rate() { member ops_per_s <"$dir/$1.json"; }

# cell FILE… prints "median (least-most)", of several the mean and the widest span.
cell() {
  local file
  for file in "$@"; do
    echo "$(rate "$file") $(member min <"$dir/$file.json") $(member max <"$dir/$file.json")"
  done | awk '
    { sum += $1; if (NR == 1 || $2 < least) least = $2; if ($3 > most) most = $3 }
    END { printf "%.0f (%.0f-%.0f)", sum / NR, least, most }'
}

# times A B prints how many times B goes into A, percent A B the share of B.
times() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f×", a / b }'; }
percent() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.0f %%", 100 * a / b }'; }
mib() { awk '{ printf "%.0f", $1 / 1024 }' "$dir/$1-memory"; }

# line CELLS… prints a line of the table.
line() { printf '| %s ' "$@" && echo "|"; }

baseline_rate=$(mean_rate "$(cat "$dir/baseline-before.json")" "$(cat "$dir/baseline-after.json")")
code=$(rate ours-code) poll=$(rate ours-poll) flow=$(rate ours-flow)

echo
line "" "bare handler" Countersign better-auth oidc-provider "of bare" aim "to better-auth" aim "to oidc-provider" aim
line --- ---: ---: ---: ---: ---: ---: ---: ---: ---: ---:
line "device codes/s" "$(cell baseline-before baseline-after)" "$(cell ours-code)" "$(cell better-auth-code)" "$(cell oidc-provider-code)" \
  "$(percent "$code" "$baseline_rate")" "40 %" "$(times "$code" "$(rate better-auth-code)")" 15× "$(times "$code" "$(rate oidc-provider-code)")" 3×
line "pending polls/s" "as above" "$(cell ours-poll)" "$(cell better-auth-poll)" "$(cell oidc-provider-poll)" \
  "$(percent "$poll" "$baseline_rate")" "75 %" "$(times "$poll" "$(rate better-auth-poll)")" 35× "$(times "$poll" "$(rate oidc-provider-poll)")" 4.5×
line "whole flows/s, without userinfo" "" "$(cell ours-flow)" "$(cell better-auth-flow)" "not measured" "" "" \
  "$(times "$flow" "$(rate better-auth-flow)")" 20× "" ""
line "whole flows/s" "" "$(cell ours-userinfo)" "" "" "" "" "" "" "" ""
line "resident after the run, MiB" "$(mib baseline)" "$(mib ours)" "$(mib better-auth)" "$(mib oidc-provider)" \
  "" "" "$(percent "$(cat "$dir/ours-memory")" "$(cat "$dir/better-auth-memory")")" "25 %" "" ""

echo
line "" Countersign oidc-provider Hydra "of bare" "to oidc-provider" aim "to Hydra" aim
line --- ---: ---: ---: ---: ---: ---: ---: ---:
for work in refresh introspection; do
  rate=$(rate "ours-$work")
  aims=(5× 20×)
  [ "$work" = refresh ] || aims=(3× 10×)
  line "$work, /s" "$(cell "ours-$work")" "$(cell "oidc-provider-$work")" "$(cell "hydra-$work")" "$(percent "$rate" "$baseline_rate")" \
    "$(times "$rate" "$(rate "oidc-provider-$work")")" "${aims[0]}" "$(times "$rate" "$(rate "hydra-$work")")" "${aims[1]}"
done

cat <<END

Each value is the median (least-most) of $runs runs of $duration, with $conns connections; the bare handler was measured before and after all others.

- Countersign $(git describe --tags --always --dirty 2>/dev/null || echo "of an unknown commit"), $(go env GOVERSION), SQLite in WAL with \`synchronous=FULL\`, polling interval 1 s, 40 000 codes polled, one log line for each approval
- $(told better-auth version), Node $(node --version): the same of SQLite, polling interval 1 s, 2 000 codes polled; rate limiter, log and telemetry off
- $(told oidc-provider version), Node $(node --version): nothing on disk, 400 codes polled; no log; refresh tokens rotate at each use, as everybody's here; opaque tokens
- $(told hydra version): SQLite in WAL with \`synchronous=FULL\`, log of errors only; opaque tokens, asked about at its admin port
- \`NODE_ENV=production\`; server on core 0, load on core 1; $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, Linux $(uname -r), databases on $(df --output=fstype "$dir" | tail -n 1); load average $busy at the start
END
