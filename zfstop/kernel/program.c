/*
 * Measures ZFS operations between entry and return of one kernel function each, and streams the slow ones.
 *
 * The loader puts in front of this text, from numbers and fixed words only: the structs of model/events.py, the
 * offsets of kernel structures (from BTF, or offsetof with installed headers), and below it one
 * PROBE_kind(slot, operation bit, decoder) line for each function and way to attach of the plan. No text of a user is ever compiled.
 *
 * Threshold, PIDs, devices and operations are map values: a change is in force for the next operation.
 *
 * The books of a slot: entered = seen + below + filtered + filtered_dev + lost + full + rejected + queued
 *                                + in flight + missed returns.
 * Each counter is touched by one program only, so that a program preempted on its CPU cannot lose a count.
 */
#define ZFS_MAGIC 0x2fc12fc1ULL
#define MAX_DEPTH 32
#define NAME_SPACE 256
#define SMALL_PATH 512
#define LARGE_PATH 8192
#define SUB_BITS 4
#define LAST_BUCKET ((40 - SUB_BITS + 1) * (1 << SUB_BITS) - 1)
#define EIOCBQUEUED 529 /* the call goes on without its caller: no latency is known */
#define LLONG_MAX_VALUE 0x7fffffffffffffffULL

/*
 * What entry remembers for return, one for each thread and slot. An entry outlives its call, idle with `ts_ns` 0 since
 * `left_ns`: finding it again costs a third of making and deleting one. User space takes out what stays idle; `key`
 * tells a reused entry. `iocb` is 0 where there is none.
 */
struct call {
  u64 ts_ns, left_ns, key, object, offset, size, iocb;
};

/*
 * `own` is the instance's own process, which would otherwise trace its own output without end. `zero` is 0, which the
 * verifier does not know: see tally.
 */
struct settings {
  u64 threshold_ns, operations;
  u32 by_pid, by_dev, own, zero;
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
BPF_HASH(in_flight, u64, struct call, MAX_IN_FLIGHT);
BPF_F_TABLE("percpu_hash", struct tally_key, struct tally, tallies, MAX_TALLIES, 0);
BPF_HASH(sent_paths, u64, u8, MAX_SENT_PATHS);
BPF_RINGBUF_OUTPUT(events, EVENT_PAGES);
BPF_RINGBUF_OUTPUT(paths, PATH_PAGES);

static __always_inline u64 word(u64 address)
{
  u64 value = 0;
  bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
  return value;
}

static __always_inline u32 half(u64 address)
{
  u32 value = 0;
  bpf_probe_read_kernel(&value, sizeof(value), (void *)address);
  return value;
}

/*
 * A word of a kernel structure. Where the kernel knows the type of `address` (the arguments of fentry and fexit, and
 * what they point to) it may be loaded directly, which costs one instruction instead of a call.
 */
#define GET(DIRECT, ADDRESS) ((DIRECT) ? *(u64 *)(ADDRESS) : word(ADDRESS))

/* The same as bucket_of in model/histogram.py. */
static __always_inline u32 bucket_of(u64 ns)
{
  u32 top = 0;
  u64 rest = ns;
  if (ns >> 40)
    return LAST_BUCKET;
  if (rest >> 32) { top += 32; rest >>= 32; }
  if (rest >> 16) { top += 16; rest >>= 16; }
  if (rest >> 8) { top += 8; rest >>= 8; }
  if (rest >> 4) { top += 4; rest >>= 4; }
  if (rest >> 2) { top += 2; rest >>= 2; }
  if (rest >> 1)
    top += 1;
  if (top <= SUB_BITS)
    return ns;
  return ((top - SUB_BITS) << SUB_BITS) + (ns >> (top - SUB_BITS));
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

static __always_inline void enter(u32 slot, u64 task, struct counts *mine, struct call *call)
{
  struct call *stored;
  call->key = (task << 32) | slot;
  stored = in_flight.lookup(&call->key);
  call->ts_ns = bpf_ktime_get_ns();
  if (stored) {
    /* The thread is here again, so the return of its last call was missed. */
    if (stored->ts_ns)
      mine->of[C_MISSED]++;
    *stored = *call;
  } else if (in_flight.update(&call->key, call)) {
    mine->of[C_FULL]++;
  }
}

/* One name of the path into `id`: the kernel's own hash of the name, salted with its directory, and its length. */
static __always_inline u64 mix(u64 id, u64 hash_len)
{
  id = (id ^ hash_len) * 0x9e3779b97f4a7c15ULL;
  return id ^ (id >> 29);
}

struct walk {
  u64 id;
  u32 length, depth, cut;
};

/* Identifies the path by walking to the root without copying a name. */
static __always_inline void walk_path(u64 dentry, u64 ino, struct walk *walk)
{
  u64 parent, hash_len;
  walk->id = mix(dentry, ino);
  walk->length = walk->depth = 0;
  walk->cut = 1;
  for (int i = 0; i < MAX_DEPTH; i++) {
    parent = word(dentry + DENTRY_PARENT);
    if (parent == dentry || !parent) {
      walk->cut = 0;
      break;
    }
    hash_len = word(dentry + DENTRY_NAME + QSTR_HASH_LEN);
    walk->id = mix(walk->id, hash_len);
    walk->length += (hash_len >> 32) + 1;
    walk->depth++;
    dentry = parent;
  }
}

/* Copies the names from leaf to root, each ended by a NUL. Returns the bytes written, 0 if a rename came between. */
static __always_inline u32 copy_path(u64 dentry, u64 ino, u64 id, char *text, u32 space)
{
  u64 parent, seen = mix(dentry, ino);
  u32 at = 0;
  for (int i = 0; i < MAX_DEPTH; i++) {
    parent = word(dentry + DENTRY_PARENT);
    if (parent == dentry || !parent)
      break;
    seen = mix(seen, word(dentry + DENTRY_NAME + QSTR_HASH_LEN));
    at &= space - 1;
    long n = bpf_probe_read_kernel_str(text + at, NAME_SPACE, (void *)word(dentry + DENTRY_NAME + QSTR_NAME));
    if (n <= 0)
      return 0;
    at += n;
    dentry = parent;
  }
  return seen == id ? at : 0;
}

/* Fills a reserved record; 0 if it must be thrown away. */
static __always_inline int fill_path(struct path_header *head, char *text, u32 space, u64 dentry, u64 ino,
                                     struct walk *walk)
{
  head->path_id = walk->id;
  head->flags = walk->cut ? PATH_CUT : 0;
  head->length = copy_path(dentry, ino, walk->id, text, space);
  return head->length || !walk->depth;
}

/* Makes sure that user space has the text of the path before the event. Returns its id, 0 without one. */
static __always_inline u64 path_of(u64 dentry, u64 ino)
{
  struct walk walk;
  struct small_path *small;
  struct large_path *large;
  u8 sent = 0;
  walk_path(dentry, ino, &walk);
  if (!walk.id)
    walk.id = 1;
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

enum object { OBJECT_FILE, OBJECT_INODE };

static __always_inline u64 dentry_of(enum object kind, u64 object)
{
  u64 alias;
  if (kind == OBJECT_FILE)
    return word(object + FILE_DENTRY);
  alias = word(object + INODE_ALIASES);
  /* Of several hard links nobody can tell which one was meant: no name is better than a wrong one. */
  return alias && !word(alias) ? alias - DENTRY_ALIAS : 0;
}

/* `bytes` were moved; only reads and writes return such a number. */
struct done {
  u64 ts_ns, latency_ns, bytes;
  s64 result;
};

static __always_inline void emit(u32 slot, struct counts *mine, enum object kind, u32 flags, struct call *call,
                                 struct done *done, u64 inode, u32 dev)
{
  u64 task = bpf_get_current_pid_tgid(), dentry = dentry_of(kind, call->object);
  u64 ino = word(inode + INODE_NUMBER), path = dentry ? path_of(dentry, ino) : 0;
  struct event *event;
  if (!path) {
    flags |= EVENT_NO_PATH;
    mine->of[C_PATHLESS]++;
  } else if (!word(dentry + DENTRY_HASHED) && word(dentry + DENTRY_PARENT) != dentry) {
    flags |= EVENT_DELETED;
  }
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
  event->ino = ino;
  event->path_id = path ? path : ino;
  event->cgroup = bpf_get_current_cgroup_id();
  bpf_get_current_comm(event->comm, sizeof(event->comm));
  event->pid = task >> 32;
  event->dev = dev;
  event->uid = bpf_get_current_uid_gid();
  event->slot = slot;
  event->flags = flags;
  event->tid = task;
  event->bucket = bucket_of(done->latency_ns);
  event->spare = 0;
  events.ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  mine->of[C_SEEN]++;
}

/*
 * The statistics of all calls, slow or not. One entry serves a power of two of the latency, so that a dataset costs
 * memory only where it has calls; its sixteen slices are the buckets of model/histogram.py.
 */
static __always_inline void tally(u32 slot, struct counts *mine, u32 dev, struct done *done, u32 zero)
{
  /*
   * Of a sum with an unknown number the verifier learns nothing about the latency itself. Without it every power of
   * two would be a case of its own in all that follows, and loading would take eight times as long.
   */
  u32 bucket = bucket_of(done->latency_ns + zero);
  struct tally_key key = {.dev = dev, .slot = slot, .octave = bucket >> SUB_BITS};
  struct tally *sums = tallies.lookup(&key);
  if (!sums) {
    struct tally none = {};
    tallies.insert(&key, &none);
    sums = tallies.lookup(&key);
    if (!sums) {
      mine->of[C_UNTALLIED]++;
      return;
    }
  }
  sums->calls[bucket & (TALLY_SLICES - 1)]++;
  sums->sum_ns += done->latency_ns;
  if (done->result < 0)
    sums->errors++;
  else
    sums->bytes += done->bytes;
}

/* Whether a super block is of ZFS; then `dev` is its device. A call that reads costs more than the bytes it reads. */
static __always_inline int is_zfs(int direct, u64 super, u32 *dev)
{
  if (direct) {
    *dev = *(u32 *)(super + SUPER_DEV);
    return *(u64 *)(super + SUPER_MAGIC) == ZFS_MAGIC;
  }
  if (SUPER_MAGIC > SUPER_DEV && SUPER_MAGIC - SUPER_DEV <= 120 && (SUPER_MAGIC - SUPER_DEV) % 8 == 0) {
    u64 both[16] = {};
    bpf_probe_read_kernel(both, SUPER_MAGIC - SUPER_DEV + 8, (void *)(super + SUPER_DEV));
    *dev = both[0];
    return both[(SUPER_MAGIC - SUPER_DEV) / 8 % 16] == ZFS_MAGIC;
  }
  *dev = half(super + SUPER_DEV);
  return word(super + SUPER_MAGIC) == ZFS_MAGIC;
}

/*
 * Every call is tallied if it is of ZFS; then everything that is not emitted is counted, and why. 1 if it is to be
 * emitted. `inode` and `dev` are filled in.
 */
static __always_inline int judge(int direct, u32 slot, struct counts *mine, enum object kind, u64 object,
                                 struct done *done, u64 *inode, u32 *dev)
{
  u32 zero = 0;
  struct settings *set = settings.lookup(&zero);
  if (!set)
    return 0;
  if (done->result == -EIOCBQUEUED) {
    mine->of[C_QUEUED]++;
    return 0;
  }
  *inode = kind == OBJECT_FILE ? GET(direct, object + FILE_INODE) : object;
  if (!is_zfs(direct, GET(direct, *inode + INODE_SUPER), dev)) {
    mine->of[C_REJECTED]++;
    return 0;
  }
  tally(slot, mine, *dev, done, set->zero);
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

/* Takes the call out of the in-flight map; 0 if its entry was not recorded. */
static __always_inline int take(u32 slot, struct counts *mine, struct call *call, struct done *done)
{
  u64 key = (bpf_get_current_pid_tgid() << 32) | slot;
  struct call *stored = in_flight.lookup(&key);
  mine->of[C_RETURNED]++;
  if (!stored || !stored->ts_ns || stored->key != key) {
    mine->of[C_UNMATCHED]++;
    return 0;
  }
  *call = *stored;
  done->ts_ns = bpf_ktime_get_ns();
  stored->ts_ns = 0;
  stored->left_ns = done->ts_ns;
  done->latency_ns = done->ts_ns - call->ts_ns;
  return 1;
}

/*
 * Names a call that has not returned, when user space asks (BPF_PROG_TEST_RUN with the key of its entry and the kind
 * of its object): calls in flight cost the traced program nothing more. The object may be freed meanwhile, so nothing
 * counts unless the same call is still in flight afterwards.
 */
int look(u64 *ctx)
{
  u64 key = ctx[0], inode, super, dentry;
  enum object kind = ctx[1];
  u32 zero = 0;
  struct call call, *stored = in_flight.lookup(&key);
  struct in_flight_call *answer = looked.lookup(&zero);
  if (!stored || !stored->ts_ns || !answer)
    return 0;
  call = *stored;
  inode = kind == OBJECT_FILE ? word(call.object + FILE_INODE) : call.object;
  super = word(inode + INODE_SUPER);
  if (word(super + SUPER_MAGIC) != ZFS_MAGIC)
    return 0;
  dentry = dentry_of(kind, call.object);
  answer->ts_ns = call.ts_ns;
  answer->offset = call.offset;
  answer->size = call.size;
  answer->ino = word(inode + INODE_NUMBER);
  answer->path_id = dentry ? path_of(dentry, answer->ino) : 0;
  answer->dev = half(super + SUPER_DEV);
  answer->flags = answer->path_id ? 0 : EVENT_NO_PATH;
  stored = in_flight.lookup(&key);
  return stored && stored->ts_ns == call.ts_ns;
}

/*
 * Decoders, one for each shape of argument list. For a decoder NAME:
 *   OBJECT_NAME  the file or inode, from the arguments      ARGS_NAME   how many arguments the function has
 *   ENTER_NAME   struct call, at entry                      LEAVE_NAME  result and bytes, from the return value
 *   SLOW_NAME    what only an emitted call needs            KIND_NAME   kind of object, flags of the event
 * zpl_* return bytes or -errno; zfs_* return a positive errno and tell the bytes by what is left in the uio.
 * L is 1 where words may be loaded directly (see GET).
 */
#define LEAVE_moved(L, B) done.result = ret, done.bytes = ret
#define LEAVE_status(L, B) done.result = (s32)ret
#define LEAVE_errno(L, B) done.result = -(s64)(s32)ret

#define OBJECT_kiocb_iter(L, A, B) GET(L, (A) + KIOCB_FILE)
#define ENTER_kiocb_iter(L, A, B, C, D) enter_kiocb(L, A, &call), call.size = GET(L, (B) + ITER_COUNT)
#define LEAVE_kiocb_iter LEAVE_moved
/* The position after the call, less the bytes moved: right also where O_APPEND moved it inside the call. */
#define SLOW_kiocb_iter if (done.result > 0) call.offset = word(call.iocb + KIOCB_POS) - done.result
#define KIND_kiocb_iter OBJECT_FILE, 0
#define ARGS_kiocb_iter 2

#define OBJECT_kiocb_iovec(L, A, B) GET(L, (A) + KIOCB_FILE)
#define ENTER_kiocb_iovec(L, A, B, C, D) enter_kiocb(L, A, &call), call.offset = (D), call.size = iovec_size(B, C)
#define LEAVE_kiocb_iovec LEAVE_moved
#define SLOW_kiocb_iovec
#define KIND_kiocb_iovec OBJECT_FILE, 0
#define ARGS_kiocb_iovec 4

#define OBJECT_file_buf(L, A, B) (A)
#define ENTER_file_buf(L, A, B, C, D) call.object = (A), call.size = (C), call.offset = word(D)
#define LEAVE_file_buf LEAVE_moved
#define SLOW_file_buf
#define KIND_file_buf OBJECT_FILE, 0
#define ARGS_file_buf 4

#define OBJECT_inode_file(L, A, B) (B)
#define ENTER_inode_file(L, A, B, C, D) call.object = (B)
#define LEAVE_inode_file LEAVE_status
#define SLOW_inode_file
#define KIND_inode_file OBJECT_FILE, EVENT_NO_OFFSET | EVENT_ALL_SIZE
#define ARGS_inode_file 2

#define OBJECT_file_range(L, A, B) (A)
#define ENTER_file_range(L, A, B, C, D) \
  call.object = (A), call.offset = (B), call.size = (C) == LLONG_MAX_VALUE ? 0 : (C) - (B) + 1
#define LEAVE_file_range LEAVE_status
#define SLOW_file_range
#define KIND_file_range OBJECT_FILE, call.size ? 0 : EVENT_ALL_SIZE
#define ARGS_file_range 4

#define OBJECT_znode_uio(L, A, B) ((A) + ZNODE_INODE)
#define ENTER_znode_uio(L, A, B, C, D) \
  call.object = (A) + ZNODE_INODE, call.iocb = (B), call.offset = GET(L, (B) + UIO_OFFSET), call.size = GET(L, (B) + UIO_RESID)
#define LEAVE_znode_uio(L, B) \
  done.bytes = call.size - GET(L, (B) + UIO_RESID), done.result = (s32)ret ? -(s64)(s32)ret : (s64)done.bytes
#define SLOW_znode_uio
#define KIND_znode_uio OBJECT_INODE, 0
#define ARGS_znode_uio 4

#define OBJECT_znode_sync(L, A, B) ((A) + ZNODE_INODE)
#define ENTER_znode_sync(L, A, B, C, D) call.object = (A) + ZNODE_INODE
#define LEAVE_znode_sync LEAVE_errno
#define SLOW_znode_sync
#define KIND_znode_sync OBJECT_INODE, EVENT_ALL_SIZE
#define ARGS_znode_sync 3

#define OBJECT_inode_only(L, A, B) (A)
#define ENTER_inode_only(L, A, B, C, D) call.object = (A)
#define LEAVE_inode_only LEAVE_errno
#define SLOW_inode_only
#define KIND_inode_only OBJECT_INODE, EVENT_NO_OFFSET | EVENT_ALL_SIZE
#define ARGS_inode_only 4

/* File and position stand side by side in every kernel so far: one read. */
static __always_inline void enter_kiocb(int direct, u64 iocb, struct call *call)
{
  u64 both[2] = {};
  call->iocb = iocb;
  if (!direct && KIOCB_POS == KIOCB_FILE + 8) {
    bpf_probe_read_kernel(both, sizeof(both), (void *)(iocb + KIOCB_FILE));
    call->object = both[0];
    call->offset = both[1];
    return;
  }
  call->object = GET(direct, iocb + KIOCB_FILE);
  call->offset = GET(direct, iocb + KIOCB_POS);
}

/* An iovec is in kernel memory here (the kernel copied it); more segments than these are not added up. */
static __always_inline u64 iovec_size(u64 iovec, u64 segments)
{
  u64 size = 0;
  for (int i = 0; i < 16 && i < segments; i++)
    size += word(iovec + i * 16 + 8);
  return size;
}

#if defined(__x86_64__)
#define REGS(ctx) (ctx)->di, (ctx)->si, (ctx)->dx, (ctx)->cx
#define RETURNED(ctx) (ctx)->ax
#else
#define REGS(ctx) (ctx)->regs[0], (ctx)->regs[1], (ctx)->regs[2], (ctx)->regs[3]
#define RETURNED(ctx) (ctx)->regs[0]
#endif

#define FIRST_2(ctx) (ctx)[0], (ctx)[1], 0ULL, 0ULL
#define FIRST_3(ctx) (ctx)[0], (ctx)[1], (ctx)[2], 0ULL
#define FIRST_4(ctx) (ctx)[0], (ctx)[1], (ctx)[2], (ctx)[3]
#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

#define ENTRY_BODY(L, SLOT, BIT, DECODER, ...)                       \
  {                                                                  \
    struct call call = {};                                           \
    u64 args[4] = {__VA_ARGS__};                                     \
    struct counts *mine = counts_of(SLOT);                           \
    u64 task = bpf_get_current_pid_tgid();                           \
    if (!wanted(mine, BIT, task))                                    \
      return 0;                                                      \
    ENTER_##DECODER(L, args[0], args[1], args[2], args[3]);          \
    enter(SLOT, task, mine, &call);                                  \
    return 0;                                                        \
  }

/* OBJECT and SECOND are what the return still knows of the arguments: all of them in fexit, the stored call else. */
#define RETURN_BODY(L, SLOT, DECODER, RET, OBJECT, SECOND)                                      \
  {                                                                                             \
    struct call call;                                                                           \
    struct done done = {};                                                                      \
    u64 ret = (RET), object, inode = 0;                                                         \
    u32 dev = 0;                                                                                \
    struct counts *mine = counts_of(SLOT);                                                      \
    if (!mine || !take(SLOT, mine, &call, &done))                                               \
      return 0;                                                                                 \
    object = OBJECT;                                                                            \
    LEAVE_##DECODER(L, SECOND);                                                                 \
    if (judge(L, SLOT, mine, FIRST_OF(KIND_##DECODER), object, &done, &inode, &dev)) {          \
      SLOW_##DECODER;                                                                           \
      emit(SLOT, mine, KIND_##DECODER, &call, &done, inode, dev);                               \
    }                                                                                           \
    return 0;                                                                                   \
  }
#define FIRST_OF(...) FIRST_OF_(__VA_ARGS__)
#define FIRST_OF_(first, ...) first

/* The pair of programs of a slot, for each way to attach. */
#define PROBE_kprobe(SLOT, BIT, DECODER)                                                                     \
  int kprobe_entry_##SLOT(struct pt_regs *ctx) ENTRY_BODY(0, SLOT, BIT, DECODER, REGS(ctx))                  \
  int kprobe_return_##SLOT(struct pt_regs *ctx) RETURN_BODY(0, SLOT, DECODER, RETURNED(ctx), call.object, call.iocb)
#define PROBE_fentry(SLOT, BIT, DECODER)                                                                     \
  int fentry_##SLOT(u64 *ctx) ENTRY_BODY(1, SLOT, BIT, DECODER, PASTE(FIRST_, ARGS_##DECODER)(ctx))          \
  int fexit_##SLOT(u64 *ctx) RETURN_BODY(1, SLOT, DECODER, ctx[ARGS_##DECODER],                              \
                                         OBJECT_##DECODER(1, ctx[0], ctx[1]), ctx[1])
