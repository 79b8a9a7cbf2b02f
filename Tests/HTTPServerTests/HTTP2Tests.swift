import Testing

@testable import HTTPServer

@Suite(.serialized) struct HTTP2Tests {
    private typealias Kind = HTTP2Client.Kind

    @Test func `bodies come back as they were sent, on one connection`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            for (index, count) in [0, 5, 60_000].enumerated() {
                let body = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                let response = try client.post(index * 2 + 1, "/echo", body)
                #expect(response.status == 200)
                #expect(response.headers["content-length"] == "\(count)")
                #expect(response.headers["date"] != nil)
                #expect(response.resetCode == nil)
                #expect(response.body == body)
            }
        }
    }

    @Test func `a large answer waits for the client's window`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            try client.sendHead(1, "/echo")
            try client.sendData(1, [UInt8](repeating: 7, count: 200_000), end: true)
            while (client.responses[1]?.body.count ?? 0) < 65_535 { _ = try client.readFrame() }
            try client.send(Kind.windowUpdate, stream: 0, HTTP2Client.word(1_000_000))
            try client.send(Kind.windowUpdate, stream: 1, HTTP2Client.word(1_000_000))
            #expect(try client.response(1).body == [UInt8](repeating: 7, count: 200_000))
        }
    }

    @Test func `an answer with trailers ends with them`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            for stream in [1, 3, 5] {
                let response = try client.post(stream, "/grpc", [0, 0, 0, 0, 1, 9], [("te", "trailers")])
                #expect(response.body == [0, 0, 0, 0, 0])
                #expect(response.trailers == ["grpc-status": "0"])
                #expect(response.headers["content-type"] == "application/grpc")
                #expect(response.headers["content-length"] == nil)
            }
            let text = test.registry.prometheusText()
            #expect(text.contains("collector_http_requests_total{transport=\"grpc\",code=\"0\"} 3"))
        }
    }

    @Test func `streams are answered as they are ready, not in their order`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            try client.sendHead(1, "/hold", end: true)
            try client.sendHead(3, "/hold", end: true)
            #expect(try client.post(5, "/echo", [1]).body == [1])
            try await test.desk.releaseAll()
            #expect(try client.response(1).text == "released")
            #expect(try client.response(3).text == "released")
        }
    }

    @Test func `the head is given whole, with the authority as host`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            let response = try client.post(1, "/headers?a=b", [], [("x-key", "v"), ("x-key", "w")])
            #expect(response.text == "POST /headers?a=b\n127.0.0.1\nhost=x\nx-key=v\nx-key=w\n")
        }
    }

    @Test func `an answer from the head resets the rest of the request without an error`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            try client.sendHead(1, "/refuse")
            var response = HTTP2Client.Response()
            while response.resetCode == nil { response = try next(client, 1) }
            #expect(response.status == 403)
            #expect(response.text == "refused")
            #expect(response.resetCode == 0)
            // Data that was on its way is thrown away; the connection goes on.
            try client.sendData(1, [UInt8](repeating: 0, count: 50_000), end: true)
            #expect(try client.post(3, "/echo", [1]).body == [1])
        }
    }

    private func next(_ client: HTTP2Client, _ stream: Int) throws -> HTTP2Client.Response {
        _ = try client.readFrame()
        return client.responses[stream] ?? HTTP2Client.Response()
    }

    @Test func `a body longer than allowed is refused by its declared length and while it comes`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            try client.sendHead(1, "/small", [("content-length", "1001")])
            #expect(try client.response(1).status == 413)
            try client.sendHead(3, "/small")
            try client.sendData(3, [UInt8](repeating: 0, count: 1001), end: false)
            #expect(try client.response(3).status == 413)
            #expect(try client.post(5, "/small", [UInt8](repeating: 1, count: 1000)).body.count == 1000)
            #expect(test.desk.failures == [.bodyTooLarge, .bodyTooLarge])
        }
    }

    @Test func `a header section over the limit is answered 431 and the connection goes on`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            let fields = (0..<300).map { ("name\($0)", String(repeating: "x", count: 30)) }
            #expect(try client.post(1, "/echo", [], fields).status == 431)
            #expect(test.desk.begun == 0)
            #expect(test.limitHits(.headerBytes) == 1)
            #expect(try client.post(3, "/echo", [1]).body == [1])
        }
    }

    @Test func `the connection's window is given back for what was taken in`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            try client.sendHead(1, "/hold")
            try client.sendData(1, [UInt8](repeating: 0, count: 900_000), end: false)
            try client.roundTrip()
            // The stream's first quarter windows, and nothing left to give for what fits the budget.
            #expect((client.credit[1] ?? 0) >= 500_000)
            try client.sendData(1, [UInt8](repeating: 0, count: 1_000_000), end: true)
            try client.roundTrip()
            // Beyond what raised the connection's window from 65,535 bytes at the start.
            #expect((client.credit[0] ?? 0) >= 2 * 1024 * 1024 - 65_535 + 1_000_000)
            try await test.desk.releaseAll()
            #expect(try client.response(1).status == 200)
        }
    }

    @Test func `a client that resets a held request costs nothing once it is answered`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            try client.sendHead(1, "/hold")
            try client.sendData(1, [1, 2, 3], end: true)
            try client.send(Kind.reset, stream: 1, HTTP2Client.word(8))
            try client.roundTrip()
            #expect(test.budget.available == TestServer.budgetBytes - 3)
            try await test.desk.releaseAll()
            #expect(test.budget.available == TestServer.budgetBytes)
            #expect(try client.post(3, "/echo", [1]).body == [1])
        }
    }

    @Test func `the answer to HEAD has no body`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            try client.sendHead(1, "/headers", method: "HEAD", end: true)
            let response = try client.response(1)
            #expect(response.status == 200)
            #expect(response.body.isEmpty)
        }
    }

    @Test func `a preface that comes byte by byte is recognised`() async throws {
        try await TestServer.run { test in
            let client = try HTTP2Client(port: test.port, preface: false)
            for byte in "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8 { try client.socket.send([byte]) }
            try client.send(Kind.settings, stream: 0, [])
            #expect(try client.post(1, "/echo", [1]).body == [1])
        }
    }

    @Test func `frames that break the protocol end the connection with GOAWAY`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            try client.send(Kind.data, flags: 1, stream: 1, [1])
            client.readToEnd()
            #expect(client.goAways.count == 1)
            #expect(try test.http2().post(1, "/echo", [1]).body == [1])
        }
    }

    @Test func `a request whose length differs from what it declared is reset`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            let response = try client.post(1, "/echo", [1, 2, 3], [("content-length", "2")])
            #expect(response.resetCode == 1)
            #expect(test.desk.handled == 0)
        }
    }
}
