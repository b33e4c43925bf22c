#!/bin/bash
# The pools every test finds: two of them, with mount points that are not the datasets' names.
set -eu
mkdir -p "$LAB_DISKS"
for pool in tank dozer; do
    truncate -s 1G "$LAB_DISKS/$pool"
    zpool create -f -o cachefile=none -O atime=off "$pool" "$LAB_DISKS/$pool"
done
zfs create tank/data
zfs create -o mountpoint=/srv/pg -o recordsize=8K tank/pg
zfs create -o compression=off tank/bak
zfs create dozer/data
