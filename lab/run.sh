#!/usr/bin/env bash
# The kernel lab: Debian's own kernel in QEMU, with tests/lab and the gpio-sim tests inside.
#
# usage: run.sh [PYTHON [PYTEST ARGUMENT ...]]
#
#   PYTHON   the interpreter that the guest uses, with hwctl and pytest (default .venv/bin/python)
#   with arguments, pytest is run with just those, e.g. tests/lab -k oracle
#
# Exit status: 0 all passed, 77 skipped because this machine cannot (one line says why), else
# failed. Results: build/lab/*.xml (JUnit); a skip is a result as well.
#
# Needs root and Debian 12 on x86-64, and takes the rest from apt. What it builds is kept in
# ${XDG_CACHE_HOME:-~/.cache}/hwctl-lab. The guest sees this machine's whole /, read-only.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
shift $(($# > 0))
out=build/lab
export DEBIAN_FRONTEND=noninteractive

skip() {
    rm -rf "$out"
    mkdir -p "$out"
    printf '<testsuites><testsuite name="lab" tests="1" skipped="1"><testcase %s>%s</testcase></testsuite></testsuites>\n' \
        'classname="lab" name="the kernel lab"' "<skipped message=\"the kernel lab: $1\"/>" >"$out/skipped.xml"
    printf 'the kernel lab is skipped: %s\n' "$1" >&2
    exit 77
}

((EUID == 0)) || skip "it needs root, to install Debian packages"
[[ $(uname -m) == x86_64 ]] || skip "it is made for x86-64, and this is $(uname -m)"
command -v apt-get >/dev/null || skip "it needs apt-get, and there is none"
[[ $(. /etc/os-release && echo "$ID${VERSION_ID:-}") == debian12 ]] ||
    skip "it is made for the kernel of Debian 12, and this is another system"

apt_get() {
    apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" >/dev/null
}
ready() {
    type -P qemu-system-x86_64 >/dev/null && type -P busybox >/dev/null &&
        type -P modprobe >/dev/null && type -P uhubctl >/dev/null && type -P gpioinfo >/dev/null &&
        [[ -x /lib/systemd/systemd-udevd ]] &&
        apt-cache show linux-image-amd64 >/dev/null 2>&1
}
if ! ready; then
    apt_get update || skip "apt-get cannot reach its packages"
    apt_get install -y --no-install-recommends \
        qemu-system-x86 busybox-static gpiod kmod udev uhubctl || true
    ready || skip "QEMU, busybox, gpiod, kmod, udev, uhubctl or the kernel cannot be had through apt-get"
fi

build() {
    lab/build.sh "${XDG_CACHE_HOME:-$HOME/.cache}/hwctl-lab"
}
# Package lists that are older than the archive name packages that are no longer there.
cache=$(build) || { apt_get update && cache=$(build); }
# Compiled here in seconds, in the guests in minutes: hwctl, and the tests as pytest rewrites them.
"$python" -m compileall -q hwctl drivers
env -u PYTHONDONTWRITEBYTECODE PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 "$python" -m pytest -qq -p no:cacheprovider \
    --collect-only tests/lab tests/engine >/dev/null || true # the guests will say what is wrong
exec "$python" lab/boot.py --cache "$cache" --out "$out" --python "$python" -- "$@"
