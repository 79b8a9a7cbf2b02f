import NIOCore
import NIOHTTP1

/// From NIO's parsed head to ours, with the rules the decoder leaves to the server.
extension RequestSlot {
    /// Stores a head. Returns the answer when the head is not acceptable.
    func take(_ head: NIOHTTP1.HTTPRequestHead, _ listBytesMax: Int) -> HTTPResponse? {
        var method = head.method.rawValue
        var target = Self.originForm(head.uri)
        var fits = method.withUTF8 { header.setMethod(UnsafeRawBufferPointer($0), listBytesMax: listBytesMax) }
        fits = target.withUTF8 { header.setTarget(UnsafeRawBufferPointer($0), listBytesMax: listBytesMax) } && fits
        for (name, value) in head.headers {
            var (name, value) = (name, value)
            fits = name.withUTF8 { name in
                value.withUTF8 { value in
                    let name = UnsafeRawBufferPointer(name)
                    return header.append(name: name, value: UnsafeRawBufferPointer(value), listBytesMax: listBytesMax)
                }
            }
            if !fits { return PlainAnswers.headersTooLarge }
        }
        if !fits { return PlainAnswers.headersTooLarge }
        return check(head)
    }

    /// RFC 9112, section 3.2 (one `host`), 6.1 (`transfer-encoding`); RFC 9110, section 10.1.1 (`expect`).
    private func check(_ head: NIOHTTP1.HTTPRequestHead) -> HTTPResponse? {
        if head.version.minor > 1 { return PlainAnswers.versionNotSupported }
        var hosts = 0
        var refusal: HTTPResponse?
        var length: Int?
        storedHead.forEachHeader { name, value in
            if name.equals("host") {
                hosts += 1
            } else if name.equals("content-length") {
                length = value.decimalNumber
                if length == nil { refusal = PlainAnswers.badRequest }
            } else if name.equals("expect") {
                if !value.equalsIgnoringCase("100-continue") { refusal = PlainAnswers.expectationFailed }
            } else if name.equals("transfer-encoding") {
                if !value.equalsIgnoringCase("chunked") || head.version.minor == 0 { refusal = PlainAnswers.badRequest }
            }
        }
        contentLength = length
        if hosts > 1 || (hosts == 0 && head.version.minor == 1) { refusal = PlainAnswers.badRequest }
        return refusal
    }

    func hasHeader(_ name: StaticString) -> Bool {
        storedHead.header(name) != nil
    }

    private var storedHead: HTTPRequestHead {
        guard let connection else { preconditionFailure("an open slot has a connection") }
        return header.head(.http1, connection)
    }

    /// Clients that think we are a proxy send `http://host/path` (RFC 9112, section 3.2.2).
    private static func originForm(_ uri: String) -> String {
        guard !uri.utf8.starts(with: "/".utf8), let scheme = uri.range(ofScheme: ["http://", "https://"]) else { return uri }
        guard let path = uri[scheme...].utf8.firstIndex(of: UInt8(ascii: "/")) else { return "/" }
        return String(uri[path...])
    }
}

extension String {
    /// Where the rest begins after one of these prefixes.
    fileprivate func range(ofScheme prefixes: [String]) -> String.Index? {
        for prefix in prefixes where utf8.starts(with: prefix.utf8) { return utf8.index(startIndex, offsetBy: prefix.utf8.count) }
        return nil
    }
}
