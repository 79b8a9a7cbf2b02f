import Glibc

/// The HTTP version a request came in.
public enum HTTPRequestVersion: Sendable {
    case http1
    case http2
}

/// The head of a request: views of the connection's own bytes, nothing is copied and nothing allocated.
///
/// Every buffer it hands out is valid only during the call that was given the head. Header names are lower case in both
/// protocols; HTTP/2's `:authority` is found as `host`.
public struct HTTPRequestHead: ~Copyable {
    public let version: HTTPRequestVersion
    /// The method as sent, e.g. `POST`.
    public let method: UnsafeRawBufferPointer
    /// The request target as sent: path and query.
    public let target: UnsafeRawBufferPointer
    let fields: UnsafeBufferPointer<HeaderBlock.Field>
    let bytes: UnsafeRawPointer
    unowned(unsafe) let connection: HTTPConnection

    /// The target up to the query, without `?`.
    public var path: UnsafeRawBufferPointer {
        guard let start = target.baseAddress, let end = memchr(start, Int32(UInt8(ascii: "?")), target.count) else { return target }
        return UnsafeRawBufferPointer(start: start, count: UnsafeRawPointer(end) - start)
    }

    /// The first value of a header, without surrounding white space; nil when it was not sent.
    ///
    /// - Parameter name: in lower case.
    public func header(_ name: StaticString) -> UnsafeRawBufferPointer? {
        for field in fields where field.name(in: bytes).equals(name) { return field.value(in: bytes) }
        return nil
    }

    /// Calls `body` with the name and the value of every header, in the order they came.
    public func forEachHeader(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
        for field in fields { body(field.name(in: bytes), field.value(in: bytes)) }
    }

    /// The client's address as text, without port: for rate limits and access decisions. Allocates.
    public var remoteAddress: String { connection.peerAddress }
}

/// A whole request.
public struct HTTPRequest: ~Copyable {
    /// Valid during `handle`.
    public let head: HTTPRequestHead
    /// Valid until the exchange is answered. As sent: no content coding is undone.
    public let body: UnsafeRawBufferPointer
    /// What `HTTPService.begin` gave.
    public let tag: Int
}

extension UnsafeRawBufferPointer {
    /// Whether the bytes are those of `text`.
    @inlinable
    @inline(__always)
    public func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount, let start = baseAddress else { return count == 0 && text.utf8CodeUnitCount == 0 }
        return memcmp(start, text.utf8Start, count) == 0
    }

    /// Whether the bytes are those of `text`, ASCII letters compared without case.
    ///
    /// - Parameter text: in lower case.
    @inlinable
    public func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for index in 0..<count where asciiLowercased(self[index]) != text.utf8Start[index] { return false }
        return true
    }

    /// The number these bytes spell in decimal digits only; nil when empty, not digits, or above `Int.max`.
    @inlinable
    public var decimalNumber: Int? {
        guard !isEmpty else { return nil }
        var number = 0
        for byte in self {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (tens, overflowed) = number.multipliedReportingOverflow(by: 10)
            let (sum, overflowedAgain) = tens.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            if overflowed || overflowedAgain { return nil }
            number = sum
        }
        return number
    }
}

@inlinable
func asciiLowercased(_ byte: UInt8) -> UInt8 {
    byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
}
