import Dispatch
import OTLPWire
import Synchronization

/// What stages write down in the log, so that the next run knows: no requests, no reader takes them.
///
/// A note is deleted with its segment, so it outlives every record that was in the log before it: what it says about those requests is
/// known as long as one of them can come back.
extension WriteAheadLog {
    /// Writes a note and waits until it is durable, as requests are. Blocks for a group commit; not for event loops.
    ///
    /// - Parameters:
    ///   - topic: who will ask for it; at most 1,024 bytes.
    ///   - body: at most as large as a request may be.
    /// - Returns: false when the log does not take it now.
    public func appendNote(_ body: [UInt8], topic: String) -> Bool {
        let answer = Answer()
        body.withUnsafeBytes { bytes in
            append(LogRequest(signal: .notes, project: topic, receivedUnixNano: clock.wall(), payload: bytes)) { outcome in
                if case .durable = outcome { answer.isDurable.store(true, ordering: .releasing) }
                answer.isThere.signal()
            }
            answer.isThere.wait()
        }
        return answer.isDurable.load(ordering: .acquiring)
    }

    private final class Answer: Sendable {
        let isThere = DispatchSemaphore(value: 0)
        let isDurable = Atomic<Bool>(false)
    }

    /// The notes of former runs, oldest first; once, then there are none. Known once the log is open.
    public func takeNotes(topic: String) -> [[UInt8]] {
        lock.withLock { state.notes.removeValue(forKey: topic) ?? [] }
    }
}
