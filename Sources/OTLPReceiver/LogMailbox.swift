import Glibc
import HTTPServer
import NIOCore
import OTLPWire
import Pipeline
import Synchronization

/// A request that is answered when the write-ahead log has it.
struct WaitingRequest {
    let exchange: HTTPExchange
    let kind: RequestKind
    /// The request's `origin` header, where browsers are answered.
    let origin: [UInt8]?
    let batch: TraceBatch
    let success: Answers.Success
    /// The bytes being written, when they are not the body's own; nil when they are: the body lives until the answer.
    let copy: PayloadCopy?
    let arrival: NIODeadline
}

/// Brings the log's answers back to the event loop that asked: one task on the loop per group commit, not per request.
///
/// `@unchecked Sendable`: `parked` and `free` are the loop's; the log's thread touches `arrived` alone, behind its lock.
final class LogMailbox: @unchecked Sendable {
    private let loop: any EventLoop
    private let handle: (WaitingRequest, AppendOutcome) -> Void
    private var parked: [WaitingRequest?] = []
    private var free: [Int] = []
    private let arrived = Mutex<[(ticket: Int, outcome: AppendOutcome)]>([])

    /// - Parameter handle: called on the loop.
    init(loop: any EventLoop, handle: @escaping (WaitingRequest, AppendOutcome) -> Void) {
        self.loop = loop
        self.handle = handle
    }

    /// Keeps the request until its outcome is posted. On the loop.
    func park(_ request: WaitingRequest) -> Int {
        if let ticket = free.popLast() {
            parked[ticket] = request
            return ticket
        }
        parked.append(request)
        return parked.count - 1
    }

    /// From any thread.
    func post(_ ticket: Int, _ outcome: AppendOutcome) {
        let isFirst = arrived.withLock { arrived in
            arrived.append((ticket, outcome))
            return arrived.count == 1
        }
        if isFirst { loop.execute { self.collect() } }
    }

    private func collect() {
        let outcomes = arrived.withLock { arrived in
            defer { arrived = [] }
            return arrived
        }
        for (ticket, outcome) in outcomes {
            guard let request = parked[ticket] else { continue }
            parked[ticket] = nil
            free.append(ticket)
            handle(request, outcome)
        }
    }
}

/// A request's bytes outside the buffers that the event loop uses again.
final class PayloadCopy: @unchecked Sendable {
    let bytes: WireBytes
    private let budget: MemoryBudget

    /// Nil when the system has no memory.
    init?(of source: WireBytes, budget: MemoryBudget) {
        guard let memory = malloc(max(source.count, 1)) else { return nil }
        if let start = source.baseAddress { memcpy(memory, start, source.count) }
        bytes = WireBytes(start: memory, count: source.count)
        self.budget = budget
        budget.charge(source.count)
    }

    var mutableBytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(mutating: bytes) }

    deinit {
        budget.release(bytes.count)
        free(UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }
}
