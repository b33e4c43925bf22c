"""Why a call waits: the functions ZFS sleeps in, and the code that tells what for.

Every sleep of ZFS except those for mutexes, rwlocks and the write throttle goes through a condition variable of spl,
and the function that asks for it says why; it survives inlining, because the sleep itself is never inlined. Inside a
region every sleep has the region's cause, whatever function sleeps. Facts by release: OpenZFS 0.8 to 2.4.
"""

from __future__ import annotations

#: Functions of spl in which a call sleeps on a condition variable (module/os/linux/spl/spl-condvar.c). Those for
#: signals and most of those for idling are only used by ZFS's own threads and by ioctls; a call that slept there would
#: be in "other", with the function's name.
SLEEPS = (
    "__cv_wait",
    "__cv_wait_io",
    "__cv_wait_idle",
    "__cv_timedwait",
    "__cv_timedwait_io",
    "cv_timedwait_hires",
)

#: Function of zfs -> the cause of every sleep inside that no caller below explains better. zil_commit becomes
#: zil_commit_flags in 2.4, and callers inside zfs call that one directly.
REGIONS = {
    "dmu_tx_wait": "throttle",
    "zil_commit": "zil",
    "zil_commit_flags": "zil",
}

#: Function of zfs that asks for a sleep -> its cause. Compiler's suffixes count too.
CALLERS = {
    "zio_wait": "disk",
    "dmu_tx_wait": "throttle",
    "txg_wait_open": "txg",
    "txg_wait_synced": "txg",
    "txg_wait_synced_impl": "txg",
    "txg_wait_synced_flags": "txg",
    "txg_wait_synced_sig": "txg",
    "zil_commit": "zil",
    "zil_commit_impl": "zil",
    "zil_commit_flags": "zil",
    "zil_commit_waiter": "zil",
    "zil_commit_writer": "zil",
    "zil_commit_waiter_timeout": "zil",
    "zfs_rangelock_enter": "lock",
    "zfs_rangelock_enter_impl": "lock",
    "zfs_rangelock_enter_reader": "lock",
    "zfs_rangelock_enter_writer": "lock",
    "rangelock_enter": "lock",
    "rangelock_enter_reader": "lock",
    "rangelock_enter_writer": "lock",
    "zfs_range_lock": "lock",
    "dbuf_read": "lock",
    "dbuf_read_impl": "lock",
    "dbuf_read_verify_dnode_crypt": "lock",
    "dbuf_noread": "lock",
    "dbuf_assign_arcbuf": "lock",
    "dmu_buf_hold_array_by_dnode": "lock",
    "dmu_read_abd": "lock",
    "arc_read": "lock",
    "zfs_dirent_lock": "lock",
    "arc_wait_for_eviction": "memory",
    "arc_get_data_impl": "memory",
}
