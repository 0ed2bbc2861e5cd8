#!/usr/bin/env bash
# Broken products on purpose: a rule is taken out of the lab's configuration, and the demonstration must go red, with a claim
# that is not true (not because it could not run).  Needs a release build; uses the lab without a name.
set -uo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
passed=0 failed=0
for rule in whole-table-change mask-people; do
  bash "$repository/scripts/lab.sh" down >/dev/null 2>&1
  bash "$repository/scripts/lab.sh" up >/dev/null || exit 1
  config=$(bash "$repository/scripts/lab.sh" env | sed -n 's/^WEIR_CONFIG=//p')
  python3 - "$config" "$rule" <<'PY' || exit 1
import re, sys
path, rule = sys.argv[1:]
text = open(path).read()
without = re.sub(r"(?ms)^  - id: %s\n.*?(?=^\S|^  - id: |\Z)" % re.escape(rule), "", text)
sys.exit("no such rule in the configuration") if without == text else open(path, "w").write(without)
PY
  output=$(bash "$repository/scripts/demo.sh" 2>&1)
  code=$?
  if [ "$code" -ne 0 ] && [[ $output == *"[FALSE]"* ]] && [[ $output == *"of them not true"* ]]; then
    passed=$((passed + 1))
    echo "ok   without the rule $rule the demonstration is red: $(grep -c '\[FALSE\]' <<<"$output") claims are not true"
  else
    failed=$((failed + 1))
    echo "FAIL without the rule $rule the demonstration ends with $code"
    tail -n 5 <<<"$output" | sed 's/^/       /'
  fi
  bash "$repository/scripts/lab.sh" down >/dev/null
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
