#!/usr/bin/env bash
# Runs each libFuzzer target of build/fuzz (one a folder of tests/fuzz/corpus) for a number of seconds, from that folder
# and what earlier runs found (build/fuzz/corpus). What breaks one stays in build/fuzz/findings; the target with that file
# as its argument shows it.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
mkdir -p build/fuzz/findings
for folder in tests/fuzz/corpus/*/; do
  reader=$(basename "$folder")
  found=build/fuzz/corpus/$reader log=build/fuzz/$reader.log
  mkdir -p "$found"
  if ! build/fuzz/tests/fuzz/fuzz_$reader -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 \
    -print_final_stats=1 -artifact_prefix=build/fuzz/findings/ "$found" tests/fuzz/corpus/$reader >"$log" 2>&1; then
    tail -40 "$log"
    echo "fuzz: $reader has a finding" >&2
    exit 1
  fi
  echo "fuzz: $reader, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, no finding"
done
