#!/usr/bin/env bash
# fuzz.sh MINUTES [TARGET...]: runs every libFuzzer target of build-fuzz in turn, all together for MINUTES.
#
# Each begins with its stored corpus (tests/corpus/TARGET) and what earlier runs found (build-fuzz/corpus/TARGET), with
# the words of tests/corpus/TARGET.dict where there are some. A finding is kept in build-fuzz/findings and makes the
# exit status 1. The last line says N passed, N failed, N skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:?usage: fuzz.sh MINUTES [TARGET...]}
shift
[[ $minutes =~ ^[0-9]+$ && $minutes -ge 1 ]] || { echo "fuzz: '$minutes' is no number of minutes" >&2; exit 64; }
if [ $# -eq 0 ]; then
	mapfile -t targets < <(cd tests/corpus && ls -d -- *_fuzz)
else
	targets=("$@")
fi
seconds=$((minutes * 60 / ${#targets[@]}))
[ "$seconds" -ge 1 ] || seconds=1
findings=build-fuzz/findings
mkdir -p "$findings" build-fuzz/log
running=
trap '[ -z "$running" ] || kill "$running" 2>/dev/null; exit 130' INT TERM

run() { # TARGET: its log goes to build-fuzz/log/TARGET
	local found=build-fuzz/corpus/$1 words=()
	mkdir -p "$found"
	[ -f "tests/corpus/$1.dict" ] && words=("-dict=tests/corpus/$1.dict")
	"build-fuzz/$1" "${words[@]}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$findings/$1-" "$found" "tests/corpus/$1" >"build-fuzz/log/$1" 2>&1 &
	running=$!
	wait "$running"
}

report() { # TARGET WORD: one line from its log
	local log=build-fuzz/log/$1
	printf '%-28s %10s %8s %8s %8s  %s\n' "$1" \
		"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
		"$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")" \
		"$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -1)" \
		"$(sed -n 's/.* ft: \([0-9]*\).*/\1/p' "$log" | tail -1)" "$2"
}

passed=0 failed=0
printf '%-28s %10s %8s %8s %8s\n' target runs runs/s edges features
for target in "${targets[@]}"; do
	if run "$target"; then
		report "$target" ok
		passed=$((passed + 1))
	else
		report "$target" FAILED
		sed -n 's/^SUMMARY: */    /p; s/.*Test unit written to /    input kept: /p' "build-fuzz/log/$target"
		echo "    again: build-fuzz/$target INPUT; all it said: build-fuzz/log/$target"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
