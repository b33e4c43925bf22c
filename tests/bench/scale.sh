# Whether a call costs more with more threads, datasets or PIDs in the filter. In the lab's machine whose clock counts
# instructions, with eight CPUs for the threads and with one for the rest:
#   python3 tests/lab/lab.py exec --ruler --cpus 8 --timeout 3600 trixie -- "$(cat tests/bench/scale.sh)"
#   python3 tests/lab/lab.py exec --ruler --timeout 3600 trixie -- "$(cat tests/bench/scale.sh)"
# Cached reads of 512 bytes, every thread on a CPU and a file of its own. Of several CPUs time is as if they ran at
# once, so what counts is how long a thread takes for its own calls. A lock that is waited for, or a search that grows,
# is more instructions; a cache line that goes to and fro between CPUs is not seen here.
set -u
cd /tmp
cat >scale.c <<'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static int threads, calls;
static pthread_barrier_t gate;
static double least = 1e18;
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e9 + t.tv_nsec; }
static void *reader(void *argument) {
  long me = (long)argument;
  char path[64], buf[4096];
  /* What compresses well is kept in the block pointer, and unpacked anew by every read. */
  for (unsigned i = 0, x = me + 1; i < sizeof buf; i++) buf[i] = (x = x * 1664525 + 1013904223) >> 24;
  cpu_set_t cpu;
  CPU_ZERO(&cpu);
  CPU_SET(me, &cpu);
  pthread_setaffinity_np(pthread_self(), sizeof cpu, &cpu);
  snprintf(path, sizeof path, "/tank/data/scale%ld", me);
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  if (fd < 0 || pwrite(fd, buf, sizeof buf, 0) < 0 || fsync(fd)) exit(1);
  for (int round = 0; round < 60; round++) {
    double begun = 0;
    pthread_barrier_wait(&gate);
    if (!me) begun = now();
    for (int i = 0; i < calls; i++)
      if (pread(fd, buf, 512, 0) != 512) exit(2);
    pthread_barrier_wait(&gate);
    if (!me) {
      double each = (now() - begun) / calls;
      if (each < least) least = each;
    }
  }
  return 0;
}
/* scale THREADS CALLS-OF-EACH [wait]: with "wait" it begins when its input ends, so that its PID can be put into a filter */
int main(int argc, char **argv) {
  pthread_t all[64];
  char c;
  threads = atoi(argv[1]), calls = atoi(argv[2]);
  if (argc > 3) while (read(0, &c, 1) > 0);
  pthread_barrier_init(&gate, 0, threads);
  for (long i = 0; i < threads; i++) pthread_create(&all[i], 0, reader, (void *)i);
  for (int i = 0; i < threads; i++) pthread_join(all[i], 0);
  printf("%.0f\n", least);
  return 0;
}
C
gcc -O2 -pthread -o scale scale.c || exit 1
# Background work of ZFS would be counted too.
echo 60 >/sys/module/zfs/parameters/zfs_txg_timeout
# A file is read in another way while its first write has not been synced.
./scale $(nproc) 10 >/dev/null && zpool sync && ./scale $(nproc) 100 >/dev/null
python "$LAB/tests/bench/scale.py" "${DATASETS:-1000}"
