#!/usr/bin/env bash
# Builds the lab's kernel from Debian's packages, unless that was done for this kernel before.
#
# usage: build.sh CACHE      as root; prints the finished folder (vmlinux, initrd.cpio, lib/modules)
#
# Nothing is pinned: the newest kernel that this Debian has is taken, and the sources of the very
# same version for the drivers in modules.txt, which Debian's configuration leaves out.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
cache=$1
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
SECONDS=0

say() {
    printf '  %-30s %3d s\n' "$1" $SECONDS >&2
}

apt_get() {
    apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 -o APT::Sandbox::User=root "$@" >&2
}

package=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ {print $2; exit}')
version=${package#linux-image-}     # 6.1.0-56-amd64
source=linux-source-${version%%.0-*} # linux-source-6.1
inputs=$(cat "$here"/{build.sh,cpio.py,extract_vmlinux.py,initrd-init.sh,modules.txt,spi_capture.c} |
    sha256sum)
# The version of the package too: Debian may build one kernel name twice.
built=$(apt-cache show --no-all-versions "$package" | awk '/^Version:/ {print $2}')
target=$cache/$version
stamp="$built ${inputs%% *}"

if [[ $(cat "$target/stamp" 2>/dev/null) == "$stamp" ]]; then
    echo "$target"
    exit 0
fi

printf 'building the lab for Linux %s (%s), once\n' "$version" "$built" >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$target"
mkdir -p "$target"
cd "$work"

apt_get install -y --no-install-recommends gcc make xz-utils "linux-headers-$version"
say "compiler and headers"
apt_get download "$package" "$source"
say "kernel and its source"
dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x
"${PYTHON:-python3}" "$here/extract_vmlinux.py" "boot/vmlinuz-$version" "$target/vmlinux"
mkdir "$target/lib"
mv lib/modules "$target/lib/"
say "kernel unpacked"

mapfile -t files < <(sed -E '/^(#|$)/d' "$here/modules.txt")
# The last tar ends as soon as it has the files, and those before it for want of a reader: that saves
# half of the time. What is missing is missed by the copying below.
{ dpkg-deb --fsys-tarfile "$source"_*.deb 2>/dev/null | tar -xO "./usr/src/$source.tar.xz" || true; } |
    tar -xJ --strip-components=1 --occurrence=1 "${files[@]/#/$source/}"
say "source unpacked"

mkdir build
cp "${files[@]}" "$here/spi_capture.c" build/
# The simulator of interrupts, which gpio-sim needs, is an option that cannot be a module: it uses
# irq_to_desc, which is not exported, and names no licence.
sed -i -e 's/irq_to_desc(\([^)]*\))/irq_data_to_desc(irq_get_irq_data(\1))/' \
    -e '0,/#include/s//#include <linux\/module.h>\n#include/' \
    -e '$a MODULE_LICENSE("GPL");' build/irq_sim.c
(cd build && printf '%s\n' 'ccflags-y += -I$(src)' "obj-m := $(echo *.c | sed 's/\.c\b/.o/g')" >Kbuild)
make -C "/lib/modules/$version/build" M="$work/build" -j"$(nproc)" modules >build.log 2>&1 || {
    tail -n 20 build.log >&2
    exit 1
}
mkdir "$target/lib/modules/$version/updates"
for module in build/*.ko; do
    strip --strip-debug -o "$target/lib/modules/$version/updates/${module##*/}" "$module"
done
depmod -b "$target" "$version"
say "drivers built"

mkdir -p initrd/{bin,dev,host,modules,proc,sys}
cp /bin/busybox initrd/bin/
cp "$here/initrd-init.sh" initrd/init
chmod +x initrd/init
order=10
for wanted in virtio_pci 9pnet_virtio 9p; do
    while read -r _ module _; do
        if [[ ! -e $(echo initrd/modules/*_"${module##*/}") ]]; then
            strip --strip-debug -o "initrd/modules/$((order++))_${module##*/}" "$module"
        fi
    done < <(modprobe -d "$target" -S "$version" --show-depends "$wanted" | grep '^insmod')
done
"${PYTHON:-python3}" "$here/cpio.py" initrd "$target/initrd.cpio"

# Kernels of before are of no more use.
find "$cache" -mindepth 1 -maxdepth 1 ! -name "$version" -exec rm -rf {} +
echo "$stamp" >"$target/stamp"
say "ready"
echo "$target"
