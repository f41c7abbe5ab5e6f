#!/usr/bin/env bash
# Tries the README's two commands, as an ordinary user, on a Debian 12 made for the purpose that
# has make, python3 and python3-venv and nothing else: no compiler, no git, no uv.
#
# usage: fresh-debian.sh      as root; needs debootstrap and the network
set -euo pipefail

limit_s=120 # from `make demo` in a fresh checkout to the first page
port=18470

# Runs in its own mount and process namespace, so that mounts and services end with it.
inside() {
    local root=$1 page_at started demo
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"

    as_user() {
        chroot --userspec=user:user "$root" env -i PATH=/usr/bin:/bin HOME=/home/user LANG=C.UTF-8 \
            ${PIP_CERT:+PIP_CERT=/etc/ssl/certs/ca-certificates.crt} \
            make --no-print-directory -C /home/user/hwctl "$@"
    }

    echo "--- without python3-venv: the missing package is named"
    if as_user setup 2>&1 | tee "$root/setup.log"; then
        echo "make setup passed without python3-venv" >&2
        return 1
    fi
    grep -q 'sudo apt install python3-venv' "$root/setup.log"

    chroot "$root" apt-get install -qq -y --no-install-recommends python3-venv >/dev/null 2>&1

    echo "--- make demo, to the first page"
    started=$EPOCHREALTIME
    set -m # a process group of its own, to end it as a whole
    as_user demo PORT=$port &
    demo=$!
    set +m
    chroot "$root" python3 -I - "$port" "$limit_s" <<'PY'
import sys, time, urllib.error, urllib.request
port, limit = sys.argv[1], float(sys.argv[2])
deadline = time.monotonic() + limit
while time.monotonic() < deadline:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
            sys.exit(0 if b"<html" in page.read().lower() else "the first page is no HTML")
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        time.sleep(0.2)
sys.exit(f"no page after {limit:.0f} s")
PY
    page_at=$EPOCHREALTIME
    echo "--- first page after $(((${page_at/./} - ${started/./}) / 1000000)) s (limit $limit_s s)"
    kill -- "-$demo"
    wait "$demo" || true

    echo "--- make setup, again"
    as_user setup | grep -q 'up to date'

    # What could differ on a bare system: the tests that need no browser, git or exporter. The whole
    # suite is a stage of its own, and running it twice would take CI beyond its 20 minutes.
    echo "--- make test"
    as_user test PYTEST_ARGS='-q tests/packaging tests/config tests/drivers tests/policy tests/engine'
}

if [[ ${1:-} == inside ]]; then
    inside "$2"
    exit
fi

cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/debian

debootstrap --variant=minbase --include=ca-certificates,make,python3 bookworm "$root" \
    >"$work/debootstrap.log" 2>&1 || {
    tail "$work/debootstrap.log"
    exit 1
}
cp /etc/resolv.conf "$root/etc/resolv.conf"
if [[ -n ${PIP_CERT:-} ]]; then
    cp "$PIP_CERT" "$root/etc/ssl/certs/ca-certificates.crt"
fi
chroot "$root" useradd --create-home --shell /bin/bash user
mkdir "$root/home/user/hwctl"
git ls-files -z --cached --others --exclude-standard |
    tar --create --null --files-from - --ignore-failed-read |
    tar --extract --directory "$root/home/user/hwctl"
chroot "$root" chown -R user:user /home/user

unshare --mount --pid --fork --kill-child "$PWD/scripts/fresh-debian.sh" inside "$root"
