import Configuration

/// Sends the lines of a dead-letter file to a collector's OTLP/HTTP endpoint.
struct Replay {
    struct Counts: Equatable {
        var accepted = 0
        /// Refused; back in the file.
        var refused = 0
        /// Spans that the receiver rejected of requests it took otherwise.
        var rejectedSpans = 0
        /// Lines that the file holds twice, sent once.
        var repeated = 0
    }

    /// What answers; a parameter so that tests need no server.
    typealias Post = (_ body: [UInt8]) async -> ReplayVerdict

    /// Lines and bytes per request: well below what any receiver takes.
    static let requestLinesMax = 500
    static let requestBytesMax = 1 << 20
    /// Read at once; a longer line is read whole.
    static let readBytes = 4 << 20
    /// Memory for recognising repeated lines: 16 bytes each in a set.
    static let knownLinesMax = 1 << 20
    /// Between attempts while the receiver is away or busy.
    static let pauseFirst = Duration.milliseconds(500)
    static let pauseMax = Duration.seconds(10)

    let files: ReplayFiles
    /// How long the receiver may be away or busy before the replay is broken off.
    let patience: Duration
    let post: Post
    private(set) var counts = Counts()
    private var known: Set<LineHash> = []

    init(files: ReplayFiles, patience: Duration, post: @escaping Post) {
        self.files = files
        self.patience = patience
        self.post = post
    }

    /// Until the end of the file; throws when it had to be broken off, to be continued by another run.
    mutating func run() async throws(CommandFailure) {
        var readBytes = Self.readBytes
        while files.done < files.size {
            let bytes = try files.read(readBytes, at: files.done)
            var group = Group(bytes, isEndOfFile: files.done + bytes.count == files.size)
            guard group.next() else {
                // Not even one line.
                readBytes *= 2
                continue
            }
            try await send(group.lines)
            try files.advance(to: files.done + group.end)
            readBytes = Self.readBytes
        }
    }

    /// Sends one request; the lines of one that is refused are tried one by one.
    private mutating func send(_ lines: [ReplayLine]) async throws(CommandFailure) {
        var fresh: [ReplayLine] = []
        for line in lines {
            if isRepeated(line) { counts.repeated += 1 } else { fresh.append(line) }
        }
        guard !fresh.isEmpty else { return }
        switch try await answer(ReplayLine.request(fresh, mark: files.markText)) {
        case .refused where fresh.count > 1:
            for line in fresh { try await sendAlone(line) }
        case let verdict: try note(verdict, fresh)
        }
    }

    private mutating func sendAlone(_ line: ReplayLine) async throws(CommandFailure) {
        try note(try await answer(ReplayLine.request([line], mark: files.markText)), [line])
    }

    private mutating func note(_ verdict: ReplayVerdict, _ lines: [ReplayLine]) throws(CommandFailure) {
        switch verdict {
        case .accepted: counts.accepted += lines.count
        case .partly(let rejected):
            counts.rejectedSpans += rejected
            try files.keep(lines.map(\.whole), suffix: ".rejected")
        case .refused, .later:
            counts.refused += lines.count
            try files.keep(lines.map(\.whole))
        }
    }

    /// Never `later`: waits, and throws when that takes too long.
    private func answer(_ body: [UInt8]) async throws(CommandFailure) -> ReplayVerdict {
        let deadline = ContinuousClock.now + patience
        var pause = Self.pauseFirst
        while true {
            let verdict = await post(body)
            if verdict != .later { return verdict }
            guard ContinuousClock.now + pause < deadline else {
                throw CommandFailure(
                    """
                    the receiver cannot be reached or is too busy: broken off after \(files.done) of \(files.size) bytes; \
                    run the same command again to go on
                    """)
            }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, Self.pauseMax)
        }
    }

    private mutating func isRepeated(_ line: ReplayLine) -> Bool {
        guard known.count < Self.knownLinesMax else { return false }
        return !known.insert(LineHash(line.resourceSpans ?? line.whole)).inserted
    }
}

/// The lines at the beginning of `bytes` that go into one request.
private struct Group {
    private let bytes: [UInt8]
    private let isEndOfFile: Bool
    private(set) var lines: [ReplayLine] = []
    /// Bytes of `bytes` that these lines take, ends of lines included.
    private(set) var end = 0

    init(_ bytes: [UInt8], isEndOfFile: Bool) {
        self.bytes = bytes
        self.isEndOfFile = isEndOfFile
    }

    /// False when there is no whole line.
    mutating func next() -> Bool {
        var lineBytes = 0
        while end < bytes.count, lines.count < Replay.requestLinesMax {
            let newline = bytes[end...].firstIndex(of: UInt8(ascii: "\n"))
            guard newline != nil || isEndOfFile else { break }
            let stop = newline ?? bytes.count
            let line = ReplayLine(bytes[end..<stop])
            // A line of another shape is a request of its own, and so is one that is larger than a request should be.
            let isAlone = line.resourceSpans == nil || lineBytes + line.whole.count > Replay.requestBytesMax
            if isAlone, !lines.isEmpty, !line.whole.isEmpty { break }
            end = min(stop + 1, bytes.count)
            if line.whole.isEmpty { continue }
            lines.append(line)
            lineBytes += line.whole.count
            if isAlone { break }
        }
        return end > 0
    }
}

/// 128 bits of a line, from two hash functions that are seeded anew in each process.
private struct LineHash: Hashable {
    private let first: Int
    private let second: Int

    init(_ bytes: ArraySlice<UInt8>) {
        func hash(_ salt: Int) -> Int {
            var hasher = Hasher()
            hasher.combine(salt)
            bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
            return hasher.finalize()
        }
        first = hash(1)
        second = hash(2)
    }
}
