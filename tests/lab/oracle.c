/*
 * Makes known ZFS operations from many threads, times every call itself, and writes down what must be reported of it.
 *
 *   oracle DATASET COLD SNAPSHOT THREADS LOG [asleep]
 *
 * DATASET is a dataset mounted at /DATASET (record size 4 KiB), COLD a file of it or another that no cache ever holds (/COLD),
 * with a block of 4 KiB for each round, SNAPSHOT a snapshot of DATASET that is not mounted.
 *
 * It prepares its files and prints {"ready":PID}. Each number N on stdin lets the threads work up to round N, after which it
 * prints {"expected":{OP:COUNT, ...}}, all it made so far; the end of stdin lets it look into the snapshot, write LOG and end.
 *
 * One round is one thread's; thread t of T has the rounds t, t + T, t + 2T ... Every round touches each class, every
 * VARIED-th walks a file, a directory, a link and a fifo through their whole life. With `asleep` a round is one read of COLD.
 *
 * LOG has a line for each operation that must be reported exactly once, and one with "-" as op for a call without any:
 *   tid, begin, end (CLOCK_MONOTONIC in ns, of the system call), call, op, dataset, path, to, offset, size, result, switched
 * separated by tabs, "-" where there is nothing, or nothing that is certain. A system call may be several operations, on
 * lines with the same begin and end. `switched`: whether the thread lost its processor in a call of COLD.
 *
 * What is certain is arranged to be so. Names are used once, so that the first step of a path is exactly one lookup; calls go
 * through the descriptor of the thread's own directory, so that there is no other step. What may come or not, such as
 * a lookup of a name that the kernel may have forgotten, is not written down: oracle_compare.py knows which calls may do that.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define FILE_BLOCKS 8
#define VARIED 8	/* every so many rounds all kinds of objects */
#define COLD_EVERY 8	/* every so many rounds a read that waits for its disk */
#define TMPFILES 2	/* in every round */
#define OPEN_EVERY 4	/* every so many rounds an open of a file that is there, and one more syncfs */
#define NAME 64
#define NONE (-(1LL << 62))
#define XATTR "trusted.oracle"

struct record {
	long long begin, end, offset, size, result;
	const char *call, *op, *dataset;
	char path[NAME], to[NAME];
	int switched;
};

struct worker {
	pthread_t thread;
	int number, tid;
	int dir, target, hole, cold, full; /* descriptors */
	struct record *records;
	int count, space;
	char own[16]; /* its directory, relative to the dataset's root */
};

static const char *dataset, *cold_dataset, *snapshot;
static const char *cold_path;
static char cold_name[256], cold_place[300], snapshot_dataset[300];
static int threads, limit, ended, asleep;
static pthread_barrier_t gate;
static struct worker *workers;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static struct record *append(struct worker *w)
{
	if (w->count == w->space) {
		w->space = w->space ? w->space * 2 : 64;
		w->records = realloc(w->records, w->space * sizeof *w->records);
		if (!w->records)
			die("realloc");
	}
	return &w->records[w->count++];
}

static long involuntary_switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

/* The system call, with nothing between it and the two looks at the clock. Its record has no operation yet. */
static long timed(struct worker *w, const char *name, long number, long a, long b, long c, long d, long e, long f)
{
	struct record *r = append(w);
	long result;

	memset(r, 0, sizeof *r);
	r->call = name;
	r->begin = now();
	result = syscall(number, a, b, c, d, e, f);
	r->end = now();
	r->result = result < 0 ? -errno : result;
	return r->result;
}

#define CALL6(W, NAME, A, B, C, D, E, F, ...) \
	timed(W, #NAME, SYS_##NAME, (long)(A), (long)(B), (long)(C), (long)(D), (long)(E), (long)(F))
#define CALL(W, ...) CALL6(W, __VA_ARGS__, 0, 0, 0, 0, 0, 0)

/* An operation of the call just made. Both paths are in the thread's own directory unless they begin with '/'. */
static struct record *expect(struct worker *w, const char *op, const char *path, long long offset, long long size,
			     long long result)
{
	struct record *r = &w->records[w->count - 1];

	if (r->op) {
		struct record *next = append(w);

		*next = w->records[w->count - 2];
		next->to[0] = 0;
		r = next;
	}
	r->op = op;
	r->dataset = dataset;
	if (path[0] == '/')
		snprintf(r->path, sizeof r->path, "%s", path + 1);
	else
		snprintf(r->path, sizeof r->path, "%.12s/%.48s", w->own, path);
	r->offset = offset;
	r->size = size;
	r->result = result;
	return r;
}

static void expect_to(struct worker *w, const char *op, const char *path, const char *to, long long offset,
		      long long size, long long result)
{
	struct record *r = expect(w, op, path, offset, size, result);

	snprintf(r->to, sizeof r->to, "%.12s/%.48s", w->own, to);
}

/* An operation without a place in a file. */
static void expect_name(struct worker *w, const char *op, const char *path, long long result)
{
	expect(w, op, path, NONE, NONE, result);
}

static void check(long result, const char *what)
{
	if (result < 0) {
		errno = -result;
		die(what);
	}
}

/* An inode on its way out has no name any more. */
static void expect_evict(struct worker *w, unsigned long inode)
{
	char name[NAME];

	snprintf(name, sizeof name, "/inode#%lu", inode);
	expect_name(w, "evict", name, 0);
}

static unsigned long stat_name(struct worker *w, const char *name)
{
	struct stat st;

	check(CALL(w, newfstatat, w->dir, name, &st, AT_SYMLINK_NOFOLLOW), name);
	expect_name(w, "getattr", name, 0);
	return st.st_ino;
}

/* The whole life of a file with a name: made, written, read, changed, renamed, linked, cut, deleted while open. */
static void file_life(struct worker *w, int round)
{
	char buffer[3 * BLOCK], first[NAME], second[NAME], third[NAME], deleted[NAME];
	struct iovec parts[2] = {{buffer, 700}, {buffer + 700, BLOCK}};
	struct stat st;
	long fd, result;

	snprintf(first, sizeof first, "a%d", round);
	snprintf(second, sizeof second, "b%d", round);
	snprintf(third, sizeof third, "c%d", round);
	snprintf(deleted, sizeof deleted, "b%d (deleted)", round);
	memset(buffer, 'a' + round % 26, sizeof buffer);

	fd = CALL(w, openat, w->dir, first, O_CREAT | O_EXCL | O_RDWR | O_APPEND, 0640);
	check(fd, first);
	expect_name(w, "lookup", first, 0);
	expect_name(w, "create", first, 0);
	expect_name(w, "open", first, 0);
	check(CALL(w, fstat, fd, &st), first);
	expect_name(w, "getattr", first, 0);
	/* O_APPEND: the second one's place is where the first one ended. */
	for (int i = 0; i < 2; i++) {
		result = CALL(w, write, fd, buffer, 3000 + round % 1000);
		expect(w, "write", first, i * (3000 + round % 1000), 3000 + round % 1000, result);
	}
	/* More than there is. */
	result = CALL(w, pread64, fd, buffer, sizeof buffer, 100 + round % 100);
	expect(w, "read", first, 100 + round % 100, sizeof buffer, result);
	result = CALL(w, preadv, fd, parts, 2, 10, 0);
	expect(w, "read", first, 10, 700 + BLOCK, result);
	result = CALL(w, fsync, fd);
	expect(w, "fsync", first, 0, NONE, result);
	result = CALL(w, fsetxattr, fd, XATTR, "value", 5, 0);
	expect(w, "xattr-set", first, NONE, 5, result);
	result = CALL(w, fsetxattr, fd, XATTR, "value", 5, XATTR_CREATE);
	expect(w, "xattr-set", first, NONE, 5, result);
	result = CALL(w, fgetxattr, fd, XATTR, buffer, sizeof buffer);
	expect(w, "xattr-get", first, NONE, sizeof buffer, result);
	result = CALL(w, fgetxattr, fd, XATTR ".absent", buffer, sizeof buffer);
	expect(w, "xattr-get", first, NONE, sizeof buffer, result);
	result = CALL(w, flistxattr, fd, buffer, sizeof buffer);
	expect(w, "xattr-list", first, NONE, sizeof buffer, result);
	result = CALL(w, fchmod, fd, 0600);
	expect_name(w, "setattr", first, result);
	result = CALL(w, ftruncate, fd, 2000 + round % 1000);
	expect(w, "truncate", first, NONE, 2000 + round % 1000, result);
	result = CALL(w, renameat2, w->dir, first, w->dir, second, 0);
	expect_name(w, "lookup", second, 0);
	expect_to(w, "rename", first, second, NONE, NONE, result);
	result = CALL(w, linkat, w->dir, second, w->dir, third, 0);
	expect_name(w, "lookup", third, 0);
	expect_to(w, "link", second, third, NONE, NONE, result);
	result = CALL(w, unlinkat, w->dir, third, 0);
	expect_name(w, "unlink", third, result);
	result = CALL(w, close, fd);
	expect_name(w, "release", second, result);

	fd = CALL(w, openat, w->dir, second, O_RDWR | O_TRUNC, 0);
	check(fd, second);
	expect_name(w, "open", second, 0);
	expect(w, "truncate", second, NONE, 0, 0);
	result = CALL(w, unlinkat, w->dir, second, 0);
	expect_name(w, "unlink", second, result);
	result = CALL(w, pread64, fd, buffer, 512, 0);
	expect(w, "read", deleted, 0, 512, result);
	result = CALL(w, close, fd);
	expect_name(w, "release", deleted, result);
	expect_evict(w, st.st_ino);
}

static void other_lives(struct worker *w, int round)
{
	char name[NAME], buffer[NAME];
	unsigned long inode;
	long result;

	snprintf(name, sizeof name, "d%d", round);
	check(CALL(w, mkdirat, w->dir, name, 0755), name);
	expect_name(w, "lookup", name, 0);
	expect_name(w, "mkdir", name, 0);
	inode = stat_name(w, name);
	result = CALL(w, unlinkat, w->dir, name, AT_REMOVEDIR);
	expect_name(w, "rmdir", name, result);
	expect_evict(w, inode);

	snprintf(name, sizeof name, "s%d", round);
	check(CALL(w, symlinkat, "no/such/target", w->dir, name), name);
	expect_name(w, "lookup", name, 0);
	expect_name(w, "symlink", name, 0);
	inode = stat_name(w, name);
	result = CALL(w, readlinkat, w->dir, name, buffer, sizeof buffer);
	expect_name(w, "readlink", name, NONE);
	result = CALL(w, unlinkat, w->dir, name, 0);
	expect_name(w, "unlink", name, result);
	expect_evict(w, inode);

	snprintf(name, sizeof name, "f%d", round);
	check(CALL(w, mknodat, w->dir, name, S_IFIFO | 0600, 0), name);
	expect_name(w, "lookup", name, 0);
	expect_name(w, "mknod", name, 0);
	inode = stat_name(w, name);
	result = CALL(w, unlinkat, w->dir, name, 0);
	expect_name(w, "unlink", name, result);
	expect_evict(w, inode);

	result = CALL(w, unlinkat, w->dir, "full", AT_REMOVEDIR);
	expect_name(w, "rmdir", "full", result);
}

/* A name that is not there: one lookup, whose function returns no error. */
static void look_in_vain(struct worker *w, int round)
{
	char name[NAME];
	struct stat st;

	snprintf(name, sizeof name, "n%d", round);
	if (CALL(w, newfstatat, w->dir, name, &st, 0) != -ENOENT)
		die(name);
	expect_name(w, "lookup", name, 0);
}

/* A file without a name. /proc tells its inode number without asking ZFS. */
static void tmpfile_life(struct worker *w)
{
	char link[32], text[4 * NAME], name[NAME];
	unsigned long inode;
	ssize_t length;
	long fd = CALL(w, openat, w->dir, ".", O_TMPFILE | O_RDWR, 0600);

	check(fd, "O_TMPFILE");
	snprintf(link, sizeof link, "/proc/self/fd/%ld", fd);
	length = readlink(link, text, sizeof text - 1);
	text[length < 0 ? 0 : length] = 0;
	if (!strchr(text, '#') || sscanf(strchr(text, '#'), "#%lu", &inode) != 1)
		die(link);
	snprintf(name, sizeof name, "#%lu", inode);
	expect_name(w, "tmpfile", name, 0);
	/* Open, but under no name: as if it were deleted. */
	snprintf(name, sizeof name, "#%lu (deleted)", inode);
	expect_name(w, "open", name, 0);
	check(CALL(w, close, fd), "close");
	expect_name(w, "release", name, 0);
	expect_evict(w, inode);
}

static void data(struct worker *w, int round)
{
	char buffer[2 * BLOCK];
	long result;

	memset(buffer, 'A' + round % 26, sizeof buffer);
	for (int i = 0; i < 3; i++) {
		int offset = (round * 37 + i * 997) % (FILE_BLOCKS * BLOCK), size = 1 + (round * 13 + i * 501) % 6000;

		result = CALL(w, pread64, w->hole, buffer, size, offset);
		expect(w, "read", "hole", offset, size, result);
	}
	int offset = BLOCK + round % (2 * BLOCK), size = 1 + round % 3000;

	result = CALL(w, pwrite64, w->target, buffer, size, offset);
	expect(w, "write", "target", offset, size, result);
	if (round % 32 == 0) {
		result = CALL(w, fsync, w->target);
		expect(w, "fsync", "target", 0, NONE, result);
	}
}

static void cold_read(struct worker *w, int round)
{
	char buffer[BLOCK];
	long before = involuntary_switches();
	long result = CALL(w, pread64, w->cold, buffer, BLOCK, (long long)round * BLOCK);
	struct record *r = expect(w, "read", cold_path, (long long)round * BLOCK, BLOCK, result);

	r->dataset = cold_dataset;
	r->switched = 1 + (involuntary_switches() != before);
}

/* The first block of `hole` is data, the second a hole, and so on; nothing of it waits for a transaction group. */
static void space(struct worker *w, int round)
{
	struct {
		struct file_dedupe_range head;
		struct file_dedupe_range_info info;
	} same = {
		.head = {.src_offset = 0, .src_length = BLOCK, .dest_count = 1},
		.info = {.dest_fd = w->target, .dest_offset = 6 * BLOCK},
	};
	struct file_clone_range clone = {w->hole, 2 * BLOCK, BLOCK, 4 * BLOCK};
	loff_t from = 100 + round % 100, to = 7 * BLOCK + round % 1000;
	int at = round * 61 % (FILE_BLOCKS * BLOCK + 100);
	long result;

	result = CALL(w, lseek, w->hole, at, SEEK_HOLE);
	expect(w, "seek", "hole", at, NONE, result);
	result = CALL(w, lseek, w->hole, at, SEEK_DATA);
	expect(w, "seek", "hole", at, NONE, result);
	result = CALL(w, fallocate, w->target, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5 * BLOCK, 1 + round % BLOCK);
	expect(w, "fallocate", "target", 5 * BLOCK, 1 + round % BLOCK, result);
	if (round % 2) {
		/* Neither begins at a block, so that there is nothing to clone: it is read and written inside. */
		result = CALL(w, copy_file_range, w->hole, &from, w->target, &to, 1000, 0);
		expect_to(w, "copy", "hole", "target", 100 + round % 100, 1000, result);
	} else {
		result = CALL(w, ioctl, w->target, FICLONERANGE, &clone);
		expect_to(w, "clone", "hole", "target", 2 * BLOCK, BLOCK, result ? result : BLOCK);
	}
	if (round % 4 == 0) {
		/* FALLOC_FL_COLLAPSE_RANGE is the file system's to refuse. */
		result = CALL(w, fallocate, w->target, FALLOC_FL_COLLAPSE_RANGE, 0, BLOCK);
		expect(w, "fallocate", "target", 0, BLOCK, result);
	}
	result = CALL(w, ioctl, w->hole, FIDEDUPERANGE, &same);
	expect_to(w, "dedupe", "hole", "target", 0, BLOCK, result ? result : same.info.status);
}

static void list_directory(struct worker *w)
{
	char buffer[BLOCK];

	lseek(w->full, 0, SEEK_SET);
	check(CALL(w, getdents64, w->full, buffer, sizeof buffer), "full");
	expect_name(w, "readdir", "full", 0);
	check(CALL(w, getdents64, w->full, buffer, sizeof buffer), "full");
	expect_name(w, "readdir", "full", 0);
}

/* Of the dataset of COLD, where nobody writes: else each of these would wait for what all threads have written. */
static void sync_dataset(struct worker *w)
{
	check(CALL(w, syncfs, w->cold), "syncfs");
	/* Once without and once with waiting. */
	for (int i = 0; i < 2; i++)
		expect(w, "syncfs", "/.", NONE, NONE, 0)->dataset = cold_dataset;
}

static void open_and_close(struct worker *w)
{
	long fd = CALL(w, openat, w->dir, "hole", O_RDONLY, 0);

	check(fd, "hole");
	expect_name(w, "open", "hole", 0);
	check(CALL(w, close, fd), "hole");
	expect_name(w, "release", "hole", 0);
}

static void one_round(struct worker *w, int round)
{
	if (asleep) {
		cold_read(w, round);
		return;
	}
	data(w, round);
	sync_dataset(w);
	if (round % OPEN_EVERY == round / 16 % OPEN_EVERY) {
		open_and_close(w);
		sync_dataset(w);
	}
	for (int i = 0; i < TMPFILES; i++)
		tmpfile_life(w);
	space(w, round);
	if (round % COLD_EVERY == round / 16 % COLD_EVERY)
		cold_read(w, round);
	if (round % VARIED == round / VARIED % VARIED) {
		file_life(w, round);
		other_lives(w, round);
		look_in_vain(w, round);
		list_directory(w);
	}
}

/* The snapshot is mounted by the first who looks into it. */
static void visit_snapshot(struct worker *w)
{
	char place[600];
	struct stat st;
	struct record *r;

	snprintf(place, sizeof place, "/%s/.zfs/snapshot/%s/seen", dataset, snapshot);
	check(CALL(w, newfstatat, AT_FDCWD, place, &st, 0), place);
	snprintf(place, sizeof place, "/.zfs/snapshot/%s", snapshot);
	expect_name(w, "automount", place, 0);
	r = expect(w, "lookup", "/seen", NONE, NONE, 0);
	r->dataset = snapshot_dataset;
	r = expect(w, "getattr", "/seen", NONE, NONE, 0);
	r->dataset = snapshot_dataset;
}

static void close_all(struct worker *w)
{
	check(CALL(w, close, w->target), "target");
	expect_name(w, "release", "target", 0);
	check(CALL(w, close, w->hole), "hole");
	expect_name(w, "release", "hole", 0);
	check(CALL(w, close, w->cold), "cold");
	expect(w, "release", cold_path, NONE, NONE, 0)->dataset = cold_dataset;
	check(CALL(w, close, w->full), "full");
	check(CALL(w, close, w->dir), "dir");
}

static int open_file(struct worker *w, const char *name)
{
	char buffer[BLOCK];
	int fd = openat(w->dir, name, O_RDWR | O_CREAT, 0600);

	if (fd < 0)
		die(name);
	memset(buffer, 'h', sizeof buffer);
	for (int i = 0; i < FILE_BLOCKS; i += 2)
		if (pwrite(fd, buffer, sizeof buffer, i * BLOCK) != sizeof buffer)
			die(name);
	if (ftruncate(fd, FILE_BLOCKS * BLOCK))
		die(name);
	return fd;
}

static void prepare(struct worker *w)
{
	char place[400];
	int file;

	snprintf(w->own, sizeof w->own, "t%d", w->number);
	snprintf(place, sizeof place, "/%s/%s", dataset, w->own);
	if (mkdir(place, 0755))
		die(place);
	w->dir = open(place, O_RDONLY | O_DIRECTORY);
	if (w->dir < 0)
		die(place);
	w->target = open_file(w, "target");
	w->hole = open_file(w, "hole");
	if (mkdirat(w->dir, "full", 0755))
		die("full");
	w->full = openat(w->dir, "full", O_RDONLY | O_DIRECTORY);
	file = openat(w->full, "file", O_RDWR | O_CREAT, 0600);
	w->cold = open(cold_place, O_RDONLY);
	if (w->full < 0 || file < 0 || w->cold < 0)
		die(place);
	close(file);
}

static void *work(void *argument)
{
	struct worker *w = argument;

	w->tid = gettid();
	prepare(w);
	pthread_barrier_wait(&gate);
	for (int round = w->number;;) {
		pthread_barrier_wait(&gate);
		for (; round < limit; round += threads)
			one_round(w, round);
		if (ended && w->number == 0)
			visit_snapshot(w);
		if (ended)
			close_all(w);
		pthread_barrier_wait(&gate);
		if (ended)
			return NULL;
	}
}

static void print_number(FILE *log, long long number)
{
	if (number == NONE)
		fputs("\t-", log);
	else
		fprintf(log, "\t%lld", number);
}

static void write_log(const char *file)
{
	FILE *log = fopen(file, "w");

	if (!log)
		die(file);
	for (int t = 0; t < threads; t++)
		for (int i = 0; i < workers[t].count; i++) {
			const struct record *r = &workers[t].records[i];

			fprintf(log, "%d\t%lld\t%lld\t%s", workers[t].tid, r->begin, r->end, r->call);
			if (!r->op) {
				fputs("\t-\t-\t-\t-\t-\t-\t-\t-\n", log);
				continue;
			}
			fprintf(log, "\t%s\t%s\t%s\t%s", r->op, r->dataset, r->path, r->to[0] ? r->to : "-");
			print_number(log, r->offset);
			print_number(log, r->size);
			print_number(log, r->result);
			fprintf(log, "\t%s\n", r->switched ? (r->switched == 2 ? "1" : "0") : "-");
		}
	if (fclose(log))
		die(file);
}

/* How many operations of each name are owed by now. */
static void print_expected(void)
{
	struct { const char *op; int count; } owed[64] = {{0, 0}};
	int kinds = 0;

	for (int t = 0; t < threads; t++)
		for (int i = 0; i < workers[t].count; i++) {
			const char *op = workers[t].records[i].op;
			int kind = 0;

			if (!op)
				continue;
			while (kind < kinds && strcmp(owed[kind].op, op))
				kind++;
			if (kind == kinds)
				owed[kinds++].op = op;
			owed[kind].count++;
		}
	printf("{\"expected\":{");
	for (int kind = 0; kind < kinds; kind++)
		printf("%s\"%s\":%d", kind ? "," : "", owed[kind].op, owed[kind].count);
	printf("}}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct rlimit files = {8192, 8192};
	pthread_attr_t small;
	char line[32];

	asleep = argc == 7 && !strcmp(argv[6], "asleep");
	if (argc != 6 + asleep || !strrchr(argv[2], '/') || (threads = atoi(argv[4])) < 1) {
		fprintf(stderr, "oracle: wrong words; the comment at the top of oracle.c lists them\n");
		return 2;
	}
	if (setrlimit(RLIMIT_NOFILE, &files))
		die("setrlimit");
	dataset = argv[1];
	snprintf(cold_place, sizeof cold_place, "/%s", argv[2]);
	snprintf(cold_name, sizeof cold_name, "%s", argv[2]);
	cold_path = strrchr(argv[2], '/');
	*strrchr(cold_name, '/') = 0;
	cold_dataset = cold_name;
	snapshot = argv[3];
	snprintf(snapshot_dataset, sizeof snapshot_dataset, "%s@%s", dataset, snapshot);
	workers = calloc(threads, sizeof *workers);
	pthread_barrier_init(&gate, NULL, threads + 1);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 128 << 10);
	for (int t = 0; t < threads; t++) {
		workers[t].number = t;
		if (pthread_create(&workers[t].thread, &small, work, &workers[t]))
			die("pthread_create");
	}
	pthread_barrier_wait(&gate);
	/* What is dirty would have to wait for a transaction group at the first look for a hole. */
	for (int t = 0; t < threads; t++)
		lseek(workers[t].hole, 0, SEEK_HOLE);
	printf("{\"ready\":%d}\n", getpid());
	fflush(stdout);
	do {
		ended = !fgets(line, sizeof line, stdin);
		if (!ended)
			limit = atoi(line);
		pthread_barrier_wait(&gate);
		pthread_barrier_wait(&gate);
		print_expected();
	} while (!ended);
	for (int t = 0; t < threads; t++)
		pthread_join(workers[t].thread, NULL);
	write_log(argv[5]);
	return 0;
}
