/// The bytes of a segment file. All numbers little-endian.
///
///     offset 0        header, 8 KiB, padded with zeros
///     offset 8 KiB    the same header again: a damaged sector does not cost the segment
///     offset 16 KiB   records, each beginning at a multiple of 8
///     the rest        zeros, until it is written
enum LogFormat {
    /// Grows when files change so that an older program must not touch them. Magic, version
    /// and the version's complement stay where they are in every version.
    static let version: UInt32 = 1
    static let magic: UInt64 = 0x4C41_575F_544C_4F43  // "COLT_WAL"
    static let headerBytes = 8 << 10
    static let recordsStart = 2 * headerBytes
    static let alignment = 8
    static let suffix = ".wal"

    static func aligned(_ bytes: Int) -> Int { (bytes + alignment - 1) & ~(alignment - 1) }

    /// Segments sort by name as by first sequence number.
    static func fileName(firstSequence: UInt64) -> String {
        let digits = String(firstSequence, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits + suffix
    }

    /// Nil for names that are not a segment's.
    static func firstSequence(ofFile name: String) -> UInt64? {
        guard name.hasSuffix(suffix), name.utf8.count == 16 + suffix.utf8.count else { return nil }
        let digits = name.utf8.prefix(16)
        guard digits.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) else { return nil }
        // Far beyond what is ever counted to, so that counting on cannot overflow.
        return UInt64(String(decoding: digits, as: UTF8.self), radix: 16).flatMap { $0 < 1 << 62 ? $0 : nil }
    }
}

/// What a segment says about itself.
struct SegmentHeader: Equatable, Sendable {
    var directoryID: UInt64
    var run: UInt64
    /// Of the first request in it, and its file's name. At least 1.
    var firstSequence: UInt64
    var createdUnixNano: UInt64
    /// Random: mixed into each record's header, so that no payload can contain a valid record of this segment.
    var nonce: UInt64
    /// Of the directory, for `Fingerprint`.
    var fingerprintSeed: UInt64
    /// The pipelines that the records in it were appended for.
    var readers: [String]

    /// Bytes that readers' names may take, each with two bytes of length.
    static let readersBytesMax = LogFormat.headerBytes - 68 - 4

    enum DecodeFailure: Error, Equatable {
        case newerVersion
        case damaged
    }

    /// One copy. Names that do not fit are left out: their readers then count as new ones at recovery, which replays too much, not
    /// too little.
    func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(LogFormat.headerBytes)
        out.append(LogFormat.magic)
        out.append(LogFormat.version)
        out.append(~LogFormat.version)
        var names: [UInt8] = []
        var count: UInt32 = 0
        for name in readers where names.count + 2 + name.utf8.count <= Self.readersBytesMax {
            names.append(UInt16(name.utf8.count))
            names.append(contentsOf: name.utf8)
            count += 1
        }
        out.append(count)
        for word in [directoryID, run, firstSequence, createdUnixNano, nonce, fingerprintSeed] { out.append(word) }
        out.append(contentsOf: names)
        out.append(contentsOf: repeatElement(0, count: LogFormat.headerBytes - 4 - out.count))
        out.append(out.withUnsafeBytes { CRC32C.of($0) })
        return out
    }

    /// - Parameter bytes: one copy; anything may be in it.
    init(_ bytes: UnsafeRawBufferPointer) throws(DecodeFailure) {
        var input = ByteInput(bytes)
        guard bytes.count == LogFormat.headerBytes, input.take(UInt64.self) == LogFormat.magic,
            let version = input.take(UInt32.self), let complement = input.take(UInt32.self), version == ~complement
        else { throw .damaged }
        let sum = bytes.loadUnaligned(fromByteOffset: LogFormat.headerBytes - 4, as: UInt32.self)
        let isWhole = CRC32C.of(UnsafeRawBufferPointer(rebasing: bytes[..<(LogFormat.headerBytes - 4)])) == UInt32(littleEndian: sum)
        // A newer version may keep its checksum elsewhere.
        guard version <= LogFormat.version else { throw .newerVersion }
        guard isWhole, version > 0, let count = input.take(UInt32.self), let directoryID = input.take(UInt64.self),
            let run = input.take(UInt64.self), let firstSequence = input.take(UInt64.self), firstSequence > 0,
            let created = input.take(UInt64.self), let nonce = input.take(UInt64.self), let seed = input.take(UInt64.self)
        else { throw .damaged }
        self.directoryID = directoryID
        self.run = run
        self.firstSequence = firstSequence
        createdUnixNano = created
        self.nonce = nonce
        fingerprintSeed = seed
        readers = []
        for _ in 0..<count {
            guard let length = input.take(UInt16.self), let name = input.take(bytes: Int(length)) else { throw .damaged }
            readers.append(String(decoding: name, as: UTF8.self))
        }
    }

    init(
        directoryID: UInt64, run: UInt64, firstSequence: UInt64, createdUnixNano: UInt64, nonce: UInt64, fingerprintSeed: UInt64,
        readers: [String]
    ) {
        self.directoryID = directoryID
        self.run = run
        self.firstSequence = firstSequence
        self.createdUnixNano = createdUnixNano
        self.nonce = nonce
        self.fingerprintSeed = fingerprintSeed
        self.readers = readers
    }
}

/// The 64 bytes before a record's body. The body is the project's name (`RecordName`), then the payload, then zeros up to a multiple of 8.
struct RecordHeader: Equatable, Sendable {
    enum Kind: UInt8, Sendable {
        case request = 1
        /// Records that readers are done with: `ReleaseEntry`.
        case releases = 2
        /// Requests accepted lately, whose own records may be deleted: `FingerprintBlock`.
        case fingerprints = 3
        /// Requests that were refused after all although their bytes may be in a file: `AbortedRanges`.
        case aborted = 4
    }

    static let bytes = 64
    static let marker: UInt32 = 0x574C_5243  // "CRLW"
    /// The only encoding of requests so far.
    static let encodingProtobuf: UInt8 = 1

    /// Raw: later versions may write kinds that this one skips.
    var kind: UInt8
    var signal: UInt8 = 0
    var encoding: UInt8 = 0
    var payloadBytes: UInt32
    var projectBytes: UInt32 = 0
    /// Of a request: its number. Of other kinds: the next request's.
    var sequence: UInt64
    var receivedUnixNano: UInt64 = 0
    var fingerprint = Fingerprint(low: 0, high: 0)
    /// Of project and payload.
    var bodyChecksum: UInt32

    var bodyBytes: Int { Int(projectBytes) + Int(payloadBytes) }
    /// With header and padding.
    var totalBytes: Int { Self.totalBytes(body: bodyBytes) }

    static func totalBytes(body: Int) -> Int { bytes + LogFormat.aligned(body) }

    /// Ties a record to its segment and its place in it.
    private static func place(nonce: UInt64, offset: Int) -> UInt64 { nonce &+ UInt64(offset) }

    /// Writes 64 bytes.
    func encode(to target: UnsafeMutableRawPointer, nonce: UInt64, offset: Int) {
        target.storeBytes(of: Self.marker.littleEndian, toByteOffset: 0, as: UInt32.self)
        target.storeBytes(of: kind, toByteOffset: 8, as: UInt8.self)
        target.storeBytes(of: signal, toByteOffset: 9, as: UInt8.self)
        target.storeBytes(of: encoding, toByteOffset: 10, as: UInt8.self)
        target.storeBytes(of: 0, toByteOffset: 11, as: UInt8.self)
        target.storeBytes(of: payloadBytes.littleEndian, toByteOffset: 12, as: UInt32.self)
        target.storeBytes(of: sequence.littleEndian, toByteOffset: 16, as: UInt64.self)
        target.storeBytes(of: receivedUnixNano.littleEndian, toByteOffset: 24, as: UInt64.self)
        target.storeBytes(of: fingerprint.low.littleEndian, toByteOffset: 32, as: UInt64.self)
        target.storeBytes(of: fingerprint.high.littleEndian, toByteOffset: 40, as: UInt64.self)
        target.storeBytes(of: Self.place(nonce: nonce, offset: offset).littleEndian, toByteOffset: 48, as: UInt64.self)
        target.storeBytes(of: projectBytes.littleEndian, toByteOffset: 56, as: UInt32.self)
        target.storeBytes(of: bodyChecksum.littleEndian, toByteOffset: 60, as: UInt32.self)
        let sum = CRC32C.of(UnsafeRawBufferPointer(start: target + 8, count: Self.bytes - 8))
        target.storeBytes(of: sum.littleEndian, toByteOffset: 4, as: UInt32.self)
    }

    /// Nil unless the 64 bytes at `source` are a record header written for this place of this segment.
    init?(at source: UnsafeRawPointer, nonce: UInt64, offset: Int) {
        func load<Number: FixedWidthInteger>(_ at: Int, _: Number.Type) -> Number {
            Number(littleEndian: source.loadUnaligned(fromByteOffset: at, as: Number.self))
        }
        guard load(0, UInt32.self) == Self.marker, load(48, UInt64.self) == Self.place(nonce: nonce, offset: offset),
            load(4, UInt32.self) == CRC32C.of(UnsafeRawBufferPointer(start: source + 8, count: Self.bytes - 8))
        else { return nil }
        kind = load(8, UInt8.self)
        signal = load(9, UInt8.self)
        encoding = load(10, UInt8.self)
        payloadBytes = load(12, UInt32.self)
        sequence = load(16, UInt64.self)
        receivedUnixNano = load(24, UInt64.self)
        fingerprint = Fingerprint(low: load(32, UInt64.self), high: load(40, UInt64.self))
        projectBytes = load(56, UInt32.self)
        bodyChecksum = load(60, UInt32.self)
    }

    init(
        kind: Kind, signal: UInt8 = 0, encoding: UInt8 = 0, payloadBytes: Int, projectBytes: Int = 0, sequence: UInt64,
        receivedUnixNano: UInt64 = 0, fingerprint: Fingerprint = Fingerprint(low: 0, high: 0), bodyChecksum: UInt32
    ) {
        self.kind = kind.rawValue
        self.signal = signal
        self.encoding = encoding
        self.payloadBytes = UInt32(payloadBytes)
        self.projectBytes = UInt32(projectBytes)
        self.sequence = sequence
        self.receivedUnixNano = receivedUnixNano
        self.fingerprint = fingerprint
        self.bodyChecksum = bodyChecksum
    }
}
