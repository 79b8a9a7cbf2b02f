import Glibc
@testable import Pipeline

/// A disk in memory that fails on command: short writes, errors, lost writes, death of the process at any call, power cuts.
///
/// What was written and not synced is in the page cache: it survives `kill`, and at a power cut any subset of its sectors. Changes of
/// names and lengths are in a journal: at a power cut the first few of those not synced have happened.
final class Disk {
    final class Inode {
        var cached: [UInt8]
        var durable: [UInt8]
        /// Written since the last sync, by sector.
        var dirtySectors: Set<Int> = []

        init(bytes: Int) {
            cached = Array(repeating: 0, count: bytes)
            durable = []
        }
    }

    enum JournalEntry {
        case add(String, Inode)
        case remove(String)
        case shorten(Inode, Int)
    }

    static let sectorBytes = 512
    var names: [String: Inode] = [:]
    var durableNames: [String: Inode] = [:]
    var journal: [JournalEntry] = []
    var isLocked = false

    func sync(_ inode: Inode) {
        inode.durable = inode.cached
        inode.dirtySectors = []
    }

    /// Each dirty sector reaches the disk or does not.
    func scatter(_ inode: Inode, _ random: inout SeededNumbers) {
        for sector in inode.dirtySectors.sorted() where random.chance(2) {
            let start = sector * Self.sectorBytes
            let end = min(start + Self.sectorBytes, inode.cached.count)
            if end > inode.durable.count { inode.durable += Array(repeating: 0, count: end - inode.durable.count) }
            if start < end { inode.durable.replaceSubrange(start..<end, with: inode.cached[start..<end]) }
        }
        inode.dirtySectors = []
    }

    private func shorten(_ inode: Inode, _ bytes: Int) {
        if bytes < inode.durable.count { inode.durable.removeLast(inode.durable.count - bytes) }
    }

    func syncNames() {
        for case .shorten(let inode, let bytes) in journal { shorten(inode, bytes) }
        durableNames = names
        journal = []
    }

    func cutPower(_ random: inout SeededNumbers) {
        for change in journal.prefix(random.below(journal.count + 1)) {
            switch change {
            case .add(let name, let inode): durableNames[name] = inode
            case .remove(let name): durableNames[name] = nil
            case .shorten(let inode, let bytes): shorten(inode, bytes)
            }
        }
        names = durableNames
        journal = []
        for inode in names.values {
            scatter(inode, &random)
            inode.cached = inode.durable
        }
    }
}

/// One process's view of the disk.
final class FaultyFiles: LogFiles, @unchecked Sendable {
    enum Mode { case reliable, failing }

    private let lock = ConditionLock()
    private let disk: Disk
    private var random: SeededNumbers
    private var handles: [Int32: Disk.Inode] = [:]
    private var nextHandle: Int32 = 3
    private var holdsLock = false
    private var isDead = false
    private var callsUntilDeath: Int?
    private var mode = Mode.reliable
    private var failsReads = false
    private(set) var bytesPeak = 0

    init(_ disk: Disk, seed: UInt64) {
        self.disk = disk
        random = SeededNumbers(seed: seed)
    }

    func set(_ mode: Mode, failsReads: Bool = false) {
        lock.withLock {
            self.mode = mode
            self.failsReads = failsReads
        }
    }

    /// The process dies in the middle of that call from now, counted from 0.
    func die(inCalls calls: Int) { lock.withLock { callsUntilDeath = calls } }

    /// The process is dead: whatever it calls fails.
    func die() {
        lock.withLock {
            isDead = true
            if holdsLock { disk.isLocked = false }
            holdsLock = false
        }
    }

    var hasDied: Bool { lock.withLock { isDead } }

    private func call<Result>(
        _ name: StaticString, isRead: Bool = false, _ body: (_ fault: Int32?) throws(LogFileError) -> Result
    ) throws(LogFileError) -> Result {
        try lock.withLock { () throws(LogFileError) in
            if isDead { throw LogFileError(EIO, name) }
            if let left = callsUntilDeath, !isRead {
                callsUntilDeath = left - 1
                if left == 0 {
                    isDead = true
                    if holdsLock { disk.isLocked = false }
                    _ = try body(EIO)
                    throw LogFileError(EIO, name)
                }
            }
            let fails = isRead ? failsReads && random.chance(10) : mode == .failing && random.chance(3)
            return try body(fails ? [EIO, ENOSPC][random.below(2)] : nil)
        }
    }

    private func inode(_ file: LogFile) throws(LogFileError) -> Disk.Inode {
        guard let inode = handles[file.descriptor] else { throw LogFileError(EBADF, "handle") }
        return inode
    }

    private func handle(_ inode: Disk.Inode) -> LogFile {
        nextHandle += 1
        handles[nextHandle] = inode
        return LogFile(descriptor: nextHandle)
    }

    private func baseName(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

    func makeDirectory(_ path: String) throws(LogFileError) {}

    func lock(_ path: String) throws(LogFileError) -> LogFile {
        try call("flock", isRead: true) { (_) throws(LogFileError) in
            if disk.isLocked { throw LogFileError(EWOULDBLOCK, "flock") }
            disk.isLocked = true
            holdsLock = true
            nextHandle += 1
            return LogFile(descriptor: -nextHandle)
        }
    }

    func list(_ directory: String) throws(LogFileError) -> [String] {
        try call("list", isRead: true) { (_) throws(LogFileError) in Array(disk.names.keys) }
    }

    func create(_ path: String, bytes: Int) throws(LogFileError) -> LogFile {
        try call("create") { (fault) throws(LogFileError) in
            let name = baseName(path)
            if disk.names[name] != nil { throw LogFileError(EEXIST, "create") }
            if let fault {
                // Made, and not removed any more: only a process that dies leaves this behind.
                guard isDead else { throw LogFileError(fault, "create") }
            }
            let inode = Disk.Inode(bytes: fault == nil ? bytes : random.below(bytes))
            disk.names[name] = inode
            disk.journal.append(.add(name, inode))
            bytesPeak = max(bytesPeak, disk.names.values.reduce(0) { $0 + $1.cached.count })
            return handle(inode)
        }
    }

    func open(_ path: String, forWriting: Bool) throws(LogFileError) -> LogFile {
        try call("open", isRead: true) { (fault) throws(LogFileError) in
            guard let inode = disk.names[baseName(path)] else { throw LogFileError(ENOENT, "open") }
            if let fault { throw LogFileError(fault, "open") }
            return handle(inode)
        }
    }

    func size(_ file: LogFile) throws(LogFileError) -> Int {
        try call("size", isRead: true) { (_) throws(LogFileError) in try inode(file).cached.count }
    }

    func write(_ file: LogFile, _ parts: UnsafeBufferPointer<iovec>, at offset: Int) throws(LogFileError) -> Int {
        try call("write") { (fault) throws(LogFileError) in
            let inode = try inode(file)
            var bytes: [UInt8] = []
            for part in parts { bytes += UnsafeRawBufferPointer(start: part.iov_base, count: part.iov_len) }
            let isShort = mode == .failing && random.chance(2)
            let count = fault != nil || isShort ? 1 + random.below(bytes.count) : bytes.count
            if inode.cached.count < offset + count { throw LogFileError(ENOSPC, "write beyond what was reserved") }
            inode.cached.replaceSubrange(offset..<offset + count, with: bytes[..<count])
            for sector in offset / Disk.sectorBytes...(offset + count - 1) / Disk.sectorBytes { inode.dirtySectors.insert(sector) }
            if let fault { throw LogFileError(fault, "write") }
            return count
        }
    }

    func read(_ file: LogFile, into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(LogFileError) -> Int {
        try call("read", isRead: true) { (fault) throws(LogFileError) in
            let inode = try inode(file)
            if let fault { throw LogFileError(fault, "read") }
            let count = max(0, min(buffer.count, inode.cached.count - offset))
            inode.cached.withUnsafeBytes { if count > 0 { buffer.copyMemory(from: .init(rebasing: $0[offset..<offset + count])) } }
            return count
        }
    }

    func sync(_ file: LogFile) throws(LogFileError) {
        try call("sync") { (fault) throws(LogFileError) in
            let inode = try inode(file)
            guard let fault else { return disk.sync(inode) }
            // The kernel forgets what it could not write; a process that dies leaves it in the cache.
            if !isDead { disk.scatter(inode, &random) }
            throw LogFileError(fault, "sync")
        }
    }

    func syncDirectory(_ path: String) throws(LogFileError) {
        try call("syncDirectory") { (fault) throws(LogFileError) in
            if let fault { throw LogFileError(fault, "syncDirectory") }
            disk.syncNames()
        }
    }

    func truncate(_ file: LogFile, to bytes: Int) throws(LogFileError) {
        try call("truncate") { (fault) throws(LogFileError) in
            let inode = try inode(file)
            if let fault { throw LogFileError(fault, "truncate") }
            guard bytes < inode.cached.count else { return }
            inode.cached.removeLast(inode.cached.count - bytes)
            disk.journal.append(.shorten(inode, bytes))
        }
    }

    func remove(_ path: String) throws(LogFileError) {
        try call("remove") { (fault) throws(LogFileError) in
            if let fault { throw LogFileError(fault, "remove") }
            guard disk.names.removeValue(forKey: baseName(path)) != nil else { return }
            disk.journal.append(.remove(baseName(path)))
        }
    }

    func close(_ file: LogFile) {
        lock.withLock {
            handles[file.descriptor] = nil
            if file.descriptor < 0, holdsLock {
                holdsLock = false
                if !isDead { disk.isLocked = false }
            }
        }
    }
}

/// SplitMix64, so that a failing case can be run again.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    mutating func below(_ end: Int) -> Int { end <= 0 ? 0 : Int(next() % UInt64(end)) }
    /// True once in that many times.
    mutating func chance(_ times: Int) -> Bool { below(times) == 0 }
}
