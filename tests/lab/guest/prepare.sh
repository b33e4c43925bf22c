# Everything a test may take for granted: file systems, the environment, the module, the pools, the program.
mount -t devpts devpts /dev/pts 2>/dev/null || { mkdir -p /dev/pts && mount -t devpts devpts /dev/pts; }
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
chmod 1777 /tmp
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sfn /proc/self/fd /dev/fd
hostname lab
ip link set lo up
stty -F /dev/console cols 150 rows 45

step() { echo "lab: $(cut -d' ' -f1 /proc/uptime)s $*"; }

step environment
python3 -m venv --without-pip "$LAB/venv"
step workload
gcc -O1 -Wall -Wextra -Werror -o "$LAB_WORKLOAD" "$LAB/tests/lab/workload.c"
step module
modprobe zfs zfs_arc_max=$((512 << 20))
step pools
"$LAB/guest/pools.sh"
step done
