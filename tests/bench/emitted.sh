# What an emitted event costs the traced program, zfstop beside zfsslower. In the lab's machine whose clock counts
# instructions:
#   python3 tests/lab/lab.py exec --ruler --timeout 1800 trixie -- "$(cat tests/bench/emitted.sh)"
# Opens of a file four directories deep, which both tools report, with a threshold that nothing exceeds and with 0. The
# difference is the event. Only the CPU time of the thread that opens is counted, not that of who reads the events.
set -u
cd /tmp
cat >emitted.c <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); return t.tv_sec * 1e9 + t.tv_nsec; }
static int ascending(const void *a, const void *b) { return *(double *)a < *(double *)b ? -1 : 1; }
int main(int argc, char **argv) {
  const char *path = argv[1];
  int calls = atoi(argv[2]);
  double each[9];
  close(open(path, O_RDWR | O_CREAT, 0600));
  for (int round = 0; round < 9; round++) {
    double begun = now();
    for (int i = 0; i < calls; i++) {
      int fd = open(path, O_RDONLY);
      if (fd < 0) return 1;
      close(fd);
    }
    each[round] = (now() - begun) / calls;
    usleep(300000); /* the reader's turn: nothing is to be lost */
  }
  qsort(each, 9, sizeof *each, ascending);
  printf("%.0f\n", each[4]);
  return 0;
}
C
gcc -O2 -o emitted emitted.c || exit 1
# Background work of ZFS would be counted too.
echo 60 >/sys/module/zfs/parameters/zfs_txg_timeout
mkdir -p /tank/data/srv/app/log
calls=${CALLS:-500}
measure() { ./emitted /tank/data/srv/app/log/file "$calls"; }
# until FILE holds TEXT
ready() { for _ in $(seq 1 600); do grep -q "$2" "$1" 2>/dev/null && return; sleep 0.5; done; echo "$1 never said $2"; }
# A shell without a terminal lets its children ignore SIGINT, and Python then does.
finish() { kill -INT "$1"; sleep 2; kill -TERM "$1" 2>/dev/null; wait "$1" 2>/dev/null; }
# pair NAME TEXT WORD-FOR-AN-EVENT COMMAND...: the command is run with 10 and with 0 as its last word
pair() {
  name=$1 text=$2 word=$3
  shift 3
  for limit in 10 0; do
    PYTHONUNBUFFERED=1 "$@" $limit >said 2>&1 & tool=$!
    ready said "$text"
    spent=$(measure)
    sleep 2
    finish $tool
    [ $limit = 10 ] && quiet=$spent
  done
  printf '%-34s%12d%12d%12d%12d%8d\n' "$name" "$quiet" "$spent" $((spent - quiet)) "$(grep -c "$word" said)" \
    "$(grep -ciE 'lost [1-9]' said)"
}
echo "instructions of an open + close"
printf '%-34s%12s\n' 'nothing attached' "$(measure)"
printf '%-34s%12s%12s%12s%12s%8s\n' '' 'no event' 'an event' 'difference' "told of $((calls * 9 + 1))" 'lost?'
pair 'zfstop, fentry/fexit' '"start"' '"op":"open"' zfstop trace --op open --format json
ZFSTOP_ATTACH=kprobe pair 'zfstop, kprobe pair' '"start"' '"op":"open"' zfstop trace --op open --format json
pair 'zfsslower-bpfcc' Tracing ' O ' zfsslower-bpfcc
