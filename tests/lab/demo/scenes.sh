# Real programs on real ZFS, with a slow disk and a txg stall on purpose: what the demo recording shows.
# In the lab's machine; the recording comes back into the directory of --out:
#   python3 tests/lab/lab.py exec trixie --out OUT --timeout 540 -- "$(cat tests/lab/demo/scenes.sh)"
#   cp OUT/demo.zfstop zfstop/ && python screenshots/make.py
set -u
length=${DEMO_SECONDS:-165}
pg=$(echo /usr/lib/postgresql/*/bin)

zfs create -o recordsize=128k tank/backup
zfs create tank/home
zfs create -o recordsize=8k -o primarycache=metadata dozer/vm
zfs create dozer/log
zfs create tank/mail
tank_disk=$LAB_DISKS/tank
dozer_disk=$LAB_DISKS/dozer

# As on a host: a service, a container, a virtual machine, a user, each in a cgroup of its own.
owned() {
    mkdir -p "/sys/fs/cgroup/$1"
    cgroup=$1
    shift
    bash -c 'echo $$ >"/sys/fs/cgroup/$0/cgroup.procs"; exec "$@"' "$cgroup" "$@"
}
database=system.slice/postgresql.service
backup=system.slice/docker-3f9a1c2b4d5e60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9.scope
machine=machine.slice/machine-qemu\\x2d1\\x2dvm101.scope
mail=system.slice/dovecot.service
user=user.slice/user-1000.slice/session-3.scope

# Files to read must be on disk before the recording begins.
fio --name=vm-101 --directory=/dozer/vm --size=48m --rw=write --bs=1m --end_fsync=1 --output=/dev/null
install -d -o postgres -g postgres -m 700 /srv/pg/17
mkdir -p /run/postgresql /tank/home/ann/photos && chown postgres /run/postgresql
runuser -u postgres -- "$pg/initdb" -D /srv/pg/17 -A trust --no-sync >/dev/null
owned $database runuser -u postgres -- "$pg/pg_ctl" -D /srv/pg/17 -w -l /tmp/pg.log -o "-c shared_buffers=8MB" start >/dev/null
runuser -u postgres -- "$pg/pgbench" -i -q -s 1 postgres >/dev/null 2>&1
sync


zfstop record 10ms -o "$LAB_OUT/demo.zfstop" --place "the zfstop lab, Debian 13 under QEMU" &
recorder=$!
while [ ! -s "$LAB_OUT/demo.zfstop" ]; do sleep 0.5; done

# The everyday load: a database, a log writer, a mail store, a virtual machine's disk, a nightly copy.
runuser -u postgres -- "$pg/pgbench" -n -c 2 -T "$length" -R 3 postgres >/dev/null 2>&1 &
(while :; do owned $user sqlite3 /tank/home/ann/notes.db \
    "create table if not exists notes(t text); insert into notes values(hex(randomblob(400)));"; sleep 2; done) >/dev/null 2>&1 &
(while :; do date >>/dozer/log/syslog; sync -d /dozer/log/syslog; sleep 3; done) >/dev/null 2>&1 &
owned "$machine" fio --name=vm-101 --directory=/dozer/vm --size=48m --rw=randread --bs=8k --rate_iops=6 --time_based \
    --runtime="$length" --output=/dev/null &
(while :; do owned $backup dd if=/dev/urandom of=/tank/backup/nightly.tar bs=128k count=160 conv=fsync status=none; sleep 8; done) >/dev/null 2>&1 &

(while :; do owned $mail bash -c 'cd /tank/mail; for n in 1 2 3 4; do echo hello >tmp.$n; mv tmp.$n new.$n; stat new.$n >/dev/null; done; rm new.*'; sleep 1
done) >/dev/null 2>&1 &

at() { while [ "$(cut -d. -f1 /proc/uptime)" -lt $((begun + $1)) ]; do sleep 0.5; done; }
begun=$(cut -d. -f1 /proc/uptime)

# 25 s: the disk under dozer begins to answer reads late, for 25 s.
at 25
zinject -d "$dozer_disk" -D 40:2 -T read dozer >/dev/null
at 50
zinject -c all >/dev/null

# 60 s: the files of a cache, to be deleted later.
at 60
owned $user bash -c 'mkdir /tank/home/ann/cache; for n in $(seq 2000); do echo >/tank/home/ann/cache/$n; done'

# 70 s: the disk under tank writes slowly while a copy runs, so that a txg takes seconds to sync and writers wait.
at 70
echo 8388608 >/sys/module/zfs/parameters/zfs_dirty_data_max
zinject -d "$tank_disk" -D 30:1 -T write tank >/dev/null
dd if=/dev/urandom of=/tank/home/ann/photos/import.raw bs=1M count=40 status=none &
at 100
zinject -c all >/dev/null
echo 268435456 >/sys/module/zfs/parameters/zfs_dirty_data_max

# 120 s: a careless script syncs after every small write.
at 120
fio --name=every-write-synced --directory=/tank/home --size=1m --rw=randwrite --bs=4k --fsync=1 --rate_iops=8 \
    --time_based --runtime=15 --output=/dev/null &

# 140 s: a cache of two thousand files and a big file are deleted, the names not being in memory any more.
at 140
zinject -d "$tank_disk" -D 15:1 -T read tank >/dev/null
echo 2 >/proc/sys/vm/drop_caches
owned $user rm -rf /tank/home/ann/cache /tank/home/ann/photos &
at 155
zinject -c all >/dev/null

at "$length"
kill -INT "$recorder"
wait "$recorder"
jobs -p | xargs -r kill 2>/dev/null
runuser -u postgres -- "$pg/pg_ctl" -D /srv/pg/17 -m immediate stop >/dev/null
pkill fio; pkill pgbench; pkill sqlite3; pkill dd
ls -l "$LAB_OUT/demo.zfstop"
