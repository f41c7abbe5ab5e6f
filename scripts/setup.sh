#!/usr/bin/env bash
# Makes .venv: hwctl, installed editable, on pinned packages. Called by make.
#
# usage: setup.sh runtime|dev      (PYTHON names the interpreter, default python3)
#
# Does nothing when .venv already fits the pins, pyproject.toml, this folder and the Python.
set -euo pipefail
cd "$(dirname "$0")/.."

level=${1:?usage: setup.sh runtime|dev}
python=${PYTHON:-python3}
venv=.venv
stamp=$venv/hwctl-setup

refuse() {
    printf 'set-up refused: %s\n' "$1" >&2
    shift
    printf '    %s\n' "$@" >&2
    exit 1
}

case $level in
    runtime) pins=requirements.txt ;;
    dev) pins=requirements-dev.txt ;;
    *) refuse "setup.sh takes \"runtime\" or \"dev\", not \"$level\"" ;;
esac

# 1. Is there a Python that can do it? If not, say which package brings it.

name=${python##*/}
case $name in
    python3.[0-9]*) package=$name ;;
    *) package=python3 ;;
esac

command -v "$python" >/dev/null || refuse \
    "Python 3.11 or newer is needed, and there is no \"$python\" here." \
    "On Debian and Raspberry Pi OS: sudo apt install $package $package-venv"

probe=$("$python" -I -c \
    'import sys; print("%d.%d.%d" % sys.version_info[:3], sys.base_prefix)') || refuse \
    "\"$python\" does not start (its own words stand above)." \
    "Name another one: make PYTHON=/usr/bin/python3 ..."
version=${probe%% *}

IFS=. read -r major minor _ <<<"$version"
((major == 3 && minor >= 11)) || refuse \
    "Python 3.11 or newer is needed, and \"$python\" is $version." \
    "Debian 12 and Raspberry Pi OS Bookworm bring 3.11 as python3." \
    "Where a newer one is installed beside it: make PYTHON=python3.11 ..."

# 2. Is there anything to do? The first line of the stamp says for which Python and folder .venv
#    was made, the second what was installed. Both hold absolute paths or compiled code.

base="$probe $PWD"
content=$(sha256sum requirements.txt requirements-dev.txt pyproject.toml hwctl/__init__.py | sha256sum)
content=${content%% *}

up_to_date() {
    [[ -f $stamp && -x $venv/bin/hwctl ]] || return 1
    local had_base had_level had_content
    { read -r had_base && read -r had_level had_content; } <"$stamp" || return 1
    [[ $had_base == "$base" && $had_content == "$content" ]] || return 1
    [[ $had_level == dev || $had_level == "$level" ]]
}

if up_to_date; then
    echo "$venv is up to date"
    exit 0
fi

# Two makes at once would install into each other's half-made .venv.
exec 9<pyproject.toml
if ! flock -n 9; then
    echo "waiting for another set-up of $PWD/$venv"
    flock 9
    if up_to_date; then
        exit 0
    fi
fi

# 3. Set up.

"$python" -I -c 'import ensurepip, venv' 2>/dev/null || refuse \
    "\"$python\" ($version) cannot make virtual environments: its venv package is missing." \
    "On Debian and Raspberry Pi OS: sudo apt install $package-venv"

if [[ $level == dev ]]; then
    what="hwctl and its test tools"
    howlong="under a minute on a PC, a few minutes on a Raspberry Pi"
else
    what="hwctl"
    howlong="half a minute on a PC, one or two minutes on a Raspberry Pi"
fi
printf 'setting up %s for %s with Python %s, %s packages: %s\n' \
    "$venv" "$what" "$version" "$(grep -c '==' "$pins")" "$howlong"
SECONDS=0

if [[ ! -f $stamp ]] || [[ $(head -n 1 "$stamp") != "$base" ]]; then
    "$python" -I -m venv --clear "$venv"
fi
rm -f "$stamp"

# -I: a PYTHONPATH or a user site must not pass for an installed package.
pip() {
    "$venv/bin/python" -I -m pip -qq --no-input --disable-pip-version-check "$@"
}

step=$SECONDS
pip install --require-hashes --only-binary :all: -r "$pins" || refuse \
    "the pinned packages could not be installed (pip's own words stand above)." \
    "\"No matching distribution\": the pins have wheels for 64-bit x86 and ARM, CPython 3.11 to 3.14;" \
    "    this is Python $version, $(getconf LONG_BIT) bit, $(uname -m)." \
    "A time-out or no connection: mend the network and repeat; nothing else needs undoing."
printf '  packages installed     %3d s\n' $((SECONDS - step))

step=$SECONDS
pip install --no-deps --no-build-isolation --editable . || refuse \
    "hwctl itself could not be installed (pip's own words stand above)."
printf '  hwctl installed        %3d s\n' $((SECONDS - step))

printf '%s\n%s %s\n' "$base" "$level" "$content" >"$stamp"
printf '%s is ready after %d s\n' "$venv" "$SECONDS"
