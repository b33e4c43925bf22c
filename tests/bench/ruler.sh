# Added instructions a call, side by side in one run. In the lab's machine whose clock counts instructions:
#   python3 tests/lab/lab.py exec --ruler --timeout 1500 trixie -- "$(cat tests/bench/ruler.sh)"
set -u
cd /tmp
cat >ruler.c <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
/* Virtual time advances one nanosecond an instruction, so a difference of clocks is a count. */
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e9 + t.tv_nsec; }
int main(int argc, char **argv) {
  const char *what = argv[1], *path = "/tank/data/ruler";
  int calls = atoi(argv[2]), fd = open(path, O_RDWR | O_CREAT, 0600);
  char buf[4096] = {1};
  struct stat st;
  if (fd < 0 || pwrite(fd, buf, sizeof buf, 0) < 0) return 1;
  fsync(fd);
  /* The least of some rounds: what runs beside it (a txg sync, the console) is counted as well. */
  double least = 1e18;
  for (int round = 0; round < 8; round++) {
    double begun = now();
    for (int i = 0; i < calls; i++) {
      if (!strcmp(what, "read") && pread(fd, buf, 512, 0) != 512) return 2;
      if (!strcmp(what, "write") && pwrite(fd, buf, 4096, 0) != 4096) return 3;
      if (!strcmp(what, "open")) close(open(path, O_RDONLY));
      if (!strcmp(what, "stat") && stat(path, &st)) return 4;
    }
    double each = (now() - begun) / calls;
    if (each < least) least = each;
  }
  printf("%.0f\n", least);
  return 0;
}
C
gcc -O2 -o ruler ruler.c || exit 1
# Background work of ZFS would be counted too.
echo 60 >/sys/module/zfs/parameters/zfs_txg_timeout
measure() { printf '%-34s' "$1"; for what in read write open stat; do printf '%9s' "$(./ruler $what ${CALLS:-2000})"; done; echo; }
# until FILE holds TEXT
ready() { for _ in $(seq 1 600); do grep -q "$2" "$1" 2>/dev/null && return; sleep 0.5; done; echo "$1 never said $2"; }
# A shell without a terminal lets its children ignore SIGINT, and Python then does.
finish() { kill -INT "$1"; sleep 1; kill -TERM "$1" 2>/dev/null; wait "$1" 2>/dev/null; }

printf '%-34s%9s%9s%9s%9s\n' 'instructions a call' read write open stat
measure 'nothing attached'
# The functions that the others trace too, then all that zfstop traces unless told otherwise: close and stat cost then.
zfstop_with() {
    zfstop trace 10ms --format json "${@:2}" >z.out 2>&1 & tool=$!
    ready z.out '"start"'
    sysctl -q kernel.bpf_stats_enabled=${STATS:-0}
    measure "$1 ($(grep -o '"kind":"[a-z/ ]*"' z.out | head -1 | cut -d'"' -f4))"
    sysctl -q kernel.bpf_stats_enabled=0
    finish $tool
}
zfstop_with 'zfstop, same four' --op read,write,open,fsync
ZFSTOP_ATTACH=kprobe zfstop_with 'zfstop, same four' --op read,write,open,fsync
# What the meter, the classes dialog and a budget have the kernel do: time every run of every program.
STATS=1 zfstop_with 'costs counted' --op read,write,open,fsync
STATS=1 ZFSTOP_ATTACH=kprobe zfstop_with 'costs counted' --op read,write,open,fsync
zfstop_with 'zfstop, default'
ZFSTOP_ATTACH=kprobe zfstop_with 'zfstop, default'
pair='BEGIN { printf("ready\n"); }'
for f in zpl_iter_read zpl_iter_write zpl_open zpl_fsync; do
  kpair="${kpair:-$pair} kprobe:$f { @s[tid] = nsecs; } kretprobe:$f /@s[tid]/ { \$d = nsecs - @s[tid]; delete(@s[tid]); }"
  fpair="${fpair:-$pair} fentry:zfs:$f { @s[tid] = nsecs; } fexit:zfs:$f /@s[tid]/ { \$d = nsecs - @s[tid]; delete(@s[tid]); }"
done
for kind in kprobe fentry; do
  [ $kind = kprobe ] && script=$kpair || script=$fpair
  bpftrace -e "$script" >b.out 2>&1 & tool=$!
  ready b.out ready && measure "bpftrace, bare $kind pair"
  [ -s b.out ] && grep -i error b.out
  finish $tool
done
PYTHONUNBUFFERED=1 zfsslower-bpfcc 10 >s.out 2>&1 & tool=$!
ready s.out Tracing
measure 'zfsslower-bpfcc 10'
finish $tool
# libbpf-tools, where its fsslower knows zfs: that of bcc 0.35 does. FSSLOWER names the program where no package has it.
fsslower=${FSSLOWER:-$(command -v fsslower-libbpf)}
if [ -n "$fsslower" ] && "$fsslower" --help | grep -q zfs; then
  # It writes through a buffer.
  stdbuf -oL "$fsslower" -t zfs -m 10 >s.out 2>&1 & tool=$!
  ready s.out Tracing
  measure 'fsslower-libbpf -t zfs -m 10'
  finish $tool
fi
measure 'nothing attached, again'
