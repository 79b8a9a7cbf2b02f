import Glibc
import OTLPWire
import Pipeline
import Synchronization

/// Where rows go that a database refuses for their data: a file of OTLP/JSON lines that `collector replay` sends again.
///
/// One line is one `ExportTraceServiceRequest` with one span, and behind it a key of our own that receivers ignore:
///
///     {"resourceSpans":[…],"deadLetter":{"exporter":"timescaledb","time":"2026-01-31 23:59:59.999999+00","code":"23514","reason":"…"}}
///
/// - A line is on disk before the batch that it was part of counts as done. A row may be there twice: after a crash its batch is tried
///   again, and refused again.
/// - The file is opened for each addition, locked, and looked at again after that, so that it may be renamed or removed at any time.
/// - An addition that fails leaves the file as it was. A line that a crash cut short is ended before the next one begins.
final class DeadLetterFile: Sendable {
    /// A refused row. Its batch must be held while it is used.
    struct Letter {
        let reference: SpanReference
        let problem: ExportProblem
        /// SQLSTATE, or SQLite's result code.
        let code: String
    }

    /// How often the file may be renamed between opening and locking it, before an addition gives up.
    private static let opensMax = 10
    /// Prompts may be in there: nobody else needs to look.
    private static let fileMode: mode_t = 0o600
    private static let directoryMode: mode_t = 0o700

    let path: String
    private let exporter: String
    /// One addition at a time from this process; the file's own lock keeps others out.
    private let buffer = Mutex(OutputBuffer())

    init(path: String, exporter: String) {
        self.path = path
        self.exporter = exporter
    }

    /// Adds a line per letter and syncs; when it throws, none was added.
    func append(_ letters: [Letter]) throws(ExportProblem) {
        let time = UTCTimestamp.text(UnixClock.nowMicroseconds())
        try buffer.withLock { (buffer) throws(ExportProblem) in
            buffer.removeAll()
            for letter in letters { Self.append(letter, exporter, time, to: &buffer) }
            defer { buffer.removeAll() }
            try write(buffer)
        }
    }

    private static func append(_ letter: Letter, _ exporter: String, _ time: String, to buffer: inout OutputBuffer) {
        var writer = OTLPJSONWriter()
        letter.reference.withTraceState { writer.add(letter.reference.span, traceState: $0, to: &buffer) }
        writer.finish(&buffer)
        // Our key goes in before the closing brace.
        buffer.truncate(to: buffer.count - 1)
        buffer.append(#","deadLetter":{"exporter":"#)
        string(exporter, to: &buffer)
        buffer.append(#","time":"#)
        string(time, to: &buffer)
        buffer.append(#","code":"#)
        string(letter.code, to: &buffer)
        buffer.append(#","reason":"#)
        string(letter.problem.description, to: &buffer)
        buffer.append("}}\n")
    }

    private static func string(_ text: String, to buffer: inout OutputBuffer) {
        var text = text
        text.withUTF8 { buffer.appendJSONString(WireBytes($0), nul: .replace) }
    }

    private func write(_ buffer: borrowing OutputBuffer) throws(ExportProblem) {
        let (file, isNew) = try openLocked()
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw problem("fstat") }
        do throws(ExportProblem) {
            if try endsInMidLine(file, status) { try write(file, WireBytes(start: StaticString("\n").utf8Start, count: 1)) }
            try buffer.withBytes { (bytes) throws(ExportProblem) in try write(file, bytes) }
            guard fsync(file) == 0 else { throw problem("fsync") }
            if isNew { try syncDirectory() }
        } catch {
            _ = ftruncate(file, status.st_size)
            throw error
        }
    }

    /// The file of this name, locked.
    private func openLocked() throws(ExportProblem) -> (file: Int32, isNew: Bool) {
        for _ in 0..<Self.opensMax {
            let flags = O_RDWR | O_APPEND | O_CLOEXEC
            var isNew = false
            var file = open(path, flags)
            if file < 0, errno == ENOENT {
                isNew = true
                file = open(path, flags | O_CREAT, Self.fileMode)
            }
            if file < 0, errno == ENOENT, let slash = path.lastIndex(of: "/") {
                // The directory went away, or was never made.
                _ = mkdir(String(path[..<slash]), Self.directoryMode)
                file = open(path, flags | O_CREAT, Self.fileMode)
            }
            guard file >= 0 else { throw problem("open") }
            var own = stat()
            var named = stat()
            if flock(file, LOCK_EX) == 0, fstat(file, &own) == 0, stat(path, &named) == 0, own.st_ino == named.st_ino,
                own.st_dev == named.st_dev
            {
                return (file, isNew)
            }
            close(file)
        }
        throw ExportProblem(kind: "dead_letter", "\(path): the dead-letter file is renamed again and again")
    }

    private func endsInMidLine(_ file: Int32, _ status: stat) throws(ExportProblem) -> Bool {
        guard status.st_size > 0 else { return false }
        var last: UInt8 = 0
        guard pread(file, &last, 1, status.st_size - 1) == 1 else { throw problem("read") }
        return last != UInt8(ascii: "\n")
    }

    private func write(_ file: Int32, _ bytes: WireBytes) throws(ExportProblem) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Glibc.write(file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw problem("write") }
            rest = rest.dropFirst(count)
        }
    }

    private func syncDirectory() throws(ExportProblem) {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw problem("open") }
        defer { close(file) }
        guard fsync(file) == 0 else { throw problem("fsync") }
    }

    private func problem(_ call: StaticString) -> ExportProblem {
        let reason = String(cString: strerror(errno))
        return ExportProblem(
            kind: "dead_letter",
            """
            \(path): refused rows cannot be put into the dead-letter file (\(call): \(reason)), so their batch waits; \
            make room, or set dead_letter_file
            """)
    }
}
