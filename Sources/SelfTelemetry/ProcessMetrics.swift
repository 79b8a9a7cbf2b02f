import Glibc

/// The process's own use of time and memory, under the Go collector's names.
public enum ProcessMetrics {
    /// - Parameter start: when the process began, for the uptime.
    public static func register(in registry: MetricRegistry, start: ContinuousClock.Instant = .now) {
        registry.observe("otelcol_process_uptime_total", help: "Uptime of the process in seconds.", monotonic: true) {
            let (seconds, attoseconds) = (ContinuousClock.now - start).components
            return Double(seconds) + Double(attoseconds) / 1e18
        }
        registry.observe("otelcol_process_cpu_seconds_total", help: "Total CPU user and system time in seconds.", monotonic: true) {
            cpuSeconds
        }
        registry.observe("otelcol_process_memory_rss", help: "Total physical memory (resident set size) in bytes.") {
            Double(residentBytes)
        }
    }

    /// User and system time of all threads.
    static var cpuSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Second field of `/proc/self/statm`, in pages; 0 when it cannot be read. proc_pid_statm(5)
    static var residentBytes: Int {
        let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        let fields = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return 0 }
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
