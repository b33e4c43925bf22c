#!/bin/bash
# PID 1 of the guest once the payload is unpacked: prepare, run the command between two marks, hand back what it
# left in $LAB_OUT, power off.
. /run/lab/guest/env.sh
mkdir -p "$LAB_OUT"
started=$(cut -d' ' -f1 /proc/uptime)

finish() {
    echo "$1" >"$LAB_OUT/lab.status"
    dmesg >"$LAB_OUT/lab.dmesg.txt"
    tar -c -C "$LAB_OUT" . | dd of=/dev/vdc bs=1M iflag=fullblock conv=fsync status=none
    echo "@@lab end $1@@"
    # A pool that a test left suspended would keep sync for ever; what counts has been written.
    sync &
    sleep 3
    echo o >/proc/sysrq-trigger
    sleep 60
}

if ! bash -eu -o pipefail "$LAB/guest/prepare.sh"; then
    echo "lab: the guest could not be prepared"
    finish 125
fi
echo "lab: ready; init at ${started}s, prepared at $(cut -d' ' -f1 /proc/uptime)s of uptime"
echo "@@lab begin@@"
# Through a pipe: what sees a terminal draws progress bars on it, and the console is a log.
bash "$LAB/command.sh" </dev/null 2>&1 | cat
finish "${PIPESTATUS[0]}"
