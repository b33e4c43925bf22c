#!/bin/sh
# Last touches to a fresh tree, before it becomes an image. mmdebstrap calls it with the tree as $1.
set -eu
tree=$1
here=$(dirname "$0")

# dkms may fail to build a module and leave the installation "successful" all the same.
find "$tree/lib/modules/" -name 'zfs.ko*' | grep -q . || {
    echo "no zfs module was built for the kernel in $tree" >&2
    find "$tree/var/lib/dkms" -name make.log -exec tail -n 40 {} + >&2
    exit 1
}

# Only what the virtual machine needs to find its root, without udev and RAID: when the machine is emulated this
# takes ten seconds off each start.
echo 'MODULES=list' >"$tree/etc/initramfs-tools/conf.d/lab"
echo 'RESUME=none' >>"$tree/etc/initramfs-tools/conf.d/lab"
printf '%s\n' virtio_pci virtio_blk ext4 >>"$tree/etc/initramfs-tools/modules"
find "$tree/usr/share/initramfs-tools" -type f \( -name udev -o -name mdadm -o -name dmsetup \) -exec chmod -x {} +
chroot "$tree" update-initramfs -u -k all

install -m 755 "$here/init" "$tree/lab-init"
