/* What bcc asks of a kernel's configuration: it looks for this file to accept the tree, which spares the real one. */
#define CONFIG_BPF_SYSCALL 1
