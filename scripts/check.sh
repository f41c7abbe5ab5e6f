#!/usr/bin/env bash
# What `make check` does: every check is run, each with its time; any failure fails the whole.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=.venv/bin
failed=()

check() {
    local name=$1 before=${EPOCHREALTIME/./} output
    shift
    if output=$("$@" 2>&1); then
        printf '%-34s ok     %5.1f s\n' "$name" "$(((${EPOCHREALTIME/./} - before) / 100000))e-1"
    else
        printf '%-34s FAILED %s\n%s\n' "$name" "($*)" "$output"
        failed+=("$name")
    fi
}

parse_shell() {
    local script
    for script in .ci/run lab/*.sh scripts/*.sh; do
        bash -n "$script" || return 1
    done
}

check "format" "$bin/ruff" format --check .
check "lint" "$bin/ruff" check .
check "types" "$bin/mypy"
check "layers" "$bin/lint-imports"
check "generated: settings" "$bin/python" -m hwctl.config.docs --check
check "generated: hardware" "$bin/python" -m hwctl.config.hardware --check
check "generated: udev rules" "$bin/python" -m hwctl.config.udev --check
check "generated: README's figures" "$bin/python" scripts/readme_figures.py --check
check "pins in step with pyproject.toml" "$bin/python" scripts/pins.py check
check "shell scripts parse" parse_shell

if ((${#failed[@]})); then
    printf 'make check: %d failed\n' "${#failed[@]}" >&2
    exit 1
fi
