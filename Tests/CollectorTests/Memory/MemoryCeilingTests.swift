import Testing
@testable import Collector

@Suite struct MemoryCeilingTests {
    private static let meminfo = "MemTotal:        8000000 kB\nMemFree:          100 kB\n"
    private static let machineBytes = 8_000_000 << 10
    private static let unifiedMount = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    private static let memoryMount = "34 25 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:15 - cgroup cgroup rw,memory\n"
    private static let unlimitedV1 = "9223372036854771712\n"

    private func ceiling(_ files: [String: String], machine: String? = meminfo) -> MemoryCeiling? {
        var files = files
        files["/proc/meminfo"] = machine
        return MemoryCeiling.read { files[$0] }
    }

    @Test func `without control groups it is the machine's memory`() {
        #expect(ceiling([:]) == MemoryCeiling(bytes: Self.machineBytes, origin: .machine))
        #expect(ceiling([:], machine: nil) == nil)
        #expect(ceiling([:], machine: "MemTotal: lots\n") == nil)
    }

    @Test func `of nested groups the smallest limit holds`() {
        let files = [
            "/proc/self/mountinfo": Self.unifiedMount, "/proc/self/cgroup": "0::/system.slice/collector.service/inner\n",
            "/sys/fs/cgroup/system.slice/collector.service/inner/memory.max": "max\n",
            "/sys/fs/cgroup/system.slice/collector.service/memory.max": "536870912\n",
            "/sys/fs/cgroup/system.slice/memory.max": "268435456\n",
        ]
        #expect(ceiling(files) == MemoryCeiling(bytes: 268_435_456, origin: .controlGroup))
    }

    @Test func `memory that is slowed down counts as a limit`() {
        let files = [
            "/proc/self/mountinfo": Self.unifiedMount, "/proc/self/cgroup": "0::/a\n", "/sys/fs/cgroup/a/memory.max": "536870912\n",
            "/sys/fs/cgroup/a/memory.high": "402653184\n",
        ]
        #expect(ceiling(files)?.bytes == 402_653_184)
    }

    @Test func `a container that sees its group as the root`() {
        let files = [
            "/proc/self/mountinfo": "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
            "/proc/self/cgroup": "0::/docker/abc/sub\n", "/sys/fs/cgroup/memory.max": "134217728\n",
            "/sys/fs/cgroup/sub/memory.max": "max\n",
        ]
        #expect(ceiling(files)?.bytes == 134_217_728)
    }

    @Test func `version 1, nested, in the hierarchy that has the memory controller`() {
        let files = [
            "/proc/self/mountinfo": "33 25 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" + Self.memoryMount,
            "/proc/self/cgroup": "5:cpu,cpuacct:/other\n4:memory:/pod/container\n0::/\n",
            "/sys/fs/cgroup/memory/pod/container/memory.limit_in_bytes": Self.unlimitedV1,
            "/sys/fs/cgroup/memory/pod/memory.limit_in_bytes": "1073741824\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": Self.unlimitedV1,
        ]
        #expect(ceiling(files) == MemoryCeiling(bytes: 1 << 30, origin: .controlGroup))
    }

    @Test func `limits beyond the machine's memory are none`() {
        let files = [
            "/proc/self/mountinfo": Self.memoryMount, "/proc/self/cgroup": "4:memory:/\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": Self.unlimitedV1,
        ]
        #expect(ceiling(files) == MemoryCeiling(bytes: Self.machineBytes, origin: .machine))
    }

    @Test(arguments: [
        ("", ""), ("nonsense", "nonsense"), (unifiedMount, "0::"), (unifiedMount, "0:"), ("- cgroup2", "0::/a"),
        (String(repeating: unifiedMount, count: 1000), "0::" + String(repeating: "/a", count: 10_000)),
    ])
    func `odd files are read as no limit`(mounts: String, groups: String) {
        #expect(ceiling(["/proc/self/mountinfo": mounts, "/proc/self/cgroup": groups])?.origin == .machine)
    }

    @Test func `this machine has a ceiling`() throws {
        let ceiling = try #require(MemoryCeiling.current())
        #expect(ceiling.bytes > 1 << 20)
    }
}
