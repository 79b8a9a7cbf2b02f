import Glibc
import NIOCore

/// How many threads can run at once: NIO's count, which knows container quotas, and not more than this process's CPU affinity
/// (`taskset`, cpusets) allows. More event loops than processors only take turns.
enum Processors {
    static var count: Int { max(1, min(System.coreCount, allowed(in: ownStatus) ?? System.coreCount)) }

    /// The bits of `Cpus_allowed` in `/proc/PID/status`, a hexadecimal mask in groups of 32 bits: see proc(5).
    static func allowed(in status: String) -> Int? {
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("Cpus_allowed:") }) else { return nil }
        let bits = line.drop { $0 != ":" }.compactMap(\.hexDigitValue).reduce(0) { $0 + $1.nonzeroBitCount }
        return bits > 0 ? bits : nil
    }

    private static var ownStatus: String {
        guard let file = fopen("/proc/self/status", "r") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 8192)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
