import Glibc

/// The header section of one request: names and values in one byte buffer, with their places in a second one. Both are kept
/// when the block is cleared, so a request costs no allocation once its slot has been used.
///
/// A class, although it has one owner: changing a struct inside the slot would cost an exclusivity check per header.
final class HeaderBlock {
    struct Field {
        var nameStart: UInt32
        var nameCount: UInt32
        var valueStart: UInt32
        var valueCount: UInt32

        func name(in bytes: UnsafeRawPointer) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: bytes + Int(nameStart), count: Int(nameCount))
        }

        func value(in bytes: UnsafeRawPointer) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: bytes + Int(valueStart), count: Int(valueCount))
        }
    }

    /// Bytes and fields a fresh block has room for: an OTLP exporter's head has 6 to 10 fields in 150 to 400 bytes.
    private static let initialBytes = 512
    private static let initialFields = 16
    /// A block that grew beyond this is shrunk when it is cleared, so that a few large heads do not stay in memory.
    private static let keptBytesMax = 4096
    /// What each field counts on top of its bytes (RFC 9113, section 6.5.2).
    private static let fieldOverhead = 32

    private var bytes: UnsafeMutableRawPointer
    private var byteCapacity: Int
    private var byteCount = 0
    private var fields: UnsafeMutablePointer<Field>
    private var fieldCapacity: Int
    private var fieldCount = 0
    private var methodPlace = Field(nameStart: 0, nameCount: 0, valueStart: 0, valueCount: 0)
    private var targetPlace = Field(nameStart: 0, nameCount: 0, valueStart: 0, valueCount: 0)
    /// Size of the section as RFC 9113 counts it, also of fields that were not stored.
    private(set) var listBytes = 0

    init() {
        bytes = .allocate(byteCount: Self.initialBytes, alignment: 16)
        byteCapacity = Self.initialBytes
        fields = .allocate(capacity: Self.initialFields)
        fieldCapacity = Self.initialFields
    }

    deinit {
        bytes.deallocate()
        fields.deallocate()
    }

    func clear() {
        byteCount = 0
        fieldCount = 0
        listBytes = 0
        methodPlace.valueCount = 0
        targetPlace.valueCount = 0
        if byteCapacity > Self.keptBytesMax {
            bytes.deallocate()
            bytes = .allocate(byteCount: Self.initialBytes, alignment: 16)
            byteCapacity = Self.initialBytes
        }
    }

    /// Adds a field, its name in lower case. False when the section has grown over `listBytesMax`: nothing is stored then.
    func append(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, listBytesMax: Int) -> Bool {
        guard count(name.count + value.count, listBytesMax) else { return false }
        let nameStart = store(name)
        for index in nameStart..<byteCount {
            bytes.storeBytes(of: asciiLowercased(bytes.load(fromByteOffset: index, as: UInt8.self)), toByteOffset: index, as: UInt8.self)
        }
        appendField(nameStart: nameStart, nameCount: name.count, value)
        return true
    }

    /// Adds a field whose name is known to be in lower case.
    func appendLowerCase(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, listBytesMax: Int) -> Bool {
        guard count(name.count + value.count, listBytesMax) else { return false }
        appendField(nameStart: store(name), nameCount: name.count, value)
        return true
    }

    func setMethod(_ value: UnsafeRawBufferPointer, listBytesMax: Int) -> Bool {
        guard count(value.count, listBytesMax) else { return false }
        methodPlace = place(value)
        return true
    }

    func setTarget(_ value: UnsafeRawBufferPointer, listBytesMax: Int) -> Bool {
        guard count(value.count, listBytesMax) else { return false }
        targetPlace = place(value)
        return true
    }

    /// A view, valid until the block changes.
    func head(_ version: HTTPRequestVersion, _ connection: HTTPConnection) -> HTTPRequestHead {
        HTTPRequestHead(
            version: version, method: methodPlace.value(in: bytes), target: targetPlace.value(in: bytes),
            fields: UnsafeBufferPointer(start: fields, count: fieldCount), bytes: bytes, connection: connection)
    }

    private func count(_ added: Int, _ listBytesMax: Int) -> Bool {
        listBytes += added + Self.fieldOverhead
        return listBytes <= listBytesMax
    }

    private func place(_ value: UnsafeRawBufferPointer) -> Field {
        Field(nameStart: 0, nameCount: 0, valueStart: UInt32(store(value)), valueCount: UInt32(value.count))
    }

    private func appendField(nameStart: Int, nameCount: Int, _ value: UnsafeRawBufferPointer) {
        let valueStart = store(value)
        if fieldCount == fieldCapacity {
            let larger = UnsafeMutablePointer<Field>.allocate(capacity: fieldCapacity * 2)
            larger.moveInitialize(from: fields, count: fieldCount)
            fields.deallocate()
            fields = larger
            fieldCapacity *= 2
        }
        fields[fieldCount] = Field(
            nameStart: UInt32(nameStart), nameCount: UInt32(nameCount), valueStart: UInt32(valueStart), valueCount: UInt32(value.count))
        fieldCount += 1
    }

    private func store(_ text: UnsafeRawBufferPointer) -> Int {
        let start = byteCount
        if byteCount + text.count > byteCapacity {
            let capacity = max(byteCapacity * 2, byteCount + text.count)
            let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
            larger.copyMemory(from: bytes, byteCount: byteCount)
            bytes.deallocate()
            bytes = larger
            byteCapacity = capacity
        }
        if let source = text.baseAddress { memcpy(bytes + start, source, text.count) }
        byteCount += text.count
        return start
    }
}
