/*
 * Measures ZFS operations between entry and return of one kernel function each, and streams the slow ones.
 *
 * The loader puts in front of this text, from numbers and fixed words only: the structs of model/events.py, the enums
 * of decoders.py and the offsets of kernel structures (from BTF, or offsetof with installed headers). No text of a
 * user is ever compiled.
 *
 * `entry` and `leave` are loaded once for each function, with its own PARAMETERs in the instructions (decoders.py);
 * the verifier then takes out every branch that is not of that function. Threshold, PIDs, devices and operations are
 * map values: a change is in force for the next operation.
 *
 * The books of a slot: entered = seen + below + filtered + filtered_dev + lost + full + rejected + queued
 *                                + in flight + missed returns.
 * Each counter is touched by one program only, so that a program preempted on its CPU cannot lose a count (a missed
 * return may be found by another function's program; it is rare, and so is that preemption).
 *
 * Where the time of a call goes: the kernel's scheduler keeps for each thread what this program needs, so entry only
 * notes two numbers. `sleep_in` and `sleep_out` run around a thread's sleep on a condition variable and `region_in` and
 * `region_out` around a function in which every sleep has one cause; a call that does not sleep runs none of them.
 */
#define ZFS_MAGIC 0x2fc12fc1ULL
#define MAX_DEPTH 32
#define NAME_SPACE 256
#define SMALL_PATH 512
#define LARGE_PATH 8192
#define SUB_BITS 4
#define LAST_BUCKET ((40 - SUB_BITS + 1) * (1 << SUB_BITS) - 1)
#define EIOCBQUEUED 529 /* the call goes on without its caller: no latency is known */
#define EIO 5
#define LARGEST_ERRNO 4095
#define LLONG_MAX_VALUE 0x7fffffffffffffffULL
#define ATTR_SIZE 8
#define SEEK_DATA 3
#define REMAP_FILE_DEDUP 1
#define VM_FAULT_ERROR 0x873 /* OOM, SIGBUS, HWPOISON, SIGSEGV, FALLBACK */
#define SECTOR_SHIFT 9
#define TASK_ASLEEP 3 /* interruptible, uninterruptible */
/* Calls inside calls: a copy that reads and writes, a write that is interrupted by a page fault on ZFS. */
#define DEPTH 4
/* Places in which a thread or a statistic is looked for; the first that was never taken ends the search. */
#define SEAT_TRIES 8
#define TALLY_TRIES 8
/* In place of a thread's number: it has ended, and another may take the seat (`ended`, kernel/seats.py). */
#define FREED 0xffffffff
#define EEXIST 17
/* Scheduling policies NORMAL, BATCH and IDLE. */
#define FAIR(POLICY) (0x29 >> ((POLICY) & 7) & 1)
#define MINOR_BITS 20

/*
 * A parameter of the function this copy of the program is for. Only the program that is loaded asks, not what user
 * space runs itself (`look`). To the compiler it is an unknown number, to the verifier a known one.
 */
#define PARAMETER(NAME) ({ u64 value_; asm volatile("%0 = " PARAMETER_##NAME : "=r"(value_)); value_; })

/*
 * What entry remembers for return. `object` has its kind in the two lowest bits (added, for the verifier lets nobody
 * set bits of a pointer). `extra` is what return needs besides: the kiocb, the uio, or the second object; else 0.
 * `away_ns` and `queued_ns` are the thread's clocks at entry, `slot` is that of the function.
 * What follows counts only if it has `waited`: what is wrong in `queued_ns`, the longest sleep without a cause, and for
 * how long it waited on each cause.
 */
struct call {
  u64 ts_ns, object, offset, size, extra, away_ns, queued_ns;
  u32 slot, waited;
  u64 doubted_ns, slept_ns, slept_in, spent_ns[CAUSES];
};

/*
 * A thread that has called ZFS: the calls it is in, the innermost last. It keeps its `seat` when they have returned
 * (`left_ns` is when it became idle), until it has ended (`ended`, and user space). While the thread waits, it does
 * so for `cause` (one more than its number, or UNKNOWN) in the function at `where`, since `since_ns`; `mark_away` and
 * `mark_queued` are its clocks at the last change, `region` the cause around the sleep, and `moved` tells that its
 * run queue clock is wrong since the last change (see `moved`). `asleep_ns` and `asleep_in` are when and where it
 * fell asleep for no known cause, while somebody asks (see `switched`). `tid` is whose seat it is: 0 before the
 * first, FREED after one that has ended. A whole number of cache lines, so that threads on different CPUs share none.
 */
struct thread {
  u64 left_ns, mark_away, mark_queued, since_ns, where, asleep_ns, asleep_in;
  u32 depth, cause, region, moved, tid, seat, unused[4];
  struct call calls[DEPTH];
};

/* Code that sleeps for one cause: [start, start + bytes). */
struct code_range {
  u64 start;
  u32 bytes, cause;
};

/* `sched` is where the scheduler's own code lies, with mutexes and the like. */
struct code_ranges {
  struct code_range sched, of[RANGES];
};

/* `own` is the instance's own process, which would otherwise trace its own output without end; `blind`: sleeps are not
 * watched, so nobody knows where the time goes. */
struct settings {
  u64 threshold_ns, operations;
  u32 by_pid, by_dev, own, blind;
};

struct counts {
  u64 of[COUNTERS];
};

struct small_path {
  struct path_header head;
  char text[SMALL_PATH + NAME_SPACE];
};

struct large_path {
  struct path_header head;
  char text[LARGE_PATH + NAME_SPACE];
};

BPF_ARRAY(settings, struct settings, 1);
BPF_PERCPU_ARRAY(counters, struct counts, SLOTS);
BPF_HASH(pids, u32, u8, MAX_PIDS);
BPF_HASH(devs, u32, u8, MAX_DEVS);
BPF_ARRAY(looked, struct in_flight_call, 1);
BPF_ARRAY(found, u64, 1);
/*
 * Threads and statistics lie in arrays, in one of a few places that follow from their number: finding one costs half of
 * what a hash map does. A place is taken by adding its number to a hash map, which only one can; that is done once.
 */
BPF_F_TABLE("array", u32, struct thread, seats, SEATS, BPF_F_MMAPABLE);
BPF_HASH(seats_taken, u32, u32, SEATS);
BPF_ARRAY(ranges, struct code_ranges, 1);
BPF_F_TABLE("array", u32, u64, tally_names, MAX_TALLIES, BPF_F_MMAPABLE);
BPF_HASH(tallies_taken, u32, u64, MAX_TALLIES);
BPF_PERCPU_ARRAY(tallies, struct tally, MAX_TALLIES);
BPF_HASH(sent_paths, u64, u8, MAX_SENT_PATHS);
BPF_RINGBUF_OUTPUT(events, EVENT_PAGES);
BPF_RINGBUF_OUTPUT(paths, PATH_PAGES);

/* Nothing is cleared that the kernel fills: with zeros, where it cannot read. */
static __always_inline u64 word(u64 address)
{
  u64 value;
  bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
  return value;
}

static __always_inline u32 half(u64 address)
{
  u32 value;
  bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
  return value;
}

/*
 * A word of a kernel structure. Where the kernel knows the type of `address` (the arguments of fentry and fexit, and
 * what they point to) it may be loaded directly, which costs one instruction instead of a call.
 */
#define GET(DIRECT, ADDRESS) ((DIRECT) ? *(u64 *)(ADDRESS) : word(ADDRESS))

/*
 * The same as bucket_of in model/histogram.py. Computed, not branched: every branch would be a case of its own for the
 * verifier in all that follows.
 */
#define EXCEEDS(VALUE, LIMIT) (((LIMIT) - (VALUE)) >> 63)
static __always_inline u32 bucket_of(u64 ns)
{
  u64 large = -(ns >> 40), rest, top, step;
  s64 shift;
  /* Else the compiler finds out what this is, and makes a branch of it. */
  asm volatile("%0 >>= 63" : "+r"(large));
  ns &= large - 1;
  rest = ns;
  top = EXCEEDS(rest, 0xffffffffULL) << 5;
  rest >>= top;
  step = EXCEEDS(rest, 0xffffULL) << 4;
  rest >>= step, top += step;
  step = EXCEEDS(rest, 0xffULL) << 3;
  rest >>= step, top += step;
  step = EXCEEDS(rest, 0xfULL) << 2;
  rest >>= step, top += step;
  step = EXCEEDS(rest, 0x3ULL) << 1;
  rest >>= step, top += step;
  top += rest >> 1;
  shift = top - SUB_BITS;
  shift &= ~(shift >> 63);
  return ((shift << SUB_BITS) + (ns >> shift)) | (-large & LAST_BUCKET);
}

static __always_inline struct counts *counts_of(u32 slot)
{
  return counters.lookup(&slot);
}

/* 0 if the call is not to be timed: decided before anything is read or stored. */
static __always_inline int wanted(struct counts *mine, u64 operation, u64 task)
{
  u32 zero = 0, pid = task >> 32;
  struct settings *set = settings.lookup(&zero);
  if (!set || !mine)
    return 0;
  mine->of[C_ENTERED]++;
  if ((set->operations & operation) && pid != set->own && (!set->by_pid || pids.lookup(&pid)))
    return 1;
  mine->of[C_FILTERED]++;
  return 0;
}

#define CLOCKS_NONE 0
#define CLOCKS_DIRECT 1
#define WORD_OF_TASK(OFFSET) GET(PARAMETER(CLOCKS) == CLOCKS_DIRECT, task + (OFFSET))
static u64 (*get_task)(void) = (void *)158; /* bpf_get_current_task_btf */

/*
 * How long this thread has been off the CPU, and for how long of it runnable; both since some moment of its past.
 *
 * `away`: since it last came to a CPU, less what it had run by then. That is exact on whatever CPU, but not kept for
 * real-time threads: theirs is the time of their last accounting less what they had run by then. The lowest bit tells
 * which (1: the first).
 */
static __always_inline void read_clocks(u64 *away, u64 *queued)
{
  u64 task, at, ran, fair;
  if (PARAMETER(CLOCKS) == CLOCKS_NONE)
    return;
  task = PARAMETER(CLOCKS) == CLOCKS_DIRECT ? get_task() : bpf_get_current_task();
  fair = FAIR(PARAMETER(CLOCKS) == CLOCKS_DIRECT ? *(u32 *)(task + TASK_POLICY) : half(task + TASK_POLICY));
  if (fair) {
    at = WORD_OF_TASK(TASK_ARRIVED);
    ran = WORD_OF_TASK(TASK_RAN_BEFORE);
  } else {
    at = WORD_OF_TASK(TASK_ACCOUNTED);
    ran = WORD_OF_TASK(TASK_RAN);
  }
  *away = (at - ran) << 1 | fair;
  *queued = WORD_OF_TASK(TASK_QUEUED);
}

/* Nanoseconds between two readings of `away`; 0 where they cannot be compared. */
static __always_inline u64 away_between(u64 before, u64 now)
{
  u64 passed = (now >> 1) - (before >> 1);
  if ((now ^ before) & 1 || passed >> 62)
    return 0;
  return passed;
}

/* The places of a thread, each its own way from the first: threads that begin in the same part then. */
static __always_inline u32 seat_of(u32 tid, u32 attempt)
{
  return (tid + attempt * (tid / SEATS * 2 + 1)) & (SEATS - 1);
}

static __always_inline struct thread *thread_of(u32 tid)
{
#pragma clang loop unroll(disable)
  for (u32 i = 0; i < SEAT_TRIES; i++) {
    u32 seat = seat_of(tid, i);
    struct thread *thread = seats.lookup(&seat);
    if (!thread || !thread->tid)
      return 0;
    if (thread->tid == tid)
      return thread;
  }
  return 0;
}

/* Takes the first free seat; null if there is none in its places, or the kernel could not say. */
static __always_inline struct thread *make_thread(u32 tid)
{
#pragma clang loop unroll(disable)
  for (u32 i = 0; i < SEAT_TRIES; i++) {
    u32 seat = seat_of(tid, i);
    struct thread *thread;
    long failure = seats_taken.insert(&seat, &tid);
    if (failure == -EEXIST)
      continue;
    if (failure || !(thread = seats.lookup(&seat)))
      return 0;
    thread->asleep_ns = 0;
    thread->depth = thread->cause = thread->region = thread->moved = 0;
    thread->seat = seat;
    thread->tid = tid;
    return thread;
  }
  return 0;
}

/* The compiler knows that a place is below DEPTH and would leave the mask out; the verifier forgets. */
#define CALL_AT(THREAD, PLACE) \
  (&(THREAD)->calls[({ u64 at_ = (PLACE); asm volatile("%0 &= 3" : "+r"(at_)); at_; })])

/* The calls from number `first` on have not returned and never will: the thread is past them. */
static __always_inline void give_up(struct thread *thread, u64 first)
{
  u64 depth = thread->depth;
#pragma clang loop unroll(disable)
  for (u64 i = 0; i < DEPTH; i++) {
    if (i < first || i >= depth)
      continue;
    struct counts *its = counts_of(CALL_AT(thread, i)->slot);
    if (its)
      its->of[C_MISSED]++;
  }
  thread->depth = first;
}

/* 1 or 0 for numbers up to 2^63, without a branch: each would be a case of its own for the verifier. */
#define BELOW(A, B) (((u64)(A) - (u64)(B)) >> 63)

/* Number of the call of `slot` the thread is in, the innermost; DEPTH if it is in none. */
static __always_inline u64 place_of(struct thread *thread, u64 slot)
{
  u64 depth = thread->depth, place = DEPTH;
#pragma unroll
  for (u64 i = 0; i < DEPTH; i++) {
    u64 found = BELOW(thread->calls[i].slot ^ slot, 1) & BELOW(i, depth);
    place ^= (place ^ i) & -found;
  }
  return place;
}

/* The thread that enters, with room for the call; null if it has no seat. */
static __always_inline struct thread *seated(u32 slot, u64 task, struct counts *mine)
{
  u32 tid = task;
  u64 place;
  struct thread *thread = thread_of(tid);
  if (!thread && !(thread = make_thread(tid))) {
    mine->of[C_FULL]++;
    return 0;
  }
  if (thread->depth) {
    /* The thread is in the same function again, or deeper than anything goes: returns were missed. */
    place = place_of(thread, slot);
    if (place < DEPTH)
      give_up(thread, place);
    else if (thread->depth >= DEPTH)
      give_up(thread, 0);
  }
  return thread;
}

/* A call that is not timed must not be given the time of one whose return was missed. */
static __always_inline void skip(u32 slot, u64 task)
{
  u32 tid = task;
  u64 place;
  struct thread *thread = thread_of(tid);
  if (!thread || !thread->depth)
    return;
  place = place_of(thread, slot);
  if (place < DEPTH)
    give_up(thread, place);
}

/* One name of the path into `id`: the kernel's own hash of the name, salted with its directory, and its length. */
static __always_inline u64 mix(u64 id, u64 hash_len)
{
  id = (id ^ hash_len) * 0x9e3779b97f4a7c15ULL;
  return id ^ (id >> 29);
}

struct walk {
  u64 id;
  u32 length, cut;
};

/* What of a dentry a path is made of; in every kernel so far it stands together, so that one call reads it. */
struct link {
  u64 parent, hash_len, name;
};

static __always_inline void read_link(u64 dentry, struct link *link)
{
  if (DENTRY_NAME == DENTRY_PARENT + 8 && QSTR_HASH_LEN == 0 && QSTR_NAME == 8) {
    link->parent = 0;
    bpf_probe_read_kernel(link, sizeof(*link), (void *)(dentry + DENTRY_PARENT));
    return;
  }
  link->parent = word(dentry + DENTRY_PARENT);
  link->hash_len = word(dentry + DENTRY_NAME + QSTR_HASH_LEN);
  link->name = word(dentry + DENTRY_NAME + QSTR_NAME);
}

/*
 * Identifies the path by walking to the root without copying a name. The verifier goes through every step of these
 * loops, in every program of every function: a start takes as long as they are long, and twice as long where a
 * number it knows for sure decides a branch behind them.
 */
static __always_inline void walk_path(u64 dentry, u64 ino, struct walk *walk)
{
  struct link link;
  u64 child = dentry;
  walk->id = mix(mix(0, dentry), ino);
  walk->length = 0;
#pragma clang loop unroll(disable)
  for (int i = 0; i < MAX_DEPTH; i++) {
    child = dentry;
    read_link(dentry, &link);
    if (link.parent == dentry || !link.parent)
      break;
    walk->id = mix(walk->id, link.hash_len);
    walk->length += (link.hash_len >> 32) + 1;
    dentry = link.parent;
  }
  /* The root is its own parent. Both numbers are computed, because a constant would be a case of its own. */
  child ^= link.parent;
  walk->cut = (child | -child) >> 63;
  walk->id |= 1;
}

/* Copies the names from leaf to root, each ended by a NUL. Returns the bytes written, 0 if a rename came between. */
static __always_inline u32 copy_path(u64 dentry, u64 ino, u64 id, char *text, u32 space)
{
  struct link link;
  u64 seen = mix(mix(0, dentry), ino);
  u32 at = 0;
#pragma clang loop unroll(disable)
  for (int i = 0; i < MAX_DEPTH; i++) {
    read_link(dentry, &link);
    if (link.parent == dentry || !link.parent)
      break;
    seen = mix(seen, link.hash_len);
    at &= space - 1;
    long n = bpf_probe_read_kernel_str(text + at, NAME_SPACE, (void *)link.name);
    if (n <= 0)
      return 0;
    at += n;
    dentry = link.parent;
  }
  return (seen | 1) == id ? at : 0;
}

/* Fills a reserved record; 0 if it must be thrown away. */
static __always_inline int fill_path(struct path_header *head, char *text, u32 space, u64 dentry, u64 ino,
                                     struct walk *walk)
{
  head->path_id = walk->id;
  head->flags = walk->cut;
  head->length = copy_path(dentry, ino, walk->id, text, space);
  return head->length || !walk->length;
}

/* Makes sure that user space has the text of the path before the event. Returns its id, 0 without one. */
static __always_inline u64 path_of(u64 dentry, u64 ino)
{
  struct walk walk;
  struct small_path *small;
  struct large_path *large;
  u8 sent = 0;
  walk_path(dentry, ino, &walk);
  if (sent_paths.lookup(&walk.id))
    return walk.id;
  /* bcc takes map calls in functions only, hence twice the same steps. */
  if (walk.length <= SMALL_PATH) {
    small = paths.ringbuf_reserve(sizeof(struct small_path));
    if (!small)
      return 0;
    sent = fill_path(&small->head, small->text, SMALL_PATH, dentry, ino, &walk);
    if (sent)
      paths.ringbuf_submit(small, BPF_RB_NO_WAKEUP);
    else
      paths.ringbuf_discard(small, BPF_RB_NO_WAKEUP);
  } else {
    large = paths.ringbuf_reserve(sizeof(struct large_path));
    if (!large)
      return 0;
    sent = fill_path(&large->head, large->text, LARGE_PATH, dentry, ino, &walk);
    if (sent)
      paths.ringbuf_submit(large, BPF_RB_NO_WAKEUP);
    else
      paths.ringbuf_discard(large, BPF_RB_NO_WAKEUP);
  }
  if (!sent)
    return 0;
  sent_paths.update(&walk.id, &sent);
  return walk.id;
}

/* Device numbers of volumes, as path ids: no hash of a walk has these bits. */
#define VOLUME_PATH(DEV) (0xffffffff00000000ULL | (DEV))

/* The name of a volume stands at the start of its zvol_state. It is sent once, as a path of one component. */
static __always_inline void send_volume(u64 volume, u32 dev)
{
  u64 id = VOLUME_PATH(dev);
  struct small_path *small;
  u8 sent = 1;
  if (sent_paths.lookup(&id))
    return;
  small = paths.ringbuf_reserve(sizeof(struct small_path));
  if (!small)
    return;
  small->head.path_id = id;
  small->head.flags = PATH_VOLUME;
  long n = bpf_probe_read_kernel_str(small->text, NAME_SPACE, (void *)volume);
  small->head.length = n > 0 ? n : 0;
  paths.ringbuf_submit(small, BPF_RB_NO_WAKEUP);
  if (n > 0)
    sent_paths.update(&id, &sent);
}

#define KIND_OF(OBJECT) ((OBJECT) & 3)
#define POINTER_OF(OBJECT) ((OBJECT) & ~3ULL)

static __always_inline u64 dentry_of(u64 kind, u64 object)
{
  u64 alias;
  if (kind == OBJECT_DENTRY)
    return object;
  if (kind == OBJECT_FILE)
    return word(object + FILE_DENTRY);
  alias = word(object + INODE_ALIASES);
  /* Of several hard links nobody can tell which one was meant: no name is better than a wrong one. */
  return alias && !word(alias) ? alias - DENTRY_ALIAS : 0;
}

/* Number of the inode; 0 of a name that has none (yet). */
static __always_inline u64 number_of(u64 kind, u64 object)
{
  u64 inode = object;
  if (kind == OBJECT_FILE)
    inode = word(object + FILE_INODE);
  else if (kind == OBJECT_DENTRY)
    inode = word(object + DENTRY_INODE);
  return inode ? word(inode + INODE_NUMBER) : 0;
}

/* `bytes` were moved; only some operations return such a number. */
struct done {
  u64 ts_ns, latency_ns, bytes;
  s64 result;
  u32 bucket;
};

/* Id of the path of the other object of a rename, link, copy: 0 without one. */
static __always_inline u64 target_of(u64 second, u64 other)
{
  u64 dentry = 0;
  if (second == SECOND_DENTRY)
    dentry = other;
  else if (second == SECOND_FILE)
    dentry = word(other + FILE_DENTRY);
  return dentry ? path_of(dentry, number_of(OBJECT_DENTRY, dentry)) : 0;
}

struct names {
  u64 path, target;
  u32 flags, unnamed;
};

/* Sends what names the object, and the flags that say how sure it is. */
static __always_inline void name_object(struct names *names, u64 kind, u64 object)
{
  u64 dentry, number;
  if (kind == OBJECT_DEVICE) {
    names->path = VOLUME_PATH(object >> 2);
    return;
  }
  dentry = dentry_of(kind, object);
  number = number_of(kind, object);
  names->path = dentry ? path_of(dentry, number) : 0;
  if (!names->path) {
    names->path = number;
    names->unnamed = 1;
    names->flags |= EVENT_NO_PATH;
  } else if (kind == OBJECT_FILE && !word(dentry + DENTRY_HASHED) && word(dentry + DENTRY_PARENT) != dentry) {
    names->flags |= EVENT_DELETED;
  }
}

static __always_inline void share_out(struct call *waits, struct done *done, struct event *event);

/* `waits` is what the thread's seat still has of the call. */
static __always_inline void emit(u32 slot, struct counts *mine, struct call *call, struct done *done,
                                 struct names *names, u32 dev, struct call *waits)
{
  u64 task = bpf_get_current_pid_tgid();
  struct event *event;
  mine->of[C_PATHLESS] += names->unnamed;
  event = events.ringbuf_reserve(sizeof(struct event));
  if (!event) {
    mine->of[C_LOST]++;
    return;
  }
  event->ts_ns = done->ts_ns;
  event->latency_ns = done->latency_ns;
  event->offset = call->offset;
  event->size = call->size;
  event->result = done->result;
  event->target = names->target;
  event->path_id = names->path;
  event->cgroup = bpf_get_current_cgroup_id();
  bpf_get_current_comm(event->comm, sizeof(event->comm));
  event->pid = task >> 32;
  event->dev = dev;
  event->uid = bpf_get_current_uid_gid();
  event->slot = slot;
  event->flags = names->flags;
  event->tid = task;
  event->bucket = done->bucket;
  share_out(waits, done, event);
  events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  mine->of[C_SEEN]++;
}

/*
 * Where the statistics called `name` are (see TALLY_KEY; never 0, for a device has a number), taken if they are new.
 * Two CPUs that meet a new name at once may take two places for it: user space adds them up.
 */
static __always_inline struct tally *tally_of(u64 name)
{
  u64 hash = name * 0x9e3779b97f4a7c15ULL;
  u32 at = hash >> 40, step = hash >> 20 | 1;
#pragma clang loop unroll(disable)
  for (u32 i = 0; i < TALLY_TRIES; i++, at += step) {
    u64 *here;
    at &= MAX_TALLIES - 1;
    here = tally_names.lookup(&at);
    if (!here)
      break;
    if (*here == name)
      return tallies.lookup(&at);
    if (!*here && !tallies_taken.insert(&at, &name)) {
      *here = name;
      return tallies.lookup(&at);
    }
  }
  return 0;
}

/*
 * The statistics of all calls, slow or not. One entry serves a power of two of the latency, so that a dataset costs
 * memory only where it has calls; its sixteen slices are the buckets of model/histogram.py.
 */
static __always_inline void tally(u32 slot, struct counts *mine, u32 dev, struct done *done)
{
  u32 bucket = bucket_of(done->latency_ns);
  struct tally *sums = tally_of((u64)(bucket >> SUB_BITS) << 48 | (u64)slot << 32 | dev);
  done->bucket = bucket;
  if (!sums) {
    mine->of[C_UNTALLIED]++;
    return;
  }
  sums->calls[bucket & (TALLY_SLICES - 1)]++;
  sums->sum_ns += done->latency_ns;
  if (done->result < 0)
    sums->errors++;
  else
    sums->bytes += done->bytes;
}

/* Whether a super block is of ZFS; then `dev` is its device. A call that reads costs more than the bytes it reads. */
static __always_inline int is_zfs(u64 direct, u64 super, u32 *dev)
{
  if (direct) {
    *dev = *(u32 *)(super + SUPER_DEV);
    return *(u64 *)(super + SUPER_MAGIC) == ZFS_MAGIC;
  }
  if (SUPER_MAGIC > SUPER_DEV && SUPER_MAGIC - SUPER_DEV <= 120 && (SUPER_MAGIC - SUPER_DEV) % 8 == 0) {
    u64 both[16];
    bpf_probe_read_kernel(both, SUPER_MAGIC - SUPER_DEV + 8, (void *)(super + SUPER_DEV));
    *dev = both[0];
    return both[(SUPER_MAGIC - SUPER_DEV) / 8 % 16] == ZFS_MAGIC;
  }
  *dev = half(super + SUPER_DEV);
  return word(super + SUPER_MAGIC) == ZFS_MAGIC;
}

/* The same for an object of any kind; a volume proves itself by the major number of its device. */
static __always_inline int is_ours(u64 direct, u64 kind, u64 object, u32 *dev)
{
  if (kind == OBJECT_FILE)
    return is_zfs(direct, GET(direct, GET(direct, object + FILE_INODE) + INODE_SUPER), dev);
  if (kind == OBJECT_INODE)
    return is_zfs(direct, GET(direct, object + INODE_SUPER), dev);
  if (kind == OBJECT_DENTRY)
    return is_zfs(0, word(object + DENTRY_SUPER), dev);
  *dev = object >> 2;
  return *dev >> MINOR_BITS == ZVOL_MAJOR;
}

/*
 * Every call is tallied if it is of ZFS; then everything that is not emitted is counted, and why. 1 if it is to be
 * emitted. `dev` is filled in.
 */
static __always_inline int judge(u32 slot, struct counts *mine, u64 direct, u64 kind, u64 object, struct done *done,
                                 u32 *dev)
{
  u32 zero = 0;
  struct settings *set = settings.lookup(&zero);
  if (!set)
    return 0;
  if (done->result == -EIOCBQUEUED) {
    mine->of[C_QUEUED]++;
    return 0;
  }
  if (!is_ours(direct, kind, object, dev)) {
    mine->of[C_REJECTED]++;
    return 0;
  }
  tally(slot, mine, *dev, done);
  if (done->latency_ns < set->threshold_ns) {
    mine->of[C_BELOW]++;
    return 0;
  }
  if (set->by_dev && !devs.lookup(dev)) {
    mine->of[C_FILTERED_DEV]++;
    return 0;
  }
  return 1;
}

/* The thread whose innermost call has returned now; null if its entry was not recorded. */
static __always_inline struct thread *returning(u32 slot, struct counts *mine)
{
  u64 place;
  struct thread *thread = thread_of(bpf_get_current_pid_tgid());
  mine->of[C_RETURNED]++;
  /* Most calls are the only one of their thread. */
  if (thread && thread->depth == 1 && thread->calls[0].slot == slot)
    return thread;
  if (!thread || (place = place_of(thread, slot)) >= DEPTH) {
    mine->of[C_UNMATCHED]++;
    return 0;
  }
  if (place + 1 < thread->depth)
    give_up(thread, place + 1);
  return thread;
}

static __always_inline void begin_waits(struct call *call)
{
  if (call->waited)
    return;
  call->doubted_ns = call->slept_ns = call->slept_in = 0;
#pragma unroll
  for (u32 i = 0; i < CAUSES; i++)
    call->spent_ns[i] = 0;
  call->waited = 1;
}

/*
 * The thread waits for another cause from here on; the time since the last change belongs to the one before: all of a
 * sleep, and of a region what the thread was off the CPU. Not the time in the run queue, as far as that can be believed.
 * Only where a thread is about to sleep, or has slept.
 */
static __always_inline void change(struct thread *thread, u32 cause, u64 where)
{
  u64 away = 0, queued = 0, now = bpf_ktime_get_ns(), passed, late;
  u64 number = (u64)thread->cause - 1;
  struct call *call = CALL_AT(thread, thread->depth - 1);
  read_clocks(&away, &queued);
  passed = thread->where ? now - thread->since_ns : away_between(thread->mark_away, away);
  late = queued - thread->mark_queued;
  if (number <= CAUSES) {
    begin_waits(call);
    if (thread->moved)
      call->doubted_ns += late;
    else
      passed -= late < passed ? late : passed;
    if (number < CAUSES)
      call->spent_ns[number] += passed;
    else if (passed > call->slept_ns) {
      call->slept_ns = passed;
      call->slept_in = thread->where;
    }
  }
  thread->moved = 0;
  thread->mark_away = away;
  thread->mark_queued = queued;
  thread->where = where;
  thread->since_ns = now;
  thread->cause = cause;
}

/* The cause of a sleep by the code that asked for it. */
static __always_inline u32 cause_of(u64 caller)
{
  u32 zero = 0, cause = CAUSE_UNKNOWN;
  struct code_ranges *known = ranges.lookup(&zero);
  if (!known)
    return cause;
#pragma unroll
  for (u32 i = 0; i < RANGES; i++)
    if (caller - known->of[i].start < known->of[i].bytes)
      cause = known->of[i].cause;
  return cause;
}

/* What was waited for inside this call is part of the call around it too. */
static __always_inline void hand_up(struct thread *thread, u64 place)
{
  struct call *inner = CALL_AT(thread, place), *outer = CALL_AT(thread, place - 1);
  begin_waits(outer);
#pragma unroll
  for (u32 i = 0; i < CAUSES; i++)
    outer->spent_ns[i] += inner->spent_ns[i];
  outer->doubted_ns += inner->doubted_ns;
  if (inner->slept_ns > outer->slept_ns) {
    outer->slept_ns = inner->slept_ns;
    outer->slept_in = inner->slept_in;
  }
}

/* The call has returned: it is in flight no more. Its waits are complete, and still where they were. */
static __always_inline void settle(struct thread *thread, struct done *done)
{
  u64 place = thread->depth - 1;
  u32 next;
  /* Slept where nothing looks, and was moved meanwhile. */
  if (thread->moved && !thread->cause) {
    struct call *call = CALL_AT(thread, place);
    begin_waits(call);
    call->doubted_ns = ~0ULL >> 1;
  }
  thread->moved = 0;
  /* Around an inner call there may be a region; that the cause is another one means a missed return of a sleep. */
  next = place ? thread->region : 0;
  if (thread->cause && thread->cause != next)
    change(thread, next, 0);
  if (place) {
    if (CALL_AT(thread, place)->waited)
      hand_up(thread, place);
  } else {
    thread->region = 0;
    thread->left_ns = done->ts_ns;
  }
  thread->depth = place;
}

static __always_inline u64 lesser(u64 a, u64 b)
{
  return a < b ? a : b;
}

/* Fills in the shares of the latency, in 65536ths: what is left is the CPU's. */
static __always_inline void share_out(struct call *waits, struct done *done, struct event *event)
{
  u64 away = 0, queued = 0, rest = done->latency_ns, whole = done->latency_ns + 1, ns, other;
  u16 *shares = (u16 *)event->waits;
  u32 zero = 0;
  struct settings *set = settings.lookup(&zero);
  read_clocks(&away, &queued);
  event->known = PARAMETER(CLOCKS) != CLOCKS_NONE && away >> 1 && !((away ^ waits->away_ns) & 1) && set && !set->blind;
  away = away_between(waits->away_ns, away);
  queued -= waits->queued_ns;
#pragma unroll
  for (u32 i = 0; i < CAUSES; i++) {
    ns = waits->waited ? lesser(waits->spent_ns[i], rest) : 0;
    rest -= ns;
    shares[i] = (ns << 16) / whole;
  }
  if (waits->waited)
    queued -= lesser(waits->doubted_ns, queued);
  queued = lesser(queued, rest);
  other = done->latency_ns - rest + queued;
  rest -= queued;
  other = away > other ? lesser(away - other, rest) : 0;
  shares[CAUSES] = (queued << 16) / whole;
  shares[CAUSES + 1] = (other << 16) / whole;
  event->slept_in = waits->waited ? waits->slept_in : 0;
}

/*
 * Names a call that has not returned, when user space asks (BPF_PROG_TEST_RUN with thread and number): calls in
 * flight cost the traced program nothing more. The object may be freed meanwhile, so nothing counts unless the same
 * call is still in flight afterwards.
 */
int look(u64 *ctx)
{
  u64 kind, object, ts_ns;
  u32 zero = 0, tid = ctx[0], place = ctx[1];
  struct names names = {};
  struct thread *thread = thread_of(tid);
  struct in_flight_call *answer = looked.lookup(&zero);
  struct call *call;
  if (!thread || !answer || place >= DEPTH || place >= thread->depth)
    return 0;
  call = CALL_AT(thread, place);
  ts_ns = call->ts_ns;
  object = call->object;
  kind = KIND_OF(object);
  if (kind != OBJECT_DEVICE)
    object = POINTER_OF(object);
  answer->ts_ns = ts_ns;
  answer->offset = call->offset;
  answer->size = call->size;
  if (!is_ours(0, kind, object, &answer->dev))
    return 0;
  name_object(&names, kind, object);
  answer->path_id = names.path;
  answer->flags = names.flags;
  thread = thread_of(tid);
  return thread && place < thread->depth && CALL_AT(thread, place)->ts_ns == ts_ns;
}

/* A word of the context: by inline assembly, which the compiler cannot turn into one load at a computed place. */
#define CONTEXT(OFFSET) \
  ({ u64 value_; asm volatile("%0 = *(u64 *)(%1 + " #OFFSET ")" : "=r"(value_) : "r"(ctx)); value_; })

#if defined(__x86_64__)
#define RETURNED CONTEXT(80)
#define CALLER word(CONTEXT(152)) /* at entry the stack pointer points to it */
#define REGISTER(N) \
  ((N) == 0 ? CONTEXT(112) : (N) == 1 ? CONTEXT(104) : (N) == 2 ? CONTEXT(96) : (N) == 3 ? CONTEXT(88) \
   : (N) == 4 ? CONTEXT(72) : CONTEXT(64))
#else
#define RETURNED CONTEXT(0)
#define CALLER CONTEXT(240)
#define REGISTER(N) WORD_OF_CONTEXT(N)
#endif
#define WORD_OF_CONTEXT(N) \
  ((N) == 0 ? CONTEXT(0) : (N) == 1 ? CONTEXT(8) : (N) == 2 ? CONTEXT(16) : (N) == 3 ? CONTEXT(24) \
   : (N) == 4 ? CONTEXT(32) : (N) == 5 ? CONTEXT(40) : CONTEXT(48))

static __always_inline u64 argument(void *ctx, u64 n)
{
  return PARAMETER(DIRECT) ? WORD_OF_CONTEXT(n) : REGISTER(n);
}

static __always_inline u64 returned(void *ctx)
{
  u64 n;
  if (!PARAMETER(DIRECT))
    return RETURNED;
  n = PARAMETER(ARGUMENTS);
  /* Of a pointer that is returned the verifier knows the type, and forbids to compute with it. */
  if (PARAMETER(RESULT) == RESULT_POINTER)
    return word((u64)ctx + 8 * n);
  return WORD_OF_CONTEXT(n);
}

static __always_inline int super_is_zfs(u64 super)
{
  return word(super + SUPER_MAGIC) == ZFS_MAGIC;
}

/* Whether argument `n` is what the object is looked for in, seen by the magic number of its super block. */
static __always_inline int is_object(u64 source, u64 candidate)
{
  u64 dentry = candidate;
  if (source == SOURCE_TMPFILE && super_is_zfs(word(word(candidate + FILE_DENTRY) + DENTRY_SUPER)))
    return 1;
  if (source == SOURCE_PATH)
    dentry = word(candidate + PATH_DENTRY);
  return super_is_zfs(word(dentry + DENTRY_SUPER));
}

/* Position of the object; kernels differ in a first argument for the mount's ids. */
static __always_inline u64 position(void *ctx)
{
  u64 source, n = PARAMETER(ARG);
  if (n != SEEK_ARG)
    return n;
  source = PARAMETER(SOURCE);
  n = 0;
  if (!is_object(source, argument(ctx, 0))) {
    n = 1;
    if (!is_object(source, argument(ctx, 1)))
      n = 2;
  }
  return n;
}

/* Newer kernels hand a file that is not open yet, and has only its dentry; older ones that dentry itself. */
static __always_inline u64 dentry_of_tmpfile(u64 either)
{
  u64 dentry = word(either + FILE_DENTRY);
  return super_is_zfs(word(dentry + DENTRY_SUPER)) ? dentry : either;
}

/* A file if there is one, else the inode of the page's mapping. */
static __always_inline u64 file_or_host(u64 file, u64 mapping)
{
  return file ? file : word(mapping + MAPPING_HOST) + OBJECT_INODE;
}

/*
 * Where in a znode its inode lies, when no BTF tells: there is a pointer to a super block of ZFS, and the inode's
 * number is the znode's, which stands first. Sought once, at the first call.
 */
static __always_inline u64 inode_of_znode(u64 znode)
{
  u32 zero = 0;
  u64 *offset = found.lookup(&zero);
  if (!offset)
    return znode;
  if (!*offset) {
    u64 number = word(znode);
#pragma clang loop unroll(disable)
    for (int at = 8; at < 2048; at += 8) {
      u64 inode = znode + at - INODE_SUPER, super = word(znode + at);
      if (super_is_zfs(super) && word(inode + INODE_NUMBER) == number) {
        *offset = at - INODE_SUPER;
        break;
      }
    }
  }
  return znode + *offset;
}

static __always_inline u64 volume_of(u64 request)
{
  u64 bio = word(request + 8), dev;
  if (!bio)
    return OBJECT_DEVICE;
  dev = half(word(bio + BIO_DEVICE) + DEVICE_NUMBER);
  if (dev >> MINOR_BITS == ZVOL_MAJOR)
    send_volume(word(request), dev);
  return dev << 2 | OBJECT_DEVICE;
}

/* The object of the call, with its kind; `n` is the position of the argument that leads to it. */
static __always_inline u64 object_of(void *ctx, u64 n)
{
  u64 source = PARAMETER(SOURCE), a = argument(ctx, n);
  if (source == SOURCE_FILE)
    return a;
  if (source == SOURCE_DENTRY)
    return a + OBJECT_DENTRY;
  if (source == SOURCE_INODE)
    return a + OBJECT_INODE;
  if (source == SOURCE_PATH)
    return word(a + PATH_DENTRY) + OBJECT_DENTRY;
  if (source == SOURCE_DENTRY_OR_INODE)
    return a ? a + OBJECT_DENTRY : argument(ctx, 1) + OBJECT_INODE;
  if (source == SOURCE_TMPFILE)
    return dentry_of_tmpfile(a) + OBJECT_DENTRY;
  if (source == SOURCE_PAGE)
    return file_or_host(a, word(argument(ctx, 1) + FOLIO_MAPPING));
  if (source == SOURCE_READAHEAD)
    return file_or_host(word(a + READAHEAD_FILE), word(a + READAHEAD_MAPPING));
  if (source == SOURCE_MAPPING)
    return word(a + MAPPING_HOST) + OBJECT_INODE;
  if (source == SOURCE_SUPER)
    return word(a + SUPER_ROOT) + OBJECT_DENTRY;
  if (source == SOURCE_FAULT)
    return word(word(a + FAULT_AREA) + AREA_FILE);
  if (source == SOURCE_ZNODE)
    return (a + ZNODE_INODE) + OBJECT_INODE;
  if (source == SOURCE_SOUGHT)
    return inode_of_znode(a) + OBJECT_INODE;
  return volume_of(a);
}

/* File and position stand side by side in every kernel so far: one read. */
static __always_inline void begin_kiocb(void *ctx, struct call *call)
{
  u64 iocb = argument(ctx, 0);
  call->extra = iocb;
  if (PARAMETER(TYPED)) {
    call->object = *(u64 *)(iocb + KIOCB_FILE);
    call->offset = *(u64 *)(iocb + KIOCB_POS);
  } else if (KIOCB_POS == KIOCB_FILE + 8) {
    bpf_probe_read_kernel(&call->object, sizeof(call->object) + sizeof(call->offset), (void *)(iocb + KIOCB_FILE));
  } else {
    call->object = word(iocb + KIOCB_FILE);
    call->offset = word(iocb + KIOCB_POS);
  }
}

/* An iovec is in kernel memory here (the kernel copied it); more segments than these are not added up. */
static __always_inline u64 iovec_size(u64 iovec, u64 segments)
{
  u64 size = 0;
  for (int i = 0; i < 16 && i < segments; i++)
    size += word(iovec + i * 16 + 8);
  return size;
}

/* Offset and size that the call asks for, where it is not a plain read or write. */
static __always_inline void begin_extent(void *ctx, u64 n, struct call *call)
{
  u64 extent = PARAMETER(EXTENT), a = argument(ctx, n);
  if (extent == EXTENT_RANGE) {
    u64 end = argument(ctx, 2);
    call->offset = argument(ctx, 1);
    call->size = end == LLONG_MAX_VALUE ? 0 : end - call->offset + 1;
  } else if (extent == EXTENT_BUFFER) {
    call->size = argument(ctx, 2);
    call->offset = word(argument(ctx, 3));
  } else if (extent == EXTENT_EXTENT) {
    call->offset = argument(ctx, 2);
    call->size = argument(ctx, 3);
  } else if (extent == EXTENT_SEEK) {
    call->offset = argument(ctx, 1);
  } else if (extent == EXTENT_COPY) {
    call->offset = argument(ctx, 1);
    call->size = argument(ctx, 4);
  } else if (extent == EXTENT_THIRD) {
    call->size = argument(ctx, 2);
  } else if (extent == EXTENT_FOURTH) {
    call->size = argument(ctx, 3);
  } else if (extent == EXTENT_LENGTH) {
    call->size = word(argument(ctx, n + 1) + ATTRIBUTES_SIZE);
  } else if (extent == EXTENT_PAGE) {
    call->offset = word(argument(ctx, 1) + FOLIO_INDEX) * ZFSTOP_PAGE_SIZE;
    call->size = ZFSTOP_PAGE_SIZE;
  } else if (extent == EXTENT_READAHEAD) {
    call->offset = word(a + READAHEAD_INDEX) * ZFSTOP_PAGE_SIZE;
    call->size = (u64)half(a + READAHEAD_PAGES) * ZFSTOP_PAGE_SIZE;
  } else if (extent == EXTENT_BIO) {
    u64 bio = word(a + 8);
    call->offset = word(bio + BIO_SECTOR) << SECTOR_SHIFT;
    call->size = half(bio + BIO_SIZE);
  } else if (extent == EXTENT_UIO) {
    call->extra = argument(ctx, 1);
    call->offset = word(call->extra + UIO_OFFSET);
    call->size = word(call->extra + UIO_RESID);
  } else if (extent == EXTENT_FAULT) {
    call->offset = word(a + FAULT_OFFSET) * ZFSTOP_PAGE_SIZE;
    call->size = ZFSTOP_PAGE_SIZE;
  }
}

static __always_inline void begin(void *ctx, u64 n, struct call *call)
{
  if (PARAMETER(SOURCE) == SOURCE_KIOCB) {
    begin_kiocb(ctx, call);
    if (PARAMETER(EXTENT) == EXTENT_ITER) {
      call->size = GET(PARAMETER(TYPED), argument(ctx, 1) + ITER_COUNT);
    } else {
      call->size = iovec_size(argument(ctx, 1), argument(ctx, 2));
      call->offset = argument(ctx, 3);
    }
    return;
  }
  call->object = object_of(ctx, n);
  if (PARAMETER(SECOND))
    call->extra = argument(ctx, n + 2);
  if (PARAMETER(EXTENT))
    begin_extent(ctx, n, call);
}

/* Of a function that stands for several operations: whether the call is the one this copy is for. */
static __always_inline int is_meant(void *ctx, u64 n)
{
  u64 variant = PARAMETER(VARIANT);
  if (variant == VARIANT_ALL)
    return 1;
  if (variant == VARIANT_ATTRIBUTES || variant == VARIANT_LENGTH) {
    u32 size = half(argument(ctx, n + 1) + ATTRIBUTES_VALID) & ATTR_SIZE;
    return variant == VARIANT_LENGTH ? size != 0 : size == 0;
  }
  if (variant == VARIANT_HOLES)
    return (u32)argument(ctx, 2) >= SEEK_DATA;
  if (variant == VARIANT_CLONE)
    return !(argument(ctx, 5) & REMAP_FILE_DEDUP);
  return argument(ctx, 5) & REMAP_FILE_DEDUP;
}

int entry(void *ctx)
{
  u64 n = position(ctx), task = bpf_get_current_pid_tgid();
  u32 slot = PARAMETER(SLOT);
  struct counts *mine = counts_of(slot);
  struct thread *thread;
  struct call *call;
  if (!is_meant(ctx, n) || !wanted(mine, PARAMETER(BIT), task)) {
    skip(slot, task);
    return 0;
  }
  thread = seated(slot, task, mine);
  if (!thread)
    return 0;
  call = CALL_AT(thread, thread->depth);
  call->offset = call->size = call->extra = 0;
  call->away_ns = call->queued_ns = 0;
  begin(ctx, n, call);
  read_clocks(&call->away_ns, &call->queued_ns);
  call->slot = slot;
  call->waited = 0;
  call->ts_ns = bpf_ktime_get_ns();
  /* From here on it is in flight. */
  thread->depth++;
  return 0;
}

/* Result and bytes, from the return value. zfs_* return a positive errno, and bytes by what is left in the uio. */
static __always_inline void finish(void *ctx, struct call *call, struct done *done)
{
  u64 meaning = PARAMETER(RESULT), value;
  if (meaning == RESULT_VOID)
    return;
  value = returned(ctx);
  if (meaning == RESULT_MOVED) {
    done->result = done->bytes = value;
  } else if (meaning == RESULT_STATUS) {
    done->result = (s32)value;
  } else if (meaning == RESULT_POSITION) {
    done->result = value;
  } else if (meaning == RESULT_ERRNO) {
    done->result = -(s64)(s32)value;
  } else if (meaning == RESULT_POINTER) {
    if (value >= -LARGEST_ERRNO || value >> 32 == 0)
      done->result = (s32)value;
  } else if (meaning == RESULT_FAULT) {
    done->result = value & VM_FAULT_ERROR ? -EIO : 0;
  } else {
    done->bytes = call->size - word(call->extra + UIO_RESID);
    done->result = (s32)value ? -(s64)(s32)value : (s64)done->bytes;
  }
}

/* The object with the type that the verifier knows, where it does: then it is loaded from directly. */
static __always_inline u64 object_again(void *ctx, struct call *call)
{
  u64 source;
  if (!PARAMETER(TYPED))
    return PARAMETER(KIND) == OBJECT_DEVICE ? call->object : POINTER_OF(call->object);
  source = PARAMETER(SOURCE);
  if (source == SOURCE_KIOCB)
    return *(u64 *)(argument(ctx, 0) + KIOCB_FILE);
  if (source == SOURCE_ZNODE)
    return argument(ctx, 0) + ZNODE_INODE;
  return argument(ctx, PARAMETER(ARG));
}

int leave(void *ctx)
{
  struct done done = {};
  struct names names = {};
  u64 kind = PARAMETER(KIND), object;
  u32 dev = 0, slot = PARAMETER(SLOT);
  struct counts *mine = counts_of(slot);
  struct thread *thread;
  struct call call, *stored;
  if (!mine || !(thread = returning(slot, mine)))
    return 0;
  /* A copy: with a pointer into the seat the verifier goes through all that follows twice. */
  stored = CALL_AT(thread, thread->depth - 1);
  call.ts_ns = stored->ts_ns;
  call.object = stored->object;
  call.offset = stored->offset;
  call.size = stored->size;
  call.extra = stored->extra;
  done.ts_ns = bpf_ktime_get_ns();
  done.latency_ns = done.ts_ns - call.ts_ns;
  settle(thread, &done);
  finish(ctx, &call, &done);
  object = object_again(ctx, &call);
  if (kind == OBJECT_ANY)
    kind = KIND_OF(call.object);
  if (!judge(slot, mine, PARAMETER(TYPED), kind, object, &done, &dev))
    return 0;
  /* The position after the call, less the bytes moved: right also where O_APPEND moved it inside the call. */
  if (PARAMETER(EXTENT) == EXTENT_ITER && done.result > 0)
    call.offset = word(call.extra + KIOCB_POS) - done.result;
  if (PARAMETER(SECOND))
    names.target = target_of(PARAMETER(SECOND), call.extra);
  name_object(&names, kind, object);
  names.flags |= PARAMETER(FLAGS);
  /* Length 0 of a clone is all the rest, as the whole file of an fsync. */
  if ((PARAMETER(EXTENT) == EXTENT_RANGE || PARAMETER(EXTENT) == EXTENT_COPY) && !call.size)
    names.flags |= EVENT_ALL_SIZE;
  emit(slot, mine, &call, &done, &names, dev, CALL_AT(thread, thread->depth));
  return 0;
}

/* A thread is about to sleep on a condition variable. Inside the intent log every sleep is its. */
int sleep_in(void *ctx)
{
  u64 caller;
  u32 cause;
  struct thread *thread = thread_of(bpf_get_current_pid_tgid());
  if (!thread || !thread->depth)
    return 0;
  caller = CALLER;
  cause = cause_of(caller);
  if (thread->region == CAUSE_ZIL && cause != CAUSE_TXG)
    cause = CAUSE_ZIL;
  change(thread, cause, caller);
  return 0;
}

int sleep_out(void *ctx)
{
  struct thread *thread = thread_of(bpf_get_current_pid_tgid());
  if (thread && thread->depth && thread->cause)
    change(thread, thread->region, 0);
  return 0;
}

int region_in(void *ctx)
{
  struct thread *thread = thread_of(bpf_get_current_pid_tgid());
  if (!thread || !thread->depth || thread->region)
    return 0;
  thread->region = PARAMETER(CAUSE);
  change(thread, thread->region, 0);
  return 0;
}

int region_out(void *ctx)
{
  struct thread *thread = thread_of(bpf_get_current_pid_tgid());
  if (!thread || !thread->depth || thread->region != PARAMETER(CAUSE))
    return 0;
  change(thread, 0, 0);
  thread->region = 0;
  return 0;
}

/*
 * sched_migrate_task: the balancer moves a thread that sleeps, which since Linux 6.12 may still be in the run queue then.
 * The scheduler takes it for queued from here on, up to the end of its sleep.
 */
int moved(u64 *ctx)
{
  u64 task = ctx[0];
  struct thread *thread;
  if (!(half(task + TASK_STATE) & TASK_ASLEEP))
    return 0;
  thread = thread_of(half(task + TASK_TID));
  if (thread && thread->depth)
    thread->moved = 1;
  return 0;
}

/*
 * sched_process_free: a thread has ended, and its last program has run. Where many are short-lived, all seats would be
 * taken before user space could find out. One whose return was missed is left to user space, which counts that.
 */
int ended(u64 *ctx)
{
  struct thread *thread = thread_of(half(ctx[0] + TASK_TID));
  u32 seat;
  if (!thread || thread->depth)
    return 0;
  seat = thread->seat;
  thread->tid = FREED;
  seats_taken.delete(&seat);
  return 0;
}

#define FRAMES 16

/* The function that asked for the sleep: the first behind the scheduler's own code. 0 if it is not seen. */
static __always_inline u64 sleeper(void *ctx)
{
  u32 zero = 0;
  u64 frames[FRAMES] = {}, found = 0, inside = 0, done = 0;
  struct code_ranges *known = ranges.lookup(&zero);
  if (!known || bpf_get_stack(ctx, frames, sizeof(frames), 0) <= 0)
    return 0;
#pragma unroll
  for (u32 i = 0; i < FRAMES; i++) {
    u64 offset = frames[i] - known->sched.start;
    u64 within = BELOW(offset, known->sched.bytes) & ~(offset >> 63);
    u64 wanted = inside & ~within & ~done & 1;
    found |= frames[i] & -wanted;
    done |= wanted;
    inside |= within;
  }
  return found;
}

/* sched_switch, attached only while calls sleep for causes nobody knows: tells in which function. */
int switched(u64 *ctx)
{
  u64 prev = ctx[1], next = ctx[2], now;
  struct thread *thread;
  if (!ctx[0] && half(prev + TASK_STATE) & TASK_ASLEEP) {
    thread = thread_of(bpf_get_current_pid_tgid());
    if (thread && thread->depth && !thread->cause) {
      thread->asleep_in = sleeper(ctx);
      thread->asleep_ns = bpf_ktime_get_ns();
    }
  }
  thread = thread_of(half(next + TASK_TID));
  if (!thread || !thread->asleep_ns)
    return 0;
  now = bpf_ktime_get_ns() - thread->asleep_ns;
  thread->asleep_ns = 0;
  if (thread->depth && !thread->cause) {
    struct call *call = CALL_AT(thread, thread->depth - 1);
    begin_waits(call);
    if (now > call->slept_ns) {
      call->slept_ns = now;
      call->slept_in = thread->asleep_in;
    }
  }
  return 0;
}
