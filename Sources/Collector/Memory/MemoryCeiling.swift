import Glibc

/// The most memory this process can have: the smallest limit of its control group and those above it, else the machine's memory.
struct MemoryCeiling: Equatable, Sendable {
    enum Origin: String, Sendable {
        case controlGroup = "control group"
        case machine
    }

    let bytes: Int
    let origin: Origin

    static func current() -> MemoryCeiling? { read(SystemFiles.text) }

    /// - Parameter text: the content of a file of `/proc` or `/sys`, nil when there is none.
    static func read(_ text: (String) -> String?) -> MemoryCeiling? {
        let machine = text("/proc/meminfo").flatMap(machineBytes)
        // Control groups without a limit say so with a word (v2) or with a number beyond any machine's memory (v1).
        let groups = limitFiles(mounts: text("/proc/self/mountinfo") ?? "", groups: text("/proc/self/cgroup") ?? "")
        let group = groups.compactMap { text($0).flatMap(limit) }.min()
        if let group, group < machine ?? .max { return MemoryCeiling(bytes: group, origin: .controlGroup) }
        return machine.map { MemoryCeiling(bytes: $0, origin: .machine) }
    }

    /// `MemTotal` of /proc/meminfo, in KiB there: proc_meminfo(5).
    private static func machineBytes(_ text: String) -> Int? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemTotal:") }) else { return nil }
        let fields = line.split(separator: " ")
        guard fields.count > 1, let kib = Int(fields[1]), kib > 0, kib < Int.max >> 10 else { return nil }
        return kib << 10
    }

    private static func limit(_ text: String) -> Int? {
        let word = text.split(whereSeparator: \.isWhitespace).first
        return word.flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
    }

    // MARK: Where the limits are

    /// Depth of control groups that is followed; systemd and container engines nest fewer than ten.
    private static let depthMax = 64

    /// The files that may hold a limit: of this process's group and of all above it, as far as they can be seen from here.
    private static func limitFiles(mounts: String, groups: String) -> [String] {
        var paths: [String] = []
        for mount in mounts.split(separator: "\n").compactMap(Mount.init) {
            guard let group = path(in: groups, controller: mount.isUnified ? "" : "memory") else { continue }
            // What the mount shows is a part of the tree; a container often sees its own group as the root.
            var folders = group.split(separator: "/")[...]
            let root = mount.root.split(separator: "/")
            if folders.starts(with: root) { folders = folders.dropFirst(root.count) }
            for count in (0...min(folders.count, depthMax)).reversed() {
                let folder = ([mount.point] + folders.prefix(count).map(String.init)).joined(separator: "/")
                let names = mount.isUnified ? ["memory.max", "memory.high"] : ["memory.limit_in_bytes"]
                paths += names.map { "\(folder)/\($0)" }
            }
        }
        return paths
    }

    /// The process's group in one hierarchy of /proc/self/cgroup, lines of `number:controllers:path`: cgroups(7).
    private static func path(in groups: String, controller: String) -> Substring? {
        for line in groups.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let controllers = fields[1].split(separator: ",")
            if controller.isEmpty ? fields[1].isEmpty && fields[0] == "0" : controllers.contains(controller[...]) { return fields[2] }
        }
        return nil
    }

    /// A control group file system in /proc/self/mountinfo: proc_pid_mountinfo(5).
    private struct Mount {
        let root: String
        let point: String
        /// cgroup v2.
        let isUnified: Bool

        init?(_ line: Substring) {
            let fields = line.split(separator: " ")
            guard let separator = fields.firstIndex(of: "-"), separator >= 6, fields.count > separator + 3 else { return nil }
            root = String(fields[3])
            point = String(fields[4])
            switch fields[separator + 1] {
            case "cgroup2": isUnified = true
            case "cgroup" where fields[separator + 3].split(separator: ",").contains("memory"): isUnified = false
            default: return nil
            }
        }
    }
}

/// Reads the small files in which the kernel tells about itself.
enum SystemFiles {
    /// More than any of them has; `mountinfo` of a busy container host is the largest.
    private static let bytesMax = 1 << 20

    static func text(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var text: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16384)
        while text.count < bytesMax {
            let count = fread(&piece, 1, piece.count, file)
            guard count > 0 else { break }
            text += piece[..<count]
        }
        return String(decoding: text, as: UTF8.self)
    }
}
