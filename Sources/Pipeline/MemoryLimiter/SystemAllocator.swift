import CMalloc

/// glibc's malloc, told how this process uses it.
public enum SystemAllocator {
    /// All threads share one heap. To be called before other threads allocate.
    ///
    /// By default glibc gives threads heaps of their own. Ours allocate batches on event loops and free them on exporters' workers,
    /// so each heap grows to what its thread ever held at once, and memory freed in one is no use to another. Measured with a load
    /// into PostgreSQL: resident memory grew by 13 MiB in 100 s and goes on; with one heap by 1 MiB, and as many spans went
    /// through. The data path takes chunks of 64 KiB from a pool, so the shared heap's lock is hardly waited for.
    public static func useOneArena() {
        mallopt(M_ARENA_MAX, 1)
    }
}
