import Glibc

/// Why a batch could not be changed.
public enum EditError: Error, Equatable {
    /// The arena is at its cap, or a part would be over 4 GiB. What was changed before stays; the batch is to be refused.
    case arenaExhausted
}

/// What a batch knows about the stages that have changed it.
struct EditState {
    /// Those that have changed resources and scopes, which spans on their way in several pieces share.
    var stages: Set<ObjectIdentifier> = []
    var rewrittenBy: UInt64 = 0
}

/// Changes spans where they are: new bytes go into the batch's own arena, then the record's pointers are swung to them. Readers
/// notice nothing, and pay nothing. What stood there before is unreachable, and goes with the arena.
///
/// For stages that come before anybody shares the batch, that is before the fan-out to exporters; a pipeline that shares its
/// receiver with another one works on a copy (`TraceBatch.copy`).
public struct BatchEditor: ~Copyable {
    private let batch: TraceBatch
    fileprivate var state: EditState

    fileprivate init(_ batch: TraceBatch, _ state: EditState) {
        self.batch = batch
        self.state = state
    }

    /// True the first time `stage` asks: then it changes resources and scopes, which must not be done to the second half of a
    /// batch again while the first half is on its way.
    public mutating func isFirstTime(for stage: AnyObject) -> Bool {
        state.stages.insert(ObjectIdentifier(stage)).inserted
    }

    /// - Parameters:
    ///   - encoded: fields number 9 of a `Span` in a row, tags included; copied.
    ///   - count: how many these are.
    public func setAttributes(of span: SpanView, encoded: WireBytes, count: Int) throws(EditError) {
        let run = try copied(encoded)
        record(span).pointee.setAttributes(run, count: UInt32(count))
    }

    /// - Parameters:
    ///   - status: an encoded `Status`.
    ///   - event: the encoded `Event` that takes the place of the one at an index.
    public func setParts(
        of span: SpanView, name: WireBytes, status: WireBytes, event: (Int) -> WireBytes
    ) throws(EditError) {
        try record(span).pointee.setParts(name: name, status: status, event: event, arena: batch.arena)
    }

    /// Leaves the events at these indexes, in this order, and removes the others.
    public func keepEvents(_ kept: [Int], of span: SpanView) throws(EditError) {
        guard kept.count < span.eventCount else { return }
        try record(span).pointee.keepEvents(kept, arena: batch.arena)
    }

    /// - Parameter encoded: a `Resource` message; copied.
    public func setResource(_ resource: ResourceView, encoded: WireBytes) throws(EditError) {
        UnsafeMutablePointer(mutating: resource.record).pointee.resource = try copied(encoded)
    }

    /// - Parameter encoded: an `InstrumentationScope` message; copied.
    public func setScope(of span: SpanView, encoded: WireBytes) throws(EditError) {
        UnsafeMutablePointer(mutating: span.scopeRecord).pointee.scope = try copied(encoded)
    }

    private func record(_ span: SpanView) -> UnsafeMutablePointer<SpanRecord> {
        UnsafeMutablePointer(mutating: span.record)
    }

    private func copied(_ bytes: WireBytes) throws(EditError) -> WireBytes {
        guard bytes.count <= UInt32.max, let memory = batch.arena.allocate(bytes.count) else { throw .arenaExhausted }
        if let start = bytes.baseAddress { memcpy(memory, start, bytes.count) }
        return WireBytes(start: memory, count: bytes.count)
    }
}

extension TraceBatch {
    /// Lets `body` change this batch's spans, one stage at a time, and charges what it takes to the batch's account.
    public func edit<Failure: Error>(_ body: (inout BatchEditor) throws(Failure) -> Void) throws(Failure) {
        try edits.withLock { state throws(Failure) in
            let before = arena.allocatedBytes
            defer { account?.charge(arena.allocatedBytes - before) }
            var editor = BatchEditor(self, state)
            defer { state = editor.state }
            try body(&editor)
        }
    }

    /// Digest of what rewrote the request before it was made durable; 0 when it is as it came. The stage in the pipeline that does the
    /// same knows by it that it has been done.
    public var rewrittenBy: UInt64 {
        get { edits.withLock { $0.rewrittenBy } }
        set { edits.withLock { $0.rewrittenBy = newValue } }
    }

    /// The same spans under records of their own, for a pipeline that changes them while others read the original. No bytes of
    /// the spans are copied: the original's arena lives as long as the copy.
    public func copy() -> TraceBatch {
        let recordBytes = MemoryLayout<SpanRecord>.stride + MemoryLayout<ScopeRecord>.stride + MemoryLayout<ResourceRecord>.stride
        let bytes = spanCount * (recordBytes + 2 * MessageArena.alignment) + MessageArena.alignment
        // Room for changes as the original has it.
        let arena = MessageArena(expectedBytes: bytes, capacityMax: bytes + 2 * ChunkPool.chunkBytes + self.arena.capacityMax)
        guard let records = arena.allocate(SpanRecord.self, count: spanCount) else { preconditionFailure("out of memory") }
        var scopes: [UnsafePointer<ScopeRecord>: UnsafePointer<ScopeRecord>] = [:]
        var resources: [UnsafePointer<ResourceRecord>: UnsafePointer<ResourceRecord>] = [:]
        for index in 0..<spanCount {
            var record = spans[index]
            if let scope = scopes[record.scope] {
                record.scope = scope
            } else {
                var scope = record.scope.pointee
                let resource = resources[scope.resource] ?? Self.copied(scope.resource.pointee, arena)
                resources[scope.resource] = resource
                scope.resource = resource
                let copy = Self.copied(scope, arena)
                scopes[record.scope] = copy
                record.scope = copy
            }
            (records + index).initialize(to: record)
        }
        let copy = TraceBatch(of: self, arena: arena, spans: UnsafePointer(records))
        copy.rewrittenBy = rewrittenBy
        return copy
    }

    private static func copied<Record: BitwiseCopyable>(_ record: Record, _ arena: MessageArena) -> UnsafePointer<Record> {
        guard let memory = arena.allocate(Record.self, count: 1) else { preconditionFailure("out of memory") }
        memory.initialize(to: record)
        return UnsafePointer(memory)
    }
}
