#!/usr/bin/env bash
# gcov, so that gcovr before 6 counts branches as one would. Dropped are those of code that was never executed: of these
# gcov does not say which are of exceptions; that the code was not executed, the line or the branch before it says. And
# those of a line that gcov shows both for all instantiations of a template and for each: the first are all branches of
# all instantiations one after the other, whereas gcovr adds up the second, so that a branch is covered once one of the
# instantiations has taken it.
set -euo pipefail
output=$(gcov "$@")
printf '%s\n' "$output"
# Others may be at work in this directory.
sed -n "s/^Creating '\(.*\.gcov\)'$/\1/p" <<< "$output" | while IFS= read -r file; do
  awk '
    function line_number(text) { split(text, field, ":"); return field[2] + 0 }
    { is_source = /^ *[^ :]+: *[0-9]+:/ }
    /^------------------$/ { marked = 1 }
    # The name of an instantiation is on the line after a mark; what is not, is of all of them again.
    !/^------------------$/ && marked { inside = !is_source; marked = 0 }
    NR == FNR { if (inside && is_source) shown[line_number($0)] = 1; next }
    is_source { drop = !inside && (line_number($0) in shown) }
    /^branch / && (drop || /never executed$/) { next }
    { print }
  ' "$file" "$file" > "$file.counted"
  mv "$file.counted" "$file"
done
