# The five shapes of the README, each made by real programs on real ZFS with one thing wrong on purpose, and recorded.
# In the lab's machine; recording and times come back into the directory of --out, and cut.py makes the shapes of them:
#   python3 tests/lab/lab.py exec trixie --out OUT --timeout 840 -- "$(cat tests/lab/shapes/scenes.sh)"
#   python tests/lab/shapes/cut.py OUT && python screenshots/make.py
# SCENES="arc-misses metadata-storm" before the script makes only these.
set -u
: "${SCENES:=txg-stall arc-misses metadata-storm noisy-container no-log-device}"
parameters=/sys/module/zfs/parameters
pg=$(echo /usr/lib/postgresql/*/bin)
tell() { echo "== $(cut -d' ' -f1 /proc/uptime)s $*"; }

# As on a host: each program in the cgroup of a service, a container or a user.
owned() {
    mkdir -p "/sys/fs/cgroup/$1"
    cgroup=$1
    shift
    bash -c 'echo $$ >"/sys/fs/cgroup/$0/cgroup.procs"; exec "$@"' "$cgroup" "$@"
}
docker() { printf 'system.slice/docker-%s.scope' "$(printf %s "$1" | sha256sum | cut -c1-64)"; }
database=system.slice/postgresql.service
user=user.slice/user-1000.slice/session-3.scope

# Programs that are seldom at work: an emulated machine is slow, and what it does beside the shape would be the shape.
cat >/usr/local/bin/weblog <<'PYTHON'
#!/usr/bin/python3
import sys, time
while True:
    with open(f"{sys.argv[1]}/access.log", "a") as log:
        log.write("GET / 200\n")
    time.sleep(0.2)
PYTHON
cat >/usr/local/bin/maildrop <<'PYTHON'
#!/usr/bin/python3
import os, sys, time
os.chdir(sys.argv[1])
while True:
    with open("tmp", "w") as mail:
        mail.write("hello\n" * 100)
    os.rename("tmp", "new")
    os.stat("new")
    os.unlink("new")
    time.sleep(0.4)
PYTHON
cat >/usr/local/bin/notes <<'PYTHON'
#!/usr/bin/python3
import os, sqlite3, sys, time
notes = sqlite3.connect(sys.argv[1] + "/notes.db", isolation_level=None)
notes.execute("create table if not exists notes(note)")
while True:
    notes.execute("insert into notes values(?)", (os.urandom(400),))
    time.sleep(float(sys.argv[2]))
PYTHON
chmod +x /usr/local/bin/{weblog,maildrop,notes}

begin() {
    SECONDS=0
    printf '%s %s ' "$1" "$(date +%s)" >>"$LAB_OUT/scenes.txt"
    tell "$1"
}
at() { while [ $SECONDS -lt "$1" ]; do sleep 0.5; done; }
finish() {
    date +%s >>"$LAB_OUT/scenes.txt"
    zinject -c all >/dev/null
    for kill in /sys/fs/cgroup/*/*/cgroup.kill /sys/fs/cgroup/*/*/*/cgroup.kill; do
        case $kill in */postgresql.service/*) ;; *) echo 1 >"$kill" ;; esac
    done
    zpool sync
    tell "over"
}

# A copy writes faster than the disk can, and every writer waits for the transaction group.
before_txg_stall() { zfs create -o compression=off tank/photos && zfs create tank/www && zfs create tank/mail; }
txg_stall() {
    owned system.slice/dovecot.service maildrop /tank/mail &
    owned system.slice/nginx.service weblog /tank/www &
    begin txg-stall
    at 15
    echo $((8 << 20)) >$parameters/zfs_dirty_data_max
    zinject -d "$LAB_DISKS/tank" -D 60:2 -T write tank >/dev/null
    owned $user dd if=/dev/zero of=/tank/photos/import.raw bs=256k count=4000 status=none &
    at 58
    finish
    echo $((256 << 20)) >$parameters/zfs_dirty_data_max
}

# What is read fits into the ARC, until the ARC has to shrink; the disks answer in their own time.
before_arc_misses() {
    zfs create -o recordsize=64k -o compression=off dozer/shop
    dd if=/dev/zero of=/dozer/shop/orders bs=1M count=128 status=none
    zpool sync dozer
}
arc_misses() {
    owned system.slice/mariadb.service fio --name=shop --filename=/dozer/shop/orders --size=128m --rw=randread --bs=16k --thread \
        --random_distribution=zipf:1.1 --rate_iops=40 --time_based --runtime=200 --output=/dev/null &
    sleep 8
    zinject -d "$LAB_DISKS/dozer" -D 25:4 -T read dozer >/dev/null
    begin arc-misses
    at 20
    echo $((32 << 20)) >$parameters/zfs_arc_min
    echo $((64 << 20)) >$parameters/zfs_arc_max
    at 58
    finish
    echo $((512 << 20)) >$parameters/zfs_arc_max
}

# Somebody looks at every file there is, and none of their names and attributes is in memory.
before_metadata_storm() {
    zfs create -o dnodesize=2k dozer/mail
    mkdir -p /dozer/mail/box{10..39}
    for box in /dozer/mail/box*; do for n in {1..80}; do echo hello >"$box/$n"; done; done
    zpool sync dozer
}
metadata_storm() {
    zpool export dozer && zpool import -o cachefile=none -d "$LAB_DISKS" dozer
    zinject -d "$LAB_DISKS/dozer" -D 25:1 -T read dozer >/dev/null
    owned system.slice/dovecot.service maildrop /dozer/mail &
    begin metadata-storm
    at 15
    for part in 1 2 3; do
        owned system.slice/updatedb.service find /dozer/mail/box$part* -size +1 >/dev/null &
    done
    owned system.slice/backup.service du -s /dozer/mail >/dev/null &
    at 35
    owned $user bash -c 'mkdir /dozer/mail/sent; for n in {1..1500}; do >/dozer/mail/sent/$n; done; rm -r /dozer/mail/sent' &
    at 58
    finish
}

# Containers and a database on one pool; one of them writes and syncs as if it were alone.
before_noisy_container() { zfs create -o recordsize=16k tank/containers && mkdir -p /tank/containers/{shop,wiki,builds}; }
noisy_container() {
    zinject -d "$LAB_DISKS/tank" -D 8:2 -T write tank >/dev/null
    owned "$(docker shop)" notes /tank/containers/shop 1.1 &
    owned "$(docker wiki)" notes /tank/containers/wiki 1.7 &
    owned $user notes /tank/data 2.3 &
    bench 2 60
    begin noisy-container
    at 18
    owned "$(docker builds)" fio --name=artifacts --directory=/tank/containers/builds --size=2m --rw=randwrite --bs=16k --fsync=2 \
        --numjobs=4 --thread --time_based --runtime=60 --output=/dev/null &
    at 58
    finish
}

# A database commits, the pool has no log device and disks that take their time; at the end it gets one.
before_no_log_device() { zfs create tank/notes; }
no_log_device() {
    zinject -d "$LAB_DISKS/tank" -D 20:4 -T write tank >/dev/null
    owned $user notes /tank/notes 3 &
    bench 4 90
    begin no-log-device
    at 50
    truncate -s 256M "$LAB_DISKS/log" && zpool add tank log "$LAB_DISKS/log"
    tell "log device added"
    at 75
    finish
}

# bench TRANSACTIONS SECONDS: so many a second.
bench() { runuser -u postgres -- "$pg/pgbench" -n -c 2 -T "$2" -R "$1" postgres >/dev/null 2>&1 & }
start_database() {
    install -d -o postgres -g postgres -m 700 /srv/pg/17
    mkdir -p /run/postgresql && chown postgres /run/postgresql
    runuser -u postgres -- "$pg/initdb" -D /srv/pg/17 -A trust --no-sync >/dev/null
    owned $database runuser -u postgres -- "$pg/pg_ctl" -D /srv/pg/17 -w -l /tmp/pg.log -o "-c shared_buffers=64MB" start >/dev/null
    runuser -u postgres -- "$pg/pgbench" -i -q -s 1 postgres >/dev/null 2>&1
}

tell "the files"
case $SCENES in *container* | *log-device*) start_database ;; esac
for scene in $SCENES; do "before_${scene//-/_}"; done
tell "start"
nice -n -15 zfstop record 10ms -o "$LAB_OUT/scenes.zfstop" --place "the zfstop lab, Debian 13 under QEMU" &
recorder=$!
while [ ! -s "$LAB_OUT/scenes.zfstop" ]; do sleep 1; done
for scene in $SCENES; do "${scene//-/_}"; done
kill -INT "$recorder"
wait "$recorder"
tell "recorded"
gzip -1 "$LAB_OUT/scenes.zfstop"
ls -l "$LAB_OUT"
