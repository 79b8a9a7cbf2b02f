import Glibc
import OTLPWire

/// What a record holds.
public enum LogSignal: UInt8, Sendable {
    case traces = 1
    case metrics = 2
    case logs = 3
    /// No request: what a stage has to remember after a crash (`appendNote`).
    case notes = 4
}

/// A request to be made durable.
public struct LogRequest {
    public var signal: LogSignal
    /// Whose request it is: the same bytes of two projects are two requests. At most 1,024 bytes.
    public var project: String
    /// Time of arrival, Unix nanoseconds; handed back at replay, so that rows come out the same.
    public var receivedUnixNano: UInt64
    /// OTLP protobuf, uncompressed.
    public var payload: WireBytes
    /// What the request is recognised by when it is sent again; nil: its payload. Read before `append` returns.
    public var identity: WireBytes?
    /// Digest of what rewrote the payload (`RequestRewriter`); 0 when it is as it came.
    public var rewrittenBy: UInt64 = 0

    public init(signal: LogSignal, project: String = "", receivedUnixNano: UInt64, payload: WireBytes) {
        self.signal = signal
        self.project = project
        self.receivedUnixNano = receivedUnixNano
        self.payload = payload
    }
}

public enum AppendOutcome: Sendable, Equatable {
    /// In the log; to be handed to the pipelines now.
    case durable(sequence: UInt64)
    /// The same request was accepted before and is in the log or beyond: answer OK, hand nothing on.
    case repeated
    /// Not in the log: the client should send it again.
    case refused(Refusal)
}

/// Names a log directory and this process's use of it.
public struct LogIdentity: Sendable, Equatable {
    /// Random, chosen when the directory was first used.
    public var id: UInt64
    /// Grows by one each time the log is opened.
    public var run: UInt64

    public init(id: UInt64, run: UInt64) {
        self.id = id
        self.run = run
    }
}

/// Memory for a request read back from the log.
final class LogBuffer: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer

    /// Nil when the system has no memory.
    init?(count: Int) {
        guard let memory = malloc(max(count, 1)) else { return nil }
        bytes = UnsafeMutableRawBufferPointer(start: memory, count: count)
    }

    deinit {
        free(bytes.baseAddress)
    }
}

/// A request read back from the log, taken for one reader.
public struct LoggedRequest: Sendable {
    public let sequence: UInt64
    public let receivedUnixNano: UInt64
    public let signal: LogSignal
    public let project: String
    /// `LogRequest.rewrittenBy`.
    public let rewrittenBy: UInt64
    public let hold: LogHold
    private let buffer: LogBuffer
    private let range: Range<Int>

    init(sequence: UInt64, receivedUnixNano: UInt64, signal: LogSignal, projectBytes: Int, buffer: LogBuffer, hold: LogHold) {
        self.sequence = sequence
        self.receivedUnixNano = receivedUnixNano
        self.signal = signal
        self.hold = hold
        self.buffer = buffer
        range = projectBytes..<buffer.bytes.count
        let name = RecordName(UnsafeRawBufferPointer(rebasing: buffer.bytes[..<projectBytes]))
        project = name.project
        rewrittenBy = name.rewrittenBy
    }

    public var byteCount: Int { range.count }

    /// The request's bytes as they were appended, for the duration of `body`.
    public func withBytes<Result: ~Copyable, Failure: Error>(_ body: (WireBytes) throws(Failure) -> Result) throws(Failure) -> Result {
        try body(WireBytes(rebasing: buffer.bytes[range]))
    }
}

/// Where a reader is in the log. Used by one thread at a time; begins at the oldest record.
public struct LogCursor {
    var sequence: UInt64 = 0
    var reader: SegmentReader?
    /// In the segment of `reader`: the record after the last one read.
    var nextOffset = 0
    var nextSequence: UInt64 = 0

    public init() {}
}
