import CMalloc

/// glibc's malloc, told how this process uses it.
public enum SystemAllocator {
    /// Blocks from this size on are mapped singly and go back to the system when they are freed: bodies and decompressed messages of
    /// megabytes. A body of 512 spans is smaller.
    private static let mappedBytesMin: Int32 = 1 << 20
    /// Free memory at the end of the heap that is kept.
    private static let trimBytes: Int32 = 4 << 20

    /// All threads share one heap, and large blocks stay out of it. To be called before other threads allocate.
    ///
    /// By default glibc gives threads heaps of their own. Ours allocate batches on event loops and free them on exporters' workers,
    /// so each heap grows to what its thread ever held at once, and memory freed in one is no use to another. Measured with a load
    /// into PostgreSQL: resident memory grew by 13 MiB in 100 s and goes on; with one heap by 1 MiB, and as many spans went
    /// through. The data path takes chunks of 64 KiB from a pool, so the shared heap's lock is hardly waited for.
    ///
    /// By default glibc also raises the size from which blocks are mapped singly to the largest that was ever freed. Then bodies that
    /// grow by doubling leave holes of every size: 500 streams with bodies of 4 MB and a budget of 28 MiB made a process of 151 MiB,
    /// 76 MiB with a fixed size.
    public static func configure() {
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_MMAP_THRESHOLD, mappedBytesMin)
        mallopt(M_TRIM_THRESHOLD, trimBytes)
    }
}
