#!/bin/sh
# The guest's init, on the host's files: sets the kernel up, runs the tests, powers off.
#
# From the exchange folder (/mnt): checkout, python, modules, arguments (one a line).
# Into it: results.xml, dmesg.log, status. A line "HWCTL-LAB ended" on the console says that it came so far.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/run/home TMPDIR=/run/tmp PYTHONDONTWRITEBYTECODE=1
export HYPOTHESIS_STORAGE_DIRECTORY=/run/hypothesis HWCTL_LAB=1
# Importing the plugins that lie about (schemathesis, hypothesis, anyio) takes longer than most files.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
python=$(cat /mnt/python)

mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm /run/home /run/tmp
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount --bind "$(cat /mnt/modules)" /lib/modules
modprobe -a gpio-sim i2c-dev
mount -t configfs configfs /sys/kernel/config
busybox ip link set lo up

cd "$(cat /mnt/checkout)" || exit
set --
while IFS= read -r argument; do
    set -- "$@" "$argument"
done </mnt/arguments
status=0
# A test that hangs is shown where it stands, and ends the run.
"$python" -m pytest -p no:cacheprovider --durations=10 --basetemp=/run/tmp/pytest \
    -o faulthandler_timeout=240 -o faulthandler_exit_on_timeout=true \
    --junit-xml=/mnt/results.xml "$@" || status=$?

dmesg >/mnt/dmesg.log
echo "$status" >/mnt/status
echo "HWCTL-LAB ended with status $status after $(cut -d ' ' -f 1 /proc/uptime) s"
sync
busybox poweroff -f
