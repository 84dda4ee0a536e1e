#!/usr/bin/env bash
# fuzz.sh [--minutes N] [--afl] [--target NAME]...: runs fuzz targets in turn, for N minutes in all (default 10).
#
# With libFuzzer (build-fuzz), every target of tests/fuzz.tsv: each begins with its stored corpus (tests/corpus/TARGET)
# and what earlier runs found (build-fuzz/corpus/TARGET), with the words of tests/corpus/TARGET.dict where there are
# some. A line says what it did, and how many of the lines of the files that are its subject it has reached; the same
# is kept in build-fuzz/coverage.txt. With --afl (build-afl), the targets that read a session as plain text, with the
# seeds and the dictionary of $CONFORMANCE_DIR (default ../shared/conformance).
#
# A finding is kept in build-fuzz/findings and makes the exit status 1. The last line: N passed, N failed, N skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=10 afl=0 targets=()
usage() { echo "fuzz: $1; usage: ./dev fuzz [--minutes N] [--afl] [--target NAME]..." >&2; exit 64; }
while [ $# -gt 0 ]; do
	case $1 in
	--minutes) minutes=${2:-} && shift 2 || usage "--minutes needs a number" ;;
	--target) targets+=("${2:-}") && shift 2 || usage "--target needs a name" ;;
	--afl) afl=1 && shift ;;
	*) usage "unknown option '$1'" ;;
	esac
done
[[ $minutes =~ ^[0-9]+$ && $minutes -ge 1 ]] || usage "'$minutes' is no number of minutes"
for target in "${targets[@]}"; do
	grep -q "^$target	" tests/fuzz.tsv || usage "no target '$target' in tests/fuzz.tsv"
done
if [ ${#targets[@]} -eq 0 ]; then
	mapfile -t targets < <(if [ "$afl" = 1 ]; then echo smtp-server_fuzz; else grep -o '^[a-z][^	]*' tests/fuzz.tsv; fi)
fi
seconds=$((minutes * 60 / ${#targets[@]}))
[ "$seconds" -ge 1 ] || seconds=1
conformance=${CONFORMANCE_DIR:-../shared/conformance}
findings=build-fuzz/findings coverage=build-fuzz/coverage.txt
mkdir -p "$findings" build-fuzz/log build-fuzz/profile
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
running=
trap '[ -z "$running" ] || kill "$running" 2>/dev/null; exit 130' INT TERM

run() { # TARGET: its log goes to build-fuzz/log/TARGET
	local found=build-fuzz/corpus/$1 words=()
	mkdir -p "$found"
	[ -f "tests/corpus/$1.dict" ] && words=("-dict=tests/corpus/$1.dict")
	LLVM_PROFILE_FILE="build-fuzz/profile/$1.raw" \
		"build-fuzz/$1" "${words[@]}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$findings/$1-" "$found" "tests/corpus/$1" >"build-fuzz/log/$1" 2>&1 &
	running=$!
	wait "$running"
}

lines_of() { # TARGET: "1,234 of 1,300 lines, 94.9 %" of its subject (tests/fuzz.tsv)
	local raw=build-fuzz/profile/$1.raw sources
	sources=$(sed -n "s/^$1	\([^	]*\).*/\1/p" tests/fuzz.tsv)
	[ -s "$raw" ] || { echo "not measured"; return; }
	llvm-profdata merge -o "${raw%.raw}" "$raw"
	llvm-cov report "build-fuzz/$1" -instr-profile="${raw%.raw}" |
		awk -v wanted=" $sources " 'sub("^.*/(src|floors/[a-z]*)/", "", $1) && index(wanted, " " $1 " ") { lines += $8; missed += $9 }
			END { if (lines) printf "%d of %d lines, %.1f %%\n", lines - missed, lines, 100 * (lines - missed) / lines }'
}

report() { # TARGET WORD: one line from its log
	local log=build-fuzz/log/$1
	printf '%-28s %10s %8s %8s %8s  %-28s %s\n' "$1" \
		"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
		"$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")" \
		"$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)" \
		"$(sed -n 's/.* ft: \([0-9]*\).*/\1/p' "$log" | tail -n 1)" "$(lines_of "$1")" "$2"
}

show_failure() { # TARGET
	sed -n 's/^SUMMARY: */    /p; s/.*does not hold: /    does not hold: /p; s/.*Test unit written to /    input kept: /p' \
		"build-fuzz/log/$1"
	echo "    again: build-fuzz/$1 INPUT; all it said: build-fuzz/log/$1"
}

run_afl() { # TARGET: the same with AFL++
	local seeds=build-afl/seeds/$1 out=build-afl/out/$1 words=()
	rm -rf "$seeds" "$out"
	mkdir -p "$seeds" build-afl/out
	cp tests/corpus/"$1"/* "$seeds"
	if [ "$1" = smtp-server_fuzz ] && [ -d "$conformance/fuzz-seeds" ]; then
		/usr/bin/python3 tools/fuzz_seeds.py "$conformance/fuzz-seeds" "$seeds"
		words=(-x "$conformance/fuzz-seeds/profuzzbench/smtp.dict")
	fi
	[ -f "tests/corpus/$1.dict" ] && words+=(-x "tests/corpus/$1.dict")
	AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 \
		afl-fuzz -V "$seconds" -i "$seeds" -o "$out" "${words[@]}" -- "build-afl/$1" >"build-fuzz/log/$1-afl" 2>&1 &
	running=$!
	wait "$running" || return 1
	sed -n 's/^\(execs_done\|execs_per_sec\|edges_found\|total_edges\|saved_crashes\|saved_hangs\) *: */\1 /p' \
		"$out/default/fuzzer_stats" | paste -sd ' ' | sed "s/^/$1: /"
	for input in "$out"/default/{crashes,hangs}/id*; do
		[ ! -e "$input" ] || cp "$input" "$findings/$1-afl-$(basename "$input" | tr ':,' '__')"
	done
	! ls "$findings/$1"-afl-* >/dev/null 2>&1
}

passed=0 failed=0
if [ "$afl" = 1 ]; then
	for target in "${targets[@]}"; do
		if run_afl "$target"; then
			passed=$((passed + 1))
		else
			echo "$target: FAILED; see $findings and build-fuzz/log/$target-afl"
			failed=$((failed + 1))
		fi
	done
	echo "$passed passed, $failed failed, 0 skipped"
	[ "$failed" -eq 0 ]
	exit
fi
: >"$coverage"
printf '%-28s %10s %8s %8s %8s  %-28s\n' target runs runs/s edges features 'of its subject' | tee -a "$coverage"
for target in "${targets[@]}"; do
	rm -f "build-fuzz/profile/$target.raw"
	if run "$target"; then
		report "$target" ok | tee -a "$coverage"
		passed=$((passed + 1))
	else
		report "$target" FAILED | tee -a "$coverage"
		show_failure "$target"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
