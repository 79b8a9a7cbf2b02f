import COTLP
import CProtobufC
import Synchronization

/// Bytes counted against a process-wide limit as long as a batch holds them.
public protocol ByteAccount: AnyObject, Sendable {
    /// Counts `bytes` whether or not they fit: what is decoded is there.
    func charge(_ bytes: Int)
    func release(_ bytes: Int)
}

/// What one request may expand to.
public struct DecodeLimits: Sendable {
    /// Spans per request: bounds the work of a single request on an event loop.
    public var spansMax = 100_000
    /// Attributes kept per span; further ones are dropped and added to `dropped_attributes_count`, as SDK limits do.
    public var attributesPerSpanMax = 1_024
    /// Arena bytes per request byte. The smallest valid span takes 30 bytes on the wire and about 270 decoded (its record alone 144);
    /// real ones take 1.4 bytes per byte.
    public var arenaBytesPerRequestByte = 16
    /// Arena bytes that any request may use, however small.
    public var arenaBytesFree = 256 * 1024
    /// Arena bytes that no request may exceed (8 times the default message limit).
    public var arenaBytesMax = 512 * 1024 * 1024
    /// Arena bytes per request byte that stages may take beyond that for what they write: a text of nothing but the shortest values
    /// grows to 4 times its size when it is redacted. Not tied to what decoding was allowed, which is little more than it needs.
    public var changeBytesPerRequestByte = 4
    /// Arena bytes that stages may take for any request, however small.
    public var changeBytesFree = 256 * 1024

    public init() {}

    /// The most that a request's arena may have.
    public func arenaCapacity(forRequestBytes bytes: Int) -> Int {
        min(arenaBytesMax, arenaBytesFree + arenaBytesPerRequestByte * bytes)
    }

    func changeCapacity(forRequestBytes bytes: Int) -> Int { changeBytesFree + changeBytesPerRequestByte * bytes }

    /// What any ordinary request's arena stays below.
    public func ordinaryArenaCapacity(forRequestBytes bytes: Int) -> Int {
        min(arenaCapacity(forRequestBytes: bytes), arenaBytesFree + bytes + bytes / 2)
    }
}

public enum DecodeError: Error, Equatable {
    /// Not an ExportTraceServiceRequest: the protobuf is broken, or a nested part is.
    case malformed
    case nestedTooDeep
    case tooManySpans
    /// The arena's cap was reached: the message unpacks to far more memory than an honest one.
    case expandsTooMuch
}

/// One decoded export request: owns the arena, the message in it, and an index of its valid spans.
///
/// Changed only while one pipeline has it (`edit`), so any number of readers may share it after that. It is freed when its last
/// span is exported or dropped; that moment gives the bytes back to `account`.
public final class TraceBatch: @unchecked Sendable {
    /// Time of arrival, Unix nanoseconds: stands in for a missing or impossible span start.
    public let receivedUnixNano: UInt64
    /// Valid spans.
    public let spanCount: Int
    /// Spans refused for their ids, and dropped attributes over `DecodeLimits.attributesPerSpanMax`.
    public let rejectedSpanCount: Int
    public let droppedAttributeCount: Int
    /// Bytes this batch holds.
    public var byteCount: Int { arena.allocatedBytes + (origin?.byteCount ?? 0) }

    let arena: MessageArena
    let spans: UnsafePointer<SpanRecord>
    let account: (any ByteAccount)?
    /// Stages that have changed what all spans share.
    let edits = Mutex(EditState())
    /// The batch whose bytes this one's records point at, where it does not have them itself.
    private let origin: TraceBatch?

    private init(arena: MessageArena, index: SpanIndex, receivedUnixNano: UInt64, account: (any ByteAccount)?) {
        self.arena = arena
        self.receivedUnixNano = receivedUnixNano
        self.account = account
        origin = nil
        spans = UnsafePointer(index.spans)
        spanCount = index.count
        rejectedSpanCount = index.rejected
        droppedAttributeCount = index.droppedAttributes
        account?.charge(arena.allocatedBytes)
    }

    /// Spans of `origin` under records of their own.
    init(of origin: TraceBatch, arena: MessageArena, spans: UnsafePointer<SpanRecord>) {
        self.arena = arena
        self.spans = spans
        self.origin = origin
        account = origin.account
        receivedUnixNano = origin.receivedUnixNano
        spanCount = origin.spanCount
        rejectedSpanCount = origin.rejectedSpanCount
        droppedAttributeCount = origin.droppedAttributeCount
        account?.charge(arena.allocatedBytes)
    }

    deinit {
        account?.release(arena.allocatedBytes)
    }

    @inline(__always)
    public subscript(index: Int) -> SpanView {
        precondition(index >= 0 && index < spanCount)
        return SpanView(record: spans + index)
    }

    /// Decodes an `ExportTraceServiceRequest` (OTLP 1.11, protobuf). The bytes are copied into the batch's arena.
    ///
    /// Spans without a valid trace id and span id are left out and counted; everything else that is wrong refuses the request.
    public static func decode(
        _ bytes: WireBytes, receivedUnixNano: UInt64, limits: DecodeLimits = DecodeLimits(), account: (any ByteAccount)? = nil
    ) throws(DecodeError) -> TraceBatch {
        let arena = MessageArena(
            expectedBytes: bytes.count + bytes.count / 2 + 512, capacityMax: limits.arenaCapacity(forRequestBytes: bytes.count))
        // protobuf-c wants a pointer even for no bytes.
        let start = (bytes.baseAddress ?? WireReader.nowhere).assumingMemoryBound(to: UInt8.self)
        let request = arena.withAllocator { otlp__export_trace_service_request__unpack($0, bytes.count, start) }
        guard let request else { throw arena.isExhausted ? .expandsTooMuch : .malformed }
        let index = try SpanIndex(of: request, arena: arena, limits: limits)
        arena.raiseCapacity(by: limits.changeCapacity(forRequestBytes: bytes.count))
        return TraceBatch(arena: arena, index: index, receivedUnixNano: receivedUnixNano, account: account)
    }
}

extension TraceBatch {
    /// Flat index of the valid spans, built in the one pass that checks them.
    private struct SpanIndex {
        let spans: UnsafeMutablePointer<SpanRecord>
        var count = 0
        var rejected = 0
        var droppedAttributes = 0

        init(
            of request: UnsafeMutablePointer<Otlp__ExportTraceServiceRequest>, arena: MessageArena, limits: DecodeLimits
        ) throws(DecodeError) {
            var total = 0
            for resourceIndex in 0..<request.pointee.n_resource_spans {
                guard let resource = request.pointee.resource_spans[resourceIndex] else { continue }
                for scopeIndex in 0..<resource.pointee.n_scope_spans {
                    total += resource.pointee.scope_spans[scopeIndex]?.pointee.n_spans ?? 0
                }
            }
            guard total <= limits.spansMax else { throw .tooManySpans }
            guard let spans = arena.allocate(SpanRecord.self, count: total) else { throw .expandsTooMuch }
            self.spans = spans
            for resourceIndex in 0..<request.pointee.n_resource_spans {
                guard let resource = request.pointee.resource_spans[resourceIndex] else { continue }
                try add(resource, arena: arena, limits: limits)
            }
        }

        private mutating func add(
            _ resource: UnsafeMutablePointer<Otlp__ResourceSpans>, arena: MessageArena, limits: DecodeLimits
        ) throws(DecodeError) {
            let record = ResourceRecord(resource: WireBytes(resource.pointee.resource), schemaURL: WireBytes(resource.pointee.schema_url))
            try checked(record.resource, .resource)
            guard let resourceRecord = arena.allocate(ResourceRecord.self, count: 1) else { throw .expandsTooMuch }
            resourceRecord.initialize(to: record)
            for scopeIndex in 0..<resource.pointee.n_scope_spans {
                guard let scope = resource.pointee.scope_spans[scopeIndex] else { continue }
                let record = ScopeRecord(
                    scope: WireBytes(scope.pointee.scope), schemaURL: WireBytes(scope.pointee.schema_url), resource: resourceRecord)
                try checked(record.scope, .scope)
                guard let scopeRecord = arena.allocate(ScopeRecord.self, count: 1) else { throw .expandsTooMuch }
                scopeRecord.initialize(to: record)
                for spanIndex in 0..<scope.pointee.n_spans {
                    try add(WireBytes(scope.pointee.spans[spanIndex]), scopeRecord, arena, limits)
                }
            }
        }

        @inline(__always)
        private mutating func add(
            _ span: WireBytes, _ scope: UnsafeMutablePointer<ScopeRecord>, _ arena: MessageArena, _ limits: DecodeLimits
        ) throws(DecodeError) {
            let record: SpanRecord
            var excess = 0
            do {
                record = try SpanRecord(span, scope: scope, arena: arena, attributesMax: limits.attributesPerSpanMax, excess: &excess)
            } catch {
                switch error {
                case .arenaExhausted: throw .expandsTooMuch
                case .malformed(.nestedTooDeep): throw .nestedTooDeep
                case .malformed: throw .malformed
                }
            }
            guard record.hasValidIDs else {
                rejected += 1
                return
            }
            droppedAttributes += excess
            (spans + count).initialize(to: record)
            count += 1
        }

        private func checked(_ message: WireBytes, _ shape: NestedValidator.Shape) throws(DecodeError) {
            do {
                try NestedValidator.message(message, shape)
            } catch {
                throw error == .nestedTooDeep ? .nestedTooDeep : .malformed
            }
        }
    }
}

extension WireBytes {
    fileprivate init(_ data: ProtobufCBinaryData) {
        self.init(start: data.data, count: data.len)
    }
}
