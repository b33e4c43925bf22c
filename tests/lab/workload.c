/*
 * The program whose calls the lab's tests know beforehand.
 *
 *   workload [-g] [-t] [-c COMM] calls   DIR COUNT           COUNT files, each opened, written, read back, fsynced
 *   workload [-g] [-t] [-c COMM] reads   DIR FILE COUNT SIZE STEP   COUNT reads of one file, STEP bytes apart
 *   workload [-g] [-t] [-c COMM] loop    DIR FILE MS         one write and one read every MS milliseconds, for good
 *   workload [-g] [-t] [-c COMM] hostile DIR                 files and commands with names made to do harm
 *   workload [-g] [-t] [-c COMM] deep    DIR LEVELS          a file under LEVELS directories with names of 255 bytes
 *
 * -g  print {"ready":PID} and wait for a line on stdin before the first call
 * -t  make the calls in a second thread, so that thread and process number differ
 * -c  the command's name as the kernel shows it
 *
 * Each call is one JSON line on stdout: op, path (hex of its bytes, relative to DIR), offset, size, result (as the
 * kernel returns it: negative errno), start and end (CLOCK_MONOTONIC, ns), pid, tid, comm (hex).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME_BYTES 255
#define COMM_BYTES 16

struct call {
	const char *op;
	long long offset, size, result, start, end;
};

static char *path; /* of the file at work, relative to DIR */
static char buffer[1 << 20];

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

static void print_hex(const char *text)
{
	for (; *text; text++)
		printf("%02x", (unsigned char)*text);
}

static void report(const struct call *c)
{
	char comm[COMM_BYTES + 1] = "";

	prctl(PR_GET_NAME, comm);
	printf("{\"op\":\"%s\",\"offset\":%lld,\"size\":%lld,\"result\":%lld,\"start\":%lld,\"end\":%lld,"
	       "\"pid\":%d,\"tid\":%d,\"comm\":\"",
	       c->op, c->offset, c->size, c->result, c->start, c->end, getpid(), gettid());
	print_hex(comm);
	printf("\",\"path\":\"");
	print_hex(path);
	printf("\"}\n");
	fflush(stdout);
}

static long long kernel_result(long long result)
{
	return result < 0 ? -errno : result;
}

/* The open the tests know goes through a directory, so that a long way down needs no path above PATH_MAX. */
static int open_at(int dir, const char *name, int flags)
{
	struct call c = {.op = "open", .start = now()};
	int fd = openat(dir, name, flags, 0644);

	c.end = now();
	c.result = fd < 0 ? -errno : 0;
	report(&c);
	return fd;
}

static void write_at(int fd, long long offset, long long size)
{
	struct call c = {.op = "write", .offset = offset, .size = size, .start = now()};

	c.result = kernel_result(pwrite(fd, buffer, size, offset));
	c.end = now();
	report(&c);
}

static void read_at(int fd, long long offset, long long size)
{
	struct call c = {.op = "read", .offset = offset, .size = size, .start = now()};

	c.result = kernel_result(pread(fd, buffer, size, offset));
	c.end = now();
	report(&c);
}

static void sync_file(int fd)
{
	struct call c = {.op = "fsync", .start = now()};

	c.result = kernel_result(fsync(fd));
	c.end = now();
	report(&c);
}

/* One of each, the read asking for more than there is: 23 files make 92 calls. */
static void four_calls(int dir, const char *name, long long offset, long long size)
{
	int fd = open_at(dir, name, O_RDWR | O_CREAT);

	if (fd < 0)
		die(name);
	write_at(fd, offset, size);
	read_at(fd, offset, size + 100);
	sync_file(fd);
	close(fd);
}

static void do_calls(int count)
{
	for (int i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof name, "calls/d%d", i % 3);
		mkdir("calls", 0755);
		mkdir(name, 0755);
		snprintf(name, sizeof name, "calls/d%d/file%02d", i % 3, i);
		path = name;
		four_calls(AT_FDCWD, name, 4096LL * i + 7 * i, 512LL * (i + 1) + i);
	}
}

static void do_reads(char *name, int count, long long size, long long step)
{
	int fd;

	path = name;
	fd = open_at(AT_FDCWD, name, O_RDONLY);
	if (fd < 0)
		die(name);
	for (int i = 0; i < count; i++)
		read_at(fd, i * step, size);
}

static void do_loop(char *name, int milliseconds)
{
	struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
	int fd;

	path = name;
	fd = open_at(AT_FDCWD, name, O_RDWR | O_CREAT);
	if (fd < 0)
		die(name);
	for (;;) {
		write_at(fd, 8192, 4096);
		read_at(fd, 8192, 4096);
		nanosleep(&pause, NULL);
	}
}

/* Names that would move the cursor, end the line, set colours or a title, break UTF-8, turn the line around,
 * mean markup to a screen library, a formula to a spreadsheet, or a quote to CSV and JSON. */
static char *const harm[] = {
	"esc\033[2J\033[31m",       "title\033]0;owned\007",  "new\nline",          "car\rriage",
	"tab\tand\bbell\007",       "del\177",                "c1\xc2\x9b" "31m",   "raw\x9b" "31m",
	"bad\xff\xfe\xc3(",         "over\xc0\xaf",           "bidi\xe2\x80\xae" "fdp", "iso\xe2\x81\xa6x\xe2\x81\xa9",
	"zero\xe2\x80\x8bwidth",    "sep\xe2\x80\xa8line",    "[/]",                "[red]x[/red]",
	"[@click=app.quit]x[/]",    "=cmd|'/c calc'!A0",      "a,\"b\"",            "back\\slash%s%n",
};

/* A name with a slash in it, such as closing markup, is a file in a directory. */
static void make_parent(char *name)
{
	char *slash = strrchr(name, '/');

	*slash = 0;
	mkdir(name, 0755);
	*slash = '/';
}

static void do_hostile(void)
{
	mkdir("hostile", 0755);
	for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
		char name[300];

		prctl(PR_SET_NAME, harm[i]);
		snprintf(name, sizeof name, "hostile/%s", harm[i]);
		path = name;
		make_parent(name);
		four_calls(AT_FDCWD, name, 0, 100 + i);
	}
}

static void do_deep(int levels)
{
	char name[NAME_BYTES + 1];
	int dir = open(".", O_RDONLY | O_DIRECTORY);

	path = calloc(levels + 1, NAME_BYTES + 1);
	for (int i = 0; i < levels; i++) {
		memset(name, 'a' + i % 26, NAME_BYTES);
		name[NAME_BYTES] = 0;
		if (mkdirat(dir, name, 0755) != 0 && errno != EEXIST)
			die("mkdirat");
		int next = openat(dir, name, O_RDONLY | O_DIRECTORY);
		if (next < 0)
			die("openat");
		close(dir);
		dir = next;
		strcat(strcat(path, name), "/");
	}
	strcat(path, "end");
	four_calls(dir, "end", 0, 4096);
}

static void *work(void *arguments)
{
	char **words = arguments;

	if (chdir(words[1]) != 0)
		die(words[1]);
	if (!strcmp(words[0], "calls"))
		do_calls(atoi(words[2]));
	else if (!strcmp(words[0], "reads"))
		do_reads(words[2], atoi(words[3]), atoll(words[4]), atoll(words[5]));
	else if (!strcmp(words[0], "loop"))
		do_loop(words[2], atoi(words[3]));
	else if (!strcmp(words[0], "hostile"))
		do_hostile();
	else if (!strcmp(words[0], "deep"))
		do_deep(atoi(words[2]));
	return NULL;
}

/* How many words each command wants, its own included; 0 for a command there is not. */
static int words_of(const char *command)
{
	static const struct { const char *name; int words; } commands[] = {
		{"calls", 3}, {"reads", 6}, {"loop", 4}, {"hostile", 2}, {"deep", 3},
	};

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(command, commands[i].name))
			return commands[i].words;
	return 0;
}

static void wait_for_go(void)
{
	char line[16];

	printf("{\"ready\":%d}\n", getpid());
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		exit(0);
}

int main(int argc, char **argv)
{
	int go = 0, threaded = 0, option;
	pthread_t thread;

	while ((option = getopt(argc, argv, "gtc:")) != -1) {
		if (option == 'g')
			go = 1;
		else if (option == 't')
			threaded = 1;
		else if (option != 'c' || prctl(PR_SET_NAME, optarg) != 0)
			return 2;
	}
	if (optind >= argc || argc - optind != words_of(argv[optind])) {
		fprintf(stderr, "workload: wrong words; the comment at the top of workload.c lists them\n");
		return 2;
	}
	memset(buffer, 'z', sizeof buffer);
	if (go)
		wait_for_go();
	if (!threaded) {
		work(argv + optind);
	} else {
		pthread_create(&thread, NULL, work, argv + optind);
		pthread_join(thread, NULL);
	}
	return 0;
}
