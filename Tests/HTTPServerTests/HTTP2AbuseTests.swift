import NIOCore
import Testing

@testable import HTTPServer

/// Seconds on the injected clock, in its nanoseconds, far from zero as on a real machine.
private func at(_ seconds: Double) -> UInt64 { UInt64((1_000_000 + seconds) * 1e9) }

/// `#expect` cannot call mutating methods: these hold the value under test.
private final class Bucket {
    private var bucket: TokenBucket

    init(capacity: Int, seconds: UInt64) {
        bucket = TokenBucket(capacity: capacity, windowNanoseconds: seconds * 1_000_000_000)
    }

    func take(_ seconds: Double) -> Bool { bucket.take(now: at(seconds)) }
    func give(_ tokens: Int) { bucket.give(tokens) }
}

private final class Abuse {
    private var abuse: HTTP2AbuseGuard

    init(_ limits: HTTPLimits = HTTPLimits()) {
        abuse = HTTP2AbuseGuard(limits)
    }

    func ping(_ seconds: Double) -> HTTPLimit? { abuse.ping(now: at(seconds)) }
    func streamReset(_ seconds: Double) -> HTTPLimit? { abuse.streamReset(now: at(seconds)) }
    func streamError(_ seconds: Double) -> HTTPLimit? { abuse.streamError(now: at(seconds)) }
    func controlFrame(_ seconds: Double) -> HTTPLimit? { abuse.controlFrame(now: at(seconds)) }
    func answered() { abuse.answered() }
}

struct HTTP2AbuseGuardTests {
    @Test func `a bucket allows its capacity at once and refills evenly`() {
        let bucket = Bucket(capacity: 10, seconds: 10)
        for _ in 0..<10 { #expect(bucket.take(0)) }
        #expect(!bucket.take(0))
        #expect(!bucket.take(0.9))
        #expect(bucket.take(1))
        #expect(!bucket.take(1))
        for _ in 0..<10 { #expect(bucket.take(100)) }
        #expect(!bucket.take(100))
    }

    @Test func `tokens put back never exceed the capacity`() {
        let bucket = Bucket(capacity: 3, seconds: 3)
        bucket.give(100)
        for _ in 0..<3 { #expect(bucket.take(0)) }
        #expect(!bucket.take(0))
        bucket.give(1)
        #expect(bucket.take(0))
        #expect(!bucket.take(0))
    }

    @Test func `200 resets in 30 seconds are borne, the next is not`() {
        let abuse = Abuse()
        for _ in 0..<200 { #expect(abuse.streamReset(0) == nil) }
        #expect(abuse.streamReset(0) == .streamResets)
    }

    @Test func `resets at a bearable rate never end a connection`() {
        let abuse = Abuse()
        for second in 0..<1000 {
            for _ in 0..<6 { #expect(abuse.streamReset(Double(second)) == nil) }
        }
    }

    @Test func `provoked resets have their own budget`() {
        let abuse = Abuse()
        for _ in 0..<100 { #expect(abuse.streamError(0) == nil) }
        #expect(abuse.streamError(0) == .streamErrors)
    }

    @Test func `pings every ten seconds go on for ever`() {
        let abuse = Abuse()
        for index in 0..<1000 { #expect(abuse.ping(Double(index) * 10) == nil) }
    }

    @Test func `the third ping that comes too early is too many`() {
        let abuse = Abuse()
        #expect(abuse.ping(0) == nil)
        #expect(abuse.ping(1) == nil)
        #expect(abuse.ping(2) == nil)
        #expect(abuse.ping(3) == .pings)
    }

    @Test func `pings around answered requests measure the line and are not counted`() {
        let abuse = Abuse()
        for index in 0..<1000 {
            #expect(abuse.ping(Double(index) / 100) == nil)
            abuse.answered()
        }
    }

    @Test func `answered requests earn control frames`() {
        var limits = HTTPLimits()
        limits.controlFramesMax = 10
        limits.controlFramesPerAnswer = 2
        let abuse = Abuse(limits)
        for _ in 0..<1000 {
            #expect(abuse.controlFrame(0) == nil)
            #expect(abuse.controlFrame(0) == nil)
            abuse.answered()
        }
        for _ in 0..<10 { #expect(abuse.controlFrame(0) == nil) }
        #expect(abuse.controlFrame(0) == .controlFrames)
    }
}

@Suite(.serialized) struct HTTP2AbuseTests {
    private typealias Kind = HTTP2Client.Kind

    private static let head = HTTP2Client.block([(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/hold")])

    /// Sends frames until the server hangs up; the writes themselves fail then.
    private func flood(_ client: HTTP2Client, _ count: Int, _ frames: (Int) -> [UInt8]) {
        for index in 0..<count {
            if (try? client.socket.send(frames(index))) == nil { break }
        }
        client.readToEnd()
    }

    private func expectClosed(_ test: TestServer, _ client: HTTP2Client, _ limit: HTTPLimit) async throws {
        #expect(client.socket.isClosedByServer)
        try await eventually("the connection is gone") { test.openConnections == 0 }
        #expect(test.limitHits(limit) == 1)
        #expect(try test.http2().post(1, "/echo", [1]).body == [1])
    }

    @Test func `a flood of resets ends the connection and others are served`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            flood(client, 300) { index in
                HTTP2Client.frame(Kind.headers, flags: 4, stream: index * 2 + 1, Self.head)
                    + HTTP2Client.frame(Kind.reset, stream: index * 2 + 1, HTTP2Client.word(8))
            }
            try await expectClosed(test, client, .streamResets)
        }
    }

    @Test func `a flood of frames that provoke resets ends the connection`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            // A window over 2^31 - 1 is a stream error that the server answers with RST_STREAM.
            flood(client, 300) { index in
                HTTP2Client.frame(Kind.headers, flags: 4, stream: index * 2 + 1, Self.head)
                    + HTTP2Client.frame(Kind.windowUpdate, stream: index * 2 + 1, HTTP2Client.word(0x7fff_ffff))
            }
            try await expectClosed(test, client, .streamErrors)
        }
    }

    @Test func `a flood of pings ends the connection`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            flood(client, 100) { _ in HTTP2Client.frame(Kind.ping, stream: 0, [0, 0, 0, 0, 0, 0, 0, 0]) }
            try await expectClosed(test, client, .pings)
        }
    }

    @Test func `a flood of settings ends the connection`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            flood(client, 100) { _ in HTTP2Client.frame(Kind.settings, stream: 0, []) }
            try await expectClosed(test, client, .settings)
        }
    }

    @Test func `a flood of empty data frames ends the connection`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            try client.sendHead(1, "/hold")
            flood(client, 5000) { _ in HTTP2Client.frame(Kind.data, stream: 1, []) }
            try await expectClosed(test, client, .controlFrames)
        }
    }

    @Test func `a flood of continuation frames ends the connection`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            flood(client, 200) { index in
                let field = HTTP2Client.block([("name\(index)", "x")])
                return HTTP2Client.frame(index == 0 ? Kind.headers : Kind.continuation, stream: 1, index == 0 ? Self.head : field)
            }
            #expect(client.socket.isClosedByServer)
            #expect(test.desk.begun == 0)
        }
    }

    @Test func `streams beyond the allowed number are refused and the others served`() async throws {
        try await TestServer.run(limits: { $0.concurrentStreamsMax = 3 }) { test in
            // A client that does not know the limit yet; one that has acknowledged it would be disconnected.
            let client = try HTTP2Client(port: test.port, preface: false)
            try client.socket.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            try client.send(Kind.settings, stream: 0, [])
            for index in 0..<5 { try client.sendHead(index * 2 + 1, "/hold", end: true) }
            // REFUSED_STREAM tells the client that it may try again.
            #expect(try client.response(7).resetCode == 7)
            #expect(try client.response(9).resetCode == 7)
            try await test.desk.releaseAll()
            for index in 0..<3 { #expect(try client.response(index * 2 + 1).status == 200) }
        }
    }

    @Test func `requests that are reset while the service works on them count until it is done`() async throws {
        try await TestServer.run(limits: { $0.concurrentStreamsMax = 3 }) { test in
            let client = try test.http2()
            for index in 0..<3 {
                try client.sendHead(index * 2 + 1, "/hold", end: true)
                try client.send(Kind.reset, stream: index * 2 + 1, HTTP2Client.word(8))
            }
            try client.sendHead(7, "/echo", end: true)
            #expect(try client.response(7).resetCode != nil)
            #expect(test.limitHits(.abandonedRequests) == 1)
            try await test.desk.releaseAll()
            #expect(try client.post(9, "/echo", [1]).body == [1])
        }
    }
}
