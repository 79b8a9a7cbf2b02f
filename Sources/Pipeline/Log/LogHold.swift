import Synchronization

/// A reader's claim on one record. As long as it lives the record stays in the log; when it goes away the record is released for
/// that reader: exported, or dropped on purpose.
public final class LogHold: Sendable {
    private struct Marks: OptionSet {
        let rawValue: UInt8
        static let inDoubt = Marks(rawValue: 1)
        static let kept = Marks(rawValue: 2)
    }

    public let sequence: UInt64
    /// Index into the log's readers.
    public let reader: Int
    /// The run that appended the record.
    public let run: UInt64
    /// Of the open log.
    public let log: LogIdentity
    private let owner: WriteAheadLog
    private let marks = Atomic<UInt8>(0)

    init(sequence: UInt64, reader: Int, run: UInt64, log: LogIdentity, owner: WriteAheadLog) {
        self.sequence = sequence
        self.reader = reader
        self.run = run
        self.log = log
        self.owner = owner
    }

    deinit {
        if !has(.kept) { owner.release(sequence, reader: reader) }
    }

    /// The record may have reached the destination already: exporters look before they insert.
    public var isReplayed: Bool { run != log.run || has(.inDoubt) }

    /// An attempt to store the record's items has ended without a known result.
    public func markInDoubt() { mark(.inDoubt) }

    /// Leaves the record in the log: the next start replays it.
    public func keep() { mark(.kept) }

    /// Not taken after all: `next` finds the record again. This hold is void then.
    public func giveBack() {
        let before = marks.bitwiseOr(Marks.kept.rawValue, ordering: .acquiringAndReleasing).oldValue
        if before & Marks.kept.rawValue == 0 { owner.giveBack(sequence, reader: reader) }
    }

    private func has(_ mark: Marks) -> Bool { Marks(rawValue: marks.load(ordering: .acquiring)).contains(mark) }

    private func mark(_ mark: Marks) { marks.bitwiseOr(mark.rawValue, ordering: .acquiringAndReleasing) }
}
