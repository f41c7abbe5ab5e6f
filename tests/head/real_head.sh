# A head in namespaces of its own: this machine's root below an overlay, with systemd as its first
# process. Nothing that happens in it reaches the machine.
#
# usage: real_head.sh WORK      WORK/upper: what to lay over the root; systemd starts story.service
set -e
work=$1
mount -t tmpfs none "$work/mnt"
mkdir "$work/mnt/upper" "$work/mnt/work" "$work/mnt/root"
cp -a "$work/upper/." "$work/mnt/upper/"
root=$work/mnt/root
mount -t overlay head -o "lowerdir=/,upperdir=$work/mnt/upper,workdir=$work/mnt/work" "$root"
mount -t proc none "$root/proc"
mount -t sysfs none "$root/sys"
mountpoint -q "$root/sys/fs/cgroup" || mount -t tmpfs none "$root/sys/fs/cgroup" 2>/dev/null || true
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs none "$root/dev"
mkdir "$root/dev/shm"
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 console:5:1; do
    IFS=: read -r name major minor <<EOF
$node
EOF
    mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
mount -t tmpfs none "$root/run"
mount -t tmpfs none "$root/tmp"
# The packages and the checkout, read-only, where a service may see them.
mount --bind "$2" "$root/opt/hwctl/site"
mount --bind "$3" "$root/opt/hwctl/source"
# The story's log is the one thing that is left of it.
mount --bind "$work/told" "$root/told"
exec chroot "$root" /usr/bin/env -i container=test PATH=/usr/sbin:/usr/bin \
    /lib/systemd/systemd --unit=story.service --log-target=null
