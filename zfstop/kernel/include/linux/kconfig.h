/* What bcc asks of a kernel's configuration. See README "No kernel headers" for why this tree exists. */
#define CONFIG_BPF_SYSCALL 1
