/* The registers a kprobe sees, as the kernel's ABI has them. */
#ifndef ZFSTOP_PTRACE_H
#define ZFSTOP_PTRACE_H
#if defined(__x86_64__)
struct pt_regs {
  unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
  unsigned long orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__aarch64__)
struct user_pt_regs {
  unsigned long long regs[31], sp, pc, pstate;
};
struct pt_regs {
  unsigned long long regs[31], sp, pc, pstate;
};
#else
#error "zfstop knows the registers of x86_64 and aarch64 only"
#endif
#endif
