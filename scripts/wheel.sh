#!/usr/bin/env bash
# Builds the wheel and tries it, away from the checkout, on every supported Python found here.
#
# usage: wheel.sh      after `make setup-dev`
set -euo pipefail
cd "$(dirname "$0")/.."
checkout=$PWD
# Whoever needs a compiler after all is to fail here, not on a head that has none.
export CC=/bin/false CXX=/bin/false
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

.venv/bin/python -m hatchling build --target wheel --directory "$work/dist"
wheel=("$work"/dist/hwctl-*.whl)
expected=$(.venv/bin/python -c 'import hwctl; print(hwctl.__version__)')

# Where a Python of this version may be: the system's, any on PATH, pyenv's.
find_python() {
    local candidate
    for candidate in "/usr/bin/python$1" "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python3; do
        if "$candidate" -I -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

tried=0
for version in 3.11 3.12 3.13 3.14; do
    if ! python=$(find_python "$version"); then
        echo "CPython $version: not on this machine, not tried"
        continue
    fi
    venv=$work/$version
    "$python" -I -m venv "$venv"
    pip=("$venv/bin/python" -I -m pip -qq --no-input --disable-pip-version-check)
    "${pip[@]}" install --require-hashes --only-binary :all: -r requirements.txt
    "${pip[@]}" install --no-deps "${wheel[0]}"
    "${pip[@]}" check
    said=$(cd / && "$venv/bin/hwctl" --version)
    if [[ $said != *"$expected"* ]]; then
        echo "CPython $version: hwctl --version said \"$said\", not $expected" >&2
        exit 1
    fi
    (cd / && "$venv/bin/hwctl" check "$checkout/wiring/football.hwctl.toml")
    (cd / && "$venv/bin/hwctl" install --prefix "$work/head-$version" --yes \
        --command /opt/hwctl/bin/hwctl --config "$checkout/wiring/football.hwctl.toml") >/dev/null
    echo "CPython $version: installed, $said, football checked and put on a head"
    tried=$((tried + 1))
done
((tried > 0))
