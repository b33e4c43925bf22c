/*
 * The program that keeps its own account of where the time of its calls went, for the tests of causes.
 *
 *   sleeper [-c COMM] [-p MS] [-d] [-u MS] [-m FILE] OP FILE COUNT SIZE STEP
 *
 * OP is what is done COUNT times, SIZE bytes each, STEP bytes apart:
 *   read, write  at the offset
 *   fsync        after a write at the offset, which is reported too
 *   seek         SEEK_HOLE, after a write at the offset, which is reported too
 *   create       of FILE.0, FILE.1 ...
 *   syncfs       of the file system FILE is in
 *   spin         nothing but burning the processor, for good; FILE is not touched
 *
 * -c  the command's name as the kernel shows it
 * -p  a call is begun every so many milliseconds, or when the one before has ended, if that is later
 * -d  the file is opened with O_DSYNC
 * -m  what is written is that file, mapped from the offset of the write on
 * -u  every buffer is new memory that a second thread hands out only after so many milliseconds (userfaultfd)
 *
 * It prints {"ready":PID} and waits for a line on stdin before the first call. Each call is one JSON line: op, offset,
 * result (negative errno), start and end (CLOCK_MONOTONIC, ns), tid, and between these two clocks: cpu (ns its thread
 * ran), runqueue (ns it was runnable and did not run, of /proc/thread-self/schedstat), sleeps (how often it gave up its
 * processor by itself), handed (ns its page faults waited). around (ns) has these readings in it too: whoever waited to run
 * in the middle of them did so neither before nor within the call.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct clocks {
	long long outer, wall, cpu, runqueue, sleeps;
};

static int schedstat, fault_ms, fault_fd, mapped_fd = -1;
static volatile long long handed;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int opened(const char *file, int flags)
{
	int fd = open(file, flags, 0644);

	if (fd < 0)
		die(file);
	return fd;
}

static long long clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void rest(int milliseconds)
{
	struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000L};

	nanosleep(&pause, NULL);
}

static void wait_until(long long moment)
{
	struct timespec t = {moment / 1000000000, moment % 1000000000};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static long long waited_to_run(void)
{
	char text[128];
	long long ran, waited;
	ssize_t length = pread(schedstat, text, sizeof text - 1, 0);

	if (length <= 0)
		die("schedstat");
	text[length] = 0;
	if (sscanf(text, "%lld %lld", &ran, &waited) != 2)
		die("schedstat");
	return waited;
}

static long long gave_up(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* The wall clock innermost, so that as little as possible of anything else is between its two readings. */
static void begin(struct clocks *at)
{
	handed = 0;
	at->outer = clock_ns(CLOCK_MONOTONIC);
	at->sleeps = gave_up();
	at->runqueue = waited_to_run();
	at->cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	at->wall = clock_ns(CLOCK_MONOTONIC);
}

static void end(const char *op, long long offset, long long result, const struct clocks *from)
{
	long long code = result < 0 ? -errno : result;
	long long wall = clock_ns(CLOCK_MONOTONIC);
	long long cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	long long runqueue = waited_to_run();
	long long sleeps = gave_up();
	long long outer = clock_ns(CLOCK_MONOTONIC);

	printf("{\"op\":\"%s\",\"offset\":%lld,\"result\":%lld,\"start\":%lld,\"end\":%lld,\"tid\":%d,"
	       "\"cpu\":%lld,\"runqueue\":%lld,\"sleeps\":%lld,\"handed\":%lld,\"around\":%lld}\n",
	       op, offset, code, from->wall, wall, gettid(), cpu - from->cpu, runqueue - from->runqueue,
	       sleeps - from->sleeps, handed, outer - from->outer);
	fflush(stdout);
}

/* Gives each page that is missing after a while, and says how long the fault has waited. */
static void *hand_out(void *page)
{
	struct uffd_msg message;
	long pagesize = sysconf(_SC_PAGESIZE);

	memset(page, 'u', pagesize);
	while (read(fault_fd, &message, sizeof message) == sizeof message) {
		struct uffdio_copy copy = {
			.dst = message.arg.pagefault.address & ~(pagesize - 1), .src = (long)page, .len = pagesize};
		long long since = clock_ns(CLOCK_MONOTONIC);

		rest(fault_ms);
		handed += clock_ns(CLOCK_MONOTONIC) - since;
		if (ioctl(fault_fd, UFFDIO_COPY, &copy) != 0)
			die("UFFDIO_COPY");
	}
	return NULL;
}

static void start_handing_out(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	pthread_t thread;

	fault_fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fault_fd < 0 || ioctl(fault_fd, UFFDIO_API, &api) != 0)
		die("userfaultfd");
	pthread_create(&thread, NULL, hand_out, aligned_alloc(sysconf(_SC_PAGESIZE), sysconf(_SC_PAGESIZE)));
}

static char *buffer_of(long long size, long long offset)
{
	static char *kept;

	if (mapped_fd >= 0) {
		kept = mmap(NULL, size, PROT_READ, MAP_PRIVATE, mapped_fd, offset);
		if (kept == MAP_FAILED)
			die("mmap of the file");
		return kept;
	}
	if (!fault_ms && kept)
		return kept;
	kept = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (kept == MAP_FAILED)
		die("mmap");
	if (fault_ms) {
		long long page = sysconf(_SC_PAGESIZE);
		struct uffdio_register area = {
			.range = {.start = (long)kept, .len = (size + page - 1) / page * page},
			.mode = UFFDIO_REGISTER_MODE_MISSING};
		if (ioctl(fault_fd, UFFDIO_REGISTER, &area) != 0)
			die("UFFDIO_REGISTER");
	} else {
		/* Nothing compresses it, and no two blocks of it are the same. */
		for (long long at = 0; at < size; at += sizeof(long))
			*(long *)(kept + at) = random() * 2654435761L ^ random() << 17;
	}
	return kept;
}

static void one_call(const char *op, const char *file, int fd, int number, long long size, long long step)
{
	long long offset = number * step;
	char *buffer = buffer_of(size ? size : 1, offset), name[512];
	struct clocks from;

	if (!strcmp(op, "read")) {
		begin(&from);
		end(op, offset, pread(fd, buffer, size, offset), &from);
	} else if (!strcmp(op, "syncfs")) {
		begin(&from);
		end(op, 0, syncfs(fd), &from);
	} else if (!strcmp(op, "create")) {
		snprintf(name, sizeof name, "%s.%d", file, number);
		begin(&from);
		end(op, 0, close(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644)), &from);
	} else {
		if (size && !fault_ms && mapped_fd < 0)
			*(long long *)buffer = clock_ns(CLOCK_MONOTONIC);
		begin(&from);
		end("write", offset, pwrite(fd, buffer, size, offset), &from);
		if (!strcmp(op, "fsync")) {
			begin(&from);
			end(op, 0, fsync(fd), &from);
		} else if (!strcmp(op, "seek")) {
			begin(&from);
			end(op, 0, lseek(fd, 0, SEEK_HOLE), &from);
		}
	}
}

int main(int argc, char **argv)
{
	int option, period = 0, flags = O_RDWR | O_CREAT;
	char line[16];

	while ((option = getopt(argc, argv, "c:p:du:m:")) != -1) {
		if (option == 'p')
			period = atoi(optarg);
		else if (option == 'd')
			flags |= O_DSYNC;
		else if (option == 'u')
			fault_ms = atoi(optarg);
		else if (option == 'm')
			mapped_fd = opened(optarg, O_RDONLY);
		else if (option != 'c' || prctl(PR_SET_NAME, optarg) != 0)
			return 2;
	}
	if (argc - optind != 5) {
		fprintf(stderr, "sleeper: wrong words; the comment at the top of sleeper.c lists them\n");
		return 2;
	}
	char *op = argv[optind], *file = argv[optind + 1];
	int count = atoi(argv[optind + 2]);
	long long size = atoll(argv[optind + 3]), step = atoll(argv[optind + 4]);

	printf("{\"ready\":%d}\n", getpid());
	fflush(stdout);
	if (!strcmp(op, "spin"))
		for (;;)
			;
	int fd = opened(file, flags);
	schedstat = opened("/proc/thread-self/schedstat", O_RDONLY);
	srandom(getpid());
	if (fault_ms)
		start_handing_out();
	else
		buffer_of(size ? size : 1, 0);
	if (!fgets(line, sizeof line, stdin))
		return 0;
	long long begun = clock_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < count; i++) {
		wait_until(begun + i * period * 1000000LL);
		one_call(op, file, fd, i, size, step);
	}
	return 0;
}
