import Testing

@testable import HTTPServer

struct BufferTests {
    private func withBytes(_ text: String, _ body: (UnsafeRawBufferPointer) -> Void) {
        Array(text.utf8).withUnsafeBytes(body)
    }

    @Test func `a body buffer holds what was appended, whatever the sizes`() {
        let pool = BodyBufferPool(keptBytesMax: HTTPLimits().pooledBodyBytesMax)
        var buffer = BodyBuffer()
        var expected: [UInt8] = []
        for size in [0, 1, 4095, 4096, 100_000, 3, 2_000_000] {
            let part = (0..<size).map { UInt8(truncatingIfNeeded: $0 &+ size) }
            part.withUnsafeBytes { pool.append($0, to: &buffer) }
            expected += part
        }
        #expect(Array(buffer.bytes) == expected)
        pool.recycle(&buffer)
        #expect(buffer.count == 0)
        #expect(buffer.start == nil)
    }

    @Test func `a returned buffer is used again and an unused one is freed in the end`() {
        let pool = BodyBufferPool(keptBytesMax: HTTPLimits().pooledBodyBytesMax)
        var buffer = BodyBuffer()
        pool.reserve(10_000, in: &buffer)
        let start = buffer.start
        pool.recycle(&buffer)
        pool.reserve(5, in: &buffer)
        #expect(buffer.start == start)
        #expect(buffer.capacity >= 10_000)
        pool.recycle(&buffer)
        pool.trim()
        pool.trim()
        pool.reserve(5, in: &buffer)
        #expect(buffer.capacity < 10_000)
        pool.recycle(&buffer)
    }

    @Test func `a declared length is not believed beyond a megabyte`() {
        let pool = BodyBufferPool(keptBytesMax: HTTPLimits().pooledBodyBytesMax)
        var buffer = BodyBuffer()
        pool.reserve(.max, in: &buffer)
        #expect(buffer.capacity == 1024 * 1024)
        pool.recycle(&buffer)
    }

    @Test func `a detector waits for as many bytes as it needs and no more`() {
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        for count in 0..<24 { #expect(ProtocolDetector.detect(preface.prefix(count)) == .undecided) }
        #expect(ProtocolDetector.detect(preface) == .http2)
        #expect(ProtocolDetector.detect(preface + [0, 0]) == .http2)
        for text in ["G", "PO", "PRI /", "\u{16}\u{3}", "PRI * HTTP/1.1\r\n"] {
            #expect(ProtocolDetector.detect(Array(text.utf8)) == .http1)
        }
    }

    @Test func `the date is written as HTTP wants it`() {
        #expect(String(decoding: HTTPDate(second: 784_111_777).text, as: UTF8.self) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(String(decoding: HTTPDate(second: 0).text, as: UTF8.self) == "Thu, 01 Jan 1970 00:00:00 GMT")
    }

    @Test func `a response is one block that HTTP/1_1 sends as it stands`() {
        let response = HTTPResponse(status: 404, headers: [("Content-Type", "text/plain")], body: Array("gone".utf8))
        let expected = "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n"
        #expect(String(decoding: response.http1Head, as: UTF8.self) == expected)
        #expect(Array(response.body) == Array("gone".utf8))
    }

    @Test func `a value cannot break out of its header line`() {
        let response = HTTPResponse(status: 200, headers: [("a", "b\r\nc: d\u{0}")])
        #expect(String(decoding: response.http1Head, as: UTF8.self).contains("a: b  c: d \r\n"))
    }

    @Test(arguments: [("0", 0), ("00", 0), ("42", 42), ("9223372036854775807", Int.max)])
    func `decimal numbers are read`(_ text: String, _ number: Int) {
        withBytes(text) { #expect($0.decimalNumber == number) }
    }

    @Test(arguments: ["", "-1", "+1", " 1", "1 ", "0x1", "1,1", "9223372036854775808", "99999999999999999999999"])
    func `what is not a decimal number is none`(_ text: String) {
        withBytes(text) { #expect($0.decimalNumber == nil) }
    }

    @Test func `text is compared with and without case`() {
        withBytes("Chunked") {
            #expect($0.equals("Chunked"))
            #expect(!$0.equals("chunked"))
            #expect($0.equalsIgnoringCase("chunked"))
            #expect(!$0.equalsIgnoringCase("chunke"))
        }
    }
}
