#!/usr/bin/env bash
# tools/steps.sh STEP…: make targets one after the other, each timed; stops at the first that fails and names it.
set -uo pipefail
cd "$(dirname "$0")/.."

summary=""
for step in "$@"; do
  printf '\n==> %s\n' "$step"
  begin=$SECONDS
  if ! "${MAKE:-make}" --no-print-directory "$step"; then
    printf '\nFAILED: %s, after %d s. Run it alone: make %s\n' "$step" $((SECONDS - begin)) "$step" >&2
    exit 1
  fi
  summary+=$(printf '  %-14s %5d s' "$step" $((SECONDS - begin)))$'\n'
done
printf '\nAll %d steps passed.\n%s  %-14s %5d s\n' $# "$summary" total "$SECONDS"
