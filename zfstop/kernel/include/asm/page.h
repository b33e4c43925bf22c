/* bcc sizes ring buffers in pages; the loader gives the size of this machine's. */
#define PAGE_SIZE ZFSTOP_PAGE_SIZE
