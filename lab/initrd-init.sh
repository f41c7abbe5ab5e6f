#!/bin/busybox sh
# The guest's first program: mounts the host's files over 9p and goes there.
#
# "hostroot" is the host's whole /, read-only, so that the checkout, its .venv and Debian's
# programs are used as they are. "exchange" is the folder that host and guest talk through.
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
    $bb insmod "$module"
done
$bb mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro hostroot /host
$bb mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none exchange /host/mnt
for folder in dev proc sys; do
    $bb mount --move /$folder /host/$folder
done
exec $bb switch_root /host /bin/sh "$($bb cat /host/mnt/checkout)/lab/guest-init.sh"
