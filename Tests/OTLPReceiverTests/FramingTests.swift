import Testing

@testable import OTLPReceiver

@Suite struct FramingTests {
    private func message(_ body: [UInt8], maxBytes: Int = 100) -> Result<[UInt8], GRPCMessage.FramingError> {
        body.withUnsafeBytes { bytes in
            Result { () throws(GRPCMessage.FramingError) in Array(try GRPCMessage(body: bytes, maxBytes: maxBytes).payload) }
        }
    }

    @Test func `a frame gives its payload`() {
        #expect(message([0, 0, 0, 0, 2, 7, 8]) == .success([7, 8]))
        #expect(message([0, 0, 0, 0, 0]) == .success([]))
    }

    @Test func `wrong frames are told apart`() {
        #expect(message([]) == .failure(.missing))
        #expect(message([0, 0, 0]) == .failure(.truncated))
        #expect(message([0, 0, 0, 0, 3, 1, 2]) == .failure(.truncated))
        #expect(message([2, 0, 0, 0, 0]) == .failure(.unknownFlag))
        #expect(message([0, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0]) == .failure(.moreThanOne))
        #expect(message([0, 0xFF, 0xFF, 0xFF, 0xFF]) == .failure(.tooLarge))
        #expect(message([0, 0, 0, 0, 101], maxBytes: 100) == .failure(.tooLarge))
    }

    @Test(arguments: [
        ("1H", Duration.seconds(3600)), ("2M", .seconds(120)), ("3S", .seconds(3)), ("4m", .milliseconds(4)),
        ("5u", .microseconds(5)), ("99999999n", .nanoseconds(99_999_999)),
    ])
    func `grpc-timeout units`(text: String, expected: Duration) {
        #expect(Array(text.utf8).withUnsafeBytes { GRPCTimeout.parse($0) } == expected)
    }

    @Test(arguments: ["", "S", "1", "123456789S", "1x", "-1S", "1.5S", " 1S"])
    func `what is no grpc-timeout is none`(text: String) {
        #expect(Array(text.utf8).withUnsafeBytes { GRPCTimeout.parse($0) } == nil)
    }

    @Test(arguments: [
        ("application/grpc", ContentType.grpc), ("application/grpc+proto", .grpc), ("application/grpc; charset=utf-8", .grpc),
        ("application/grpc+json", .grpcOther), ("application/grpc-web", .grpcOther), ("Application/JSON ; x=y", .json),
        ("application/x-protobuf", .protobuf), ("application/x-protobufs", .other), ("text/plain", .other), ("", .other),
    ])
    func `content types`(text: String, expected: ContentType) {
        #expect(Array(text.utf8).withUnsafeBytes { ContentType($0) } == expected)
    }

    @Test func `a request's kind survives its tag`() {
        for operation in [RequestKind.Operation.exportTraces, .checkHealth] {
            for transport in [RequestKind.Transport.grpc, .http] {
                for encoding in [RequestKind.Encoding.protobuf, .json] {
                    for compression in Compression.allCases {
                        let kind = RequestKind(operation: operation, transport: transport, encoding: encoding, compression: compression)
                        #expect(RequestKind(tag: kind.tag) == kind)
                    }
                }
            }
        }
    }

    @Test(arguments: [
        ("*", "https://a.example", true), ("https://*.example.com", "https://app.example.com", true),
        ("https://*.example.com", "https://example.com", false), ("https://a.example", "https://a.example.evil", false),
        ("https://*.example.com", "https://evil.org/.example.com", true), ("", "", true),
        ("a*b*c", "aXXbYYc", true), ("a*b*c", "aXXcYYb", false),
    ])
    func `origin patterns`(pattern: String, origin: String, expected: Bool) {
        #expect(CORSConfig(allowedOrigins: [pattern]).allows(origin: origin) == expected)
    }

    @Test func `error messages go into grpc-message percent-encoded`() {
        #expect(Answers.percentEncoded("50% é\n") == "50%25 %C3%A9%0A")
    }

    @Test func `retry-after is whole seconds and at least one`() {
        #expect(Answers.wholeSeconds(.zero) == 1)
        #expect(Answers.wholeSeconds(.milliseconds(1500)) == 2)
        #expect(Answers.wholeSeconds(.seconds(7)) == 7)
    }
}
