#!/usr/bin/env bash
# Runs every test there is, and says plainly what passed.  Release and ASan/UBSan builds, the fuzz corpora, and the lab's
# end-to-end checks.  Non-zero exit if anything failed or could not run.
# Usage: scripts/test.sh [--quick | --full]
#   --quick   release build and its tests only: no sanitizers, no fuzzing, no seeded bugs, no lab
#   --full    adds the ThreadSanitizer and the clang build with their tests
# Environment: WEIR_JOBS (parallel compile jobs, by default all cores), WEIR_FUZZ_SECONDS (for each fuzz target, by default 60)
set -uo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$repository"

quick= full=
case ${1:-} in
  '') ;;
  --quick) quick=1 ;;
  --full) full=1 ;;
  -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "test: unknown argument $1" >&2; exit 2 ;;
esac
jobs=${WEIR_JOBS:-$(nproc)}
logs=$repository/build/test-logs
mkdir -p "$logs"
: >"$logs/failures.log"

passed=0 failed=0 summary=()
# note STEP PASSED FAILED [REMARK]
note() {
  passed=$((passed + $2)) failed=$((failed + $3))
  summary+=("$(printf '%-28s %5d passed %5d failed  %4ds  %s' "$1" "$2" "$3" "$((SECONDS - step_start))" "${4:-}")")
}
begin() { step_start=$SECONDS step_name=$1; echo; echo "== $1"; }

# failures FAILED NEXT LOG: what the log says from each line like FAILED to the next like NEXT, kept for the end, where nobody has
# to look for it.
failures() {
  awk -v step="$step_name" -v at="$1" -v next_case="$2" '
    $0 ~ at { print step ": " $0; left = 40; next }
    $0 ~ next_case { left = 0 }
    left-- > 0' "$3" >>"$logs/failures.log"
}

finish() {
  if [ -s "$logs/failures.log" ]; then
    echo
    echo "== What failed, also once only (build/test-logs/failures.log)"
    tail -n 300 "$logs/failures.log"
  fi
  echo
  echo "== Summary ($((SECONDS / 60)) min $((SECONDS % 60)) s; logs in build/test-logs)"
  printf '%s\n' "${summary[@]}"
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

# build PRESET [TARGET...]: configure and build; the warnings and errors go to the log, their end to the screen.
build() {
  local preset=$1 log=$logs/build-$1.log
  shift
  begin "build $preset"
  if cmake --preset "$preset" >"$log" 2>&1 && cmake --build "build/$preset" -j "$jobs" ${1:+--target "$@"} >>"$log" 2>&1; then
    note "build $preset" 1 0
    return 0
  fi
  grep -E 'error|FAILED|warning' "$log" | head -n 30
  tail -n 15 "$log"
  failures 'error|FAILED' '^\\[' "$log"
  note "build $preset" 0 1 "see build/test-logs/build-$preset.log"
  return 1
}

# tests PRESET: every CTest case of that build.  No case at all is a failure.
tests() {
  local preset=$1 log=$logs/ctest-$1.log total bad
  begin "tests $preset"
  ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --timeout 900 >"$log" 2>&1
  bad=$(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+)$/\1/p' "$log")
  total=$(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+)$/\2/p' "$log")
  if [ -z "$total" ] || [ "$total" -eq 0 ]; then
    tail -n 15 "$log"
    note "tests $preset" 0 1 "no tests ran"
    return
  fi
  [ "$bad" -eq 0 ] || sed -n '/The following tests FAILED/,$p' "$log"
  failures '\\*\\*\\*(Failed|Exception|Timeout|Skipped|Not Run)' '^ *Start +[0-9]+:|^ *[0-9]+/[0-9]+ Test|tests passed' "$log"
  local untried
  untried=$(grep -cE '\*\*\*(Skipped|Not Run)' "$log")  # CTest takes them for passed.
  [ "$untried" -eq 0 ] || grep -E '\*\*\*(Skipped|Not Run)' "$log"
  note "tests $preset" $((total - bad - untried)) $((bad + untried))
}

# runner STEP COMMAND...: one that ends with "N passed, N failed".
runner() {
  local step=$1 log good bad
  shift
  log=$logs/${step// /-}.log
  begin "$step"
  "$@" 2>&1 | tee "$log"
  good=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1/p' "$log" | tail -n 1)
  bad=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\2/p' "$log" | tail -n 1)
  failures '^(FAIL|SHAKY) |\\[FALSE\\]' '^(ok|FAIL|SHAKY) |^$|passed, [0-9]+ failed$' "$log"
  local shaky
  shaky=$(grep -c '^true only at the second try: ' "$log")
  [ "$shaky" -eq 0 ] && shaky= || shaky="$shaky only at the second try"
  if [ -z "$bad" ]; then note "$step" 0 1 "the runner did not finish"; else note "$step" "$good" "$bad" "$shaky"; fi
}

begin setup
if bash scripts/setup.sh; then note setup 1 0; else note setup 0 1; finish; fi
build release && tests release
[ -n "$quick" ] && finish
build asan && tests asan  # By clang, with the fuzz targets.
if [ -n "$full" ]; then
  build tsan && tests tsan
  build clang && tests clang
fi
runner "same trace" bash tests/simulation/same_trace build/release build/asan
runner fuzz bash tests/fuzz/run
runner "seeded bugs" python3 tests/bugs/run
runner "end to end" python3 tests/e2e/run
runner "demonstration" bash -c 'scripts/demo.sh && echo "1 passed, 0 failed" || echo "0 passed, 1 failed"'
runner "broken products" bash tests/e2e/broken.sh
finish
