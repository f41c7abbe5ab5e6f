#!/bin/sh
# The guest's init, on the host's files: sets the kernel up, runs the tests, powers off.
#
# From the exchange folder (/mnt): checkout, python, modules, arguments (one a line).
# Into it: *.xml, status. A line "HWCTL-LAB ended" on the console says that it came so far.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/run/home TMPDIR=/run/tmp PYTHONDONTWRITEBYTECODE=1
export HYPOTHESIS_STORAGE_DIRECTORY=/run/hypothesis HWCTL_LAB=1
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
# $1: name of the result; the rest is pytest's. A test that hangs is shown where it stands.
tests() {
    name=$1
    shift
    "$python" -m pytest -p no:cacheprovider -p no:hypothesispytest --basetemp=/run/tmp/pytest \
        -o faulthandler_timeout=60 -o faulthandler_exit_on_timeout=true \
        -o "junit_suite_name=$name" --junit-xml="/mnt/$name.xml" "$@"
}

status=0
if [ -s /mnt/arguments ]; then
    set --
    while IFS= read -r argument; do
        set -- "$@" "$argument"
    done </mnt/arguments
    tests chosen "$@" || status=$?
else
    # Beside each other, for there are two processors. The tests of the factory, which run on a
    # fake everywhere, run here on the kernel's own simulator.
    tests gpio-sim tests/engine/test_gpio_cdev.py tests/engine/test_gpio_chip.py -k gpio-sim \
        >/run/gpio-sim.log 2>&1 &
    tests lab tests/lab || status=$?
    wait $! || status=$?
    cat /run/gpio-sim.log
fi

dmesg >/mnt/dmesg.log
echo "$status" >/mnt/status
echo "HWCTL-LAB ended with status $status after $(cut -d ' ' -f 1 /proc/uptime) s"
sync
busybox poweroff -f
