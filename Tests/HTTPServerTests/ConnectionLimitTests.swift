import NIOCore
import Testing

@testable import HTTPServer

@Suite(.serialized) struct ConnectionLimitTests {
    @Test func `200 silent connections do not keep others from being served`() async throws {
        try await TestServer.run { test in
            let silent = try (0..<200).map { _ in try test.client() }
            try await eventually("all are open") { test.openConnections == 200 }
            #expect(try test.client().post("/echo", "x").text == "x")
            #expect(try test.http2().post(1, "/echo", [1]).body == [1])
            _ = silent
        }
    }

    @Test func `connections that never send a request are closed after the header timeout`() async throws {
        try await TestServer.run(limits: { $0.headerTimeout = .milliseconds(300) }) { test in
            let silent = try test.client()
            let trickling = try test.client()
            try trickling.send("POST /echo HT")
            let http2 = try test.http2()
            try http2.send(HTTP2Client.Kind.headers, stream: 1, HTTP2Client.block([(":method", "POST")]))
            #expect(silent.isClosedByServer)
            #expect(try trickling.readResponse().status == 408)
            #expect(trickling.isClosedByServer)
            http2.readToEnd()
            #expect(http2.goAways.count == 1)
            #expect(test.limitHits(.headerTimeout) == 3)
        }
    }

    @Test func `an idle connection is closed, on HTTP/2 with GOAWAY`() async throws {
        try await TestServer.run(limits: { $0.idleTimeout = .milliseconds(50) }) { test in
            let http1 = try test.client()
            #expect(try http1.post("/echo", "x").text == "x")
            let http2 = try test.http2()
            #expect(try http2.post(1, "/echo", [1]).body == [1])
            #expect(http1.isClosedByServer)
            http2.readToEnd()
            #expect(http2.goAways.last?.code(at: 4) == 0)
            #expect(test.limitHits(.idle) == 2)
        }
    }

    @Test func `a connection with a request under way is not idle`() async throws {
        try await TestServer.run(limits: { $0.idleTimeout = .milliseconds(30) }) { test in
            let client = try test.http2()
            try client.sendHead(1, "/hold", end: true)
            let other = try test.http2()
            other.readToEnd()
            // The other one, opened later, was closed for being idle; the first is still there.
            try await test.desk.releaseAll()
            #expect(try client.response(1).text == "released")
        }
    }

    @Test(arguments: [true, false])
    func `a body that comes too slowly is refused`(_ isHTTP2: Bool) async throws {
        try await TestServer.run(limits: { $0.bodyTimeout = .milliseconds(50) }) { test in
            if isHTTP2 {
                let client = try test.http2()
                try client.sendHead(1, "/echo")
                try client.sendData(1, [1], end: false)
                #expect(try client.response(1).status == 408)
            } else {
                let client = try test.client()
                try client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nx")
                let response = try client.readResponse()
                #expect(response.status == 408 && response.headers["connection"] == "close")
            }
            #expect(test.limitHits(.bodyRate) == 1)
        }
    }

    @Test(arguments: [true, false])
    func `a request past its timeout is answered so, and the service's late answer goes nowhere`(_ isHTTP2: Bool) async throws {
        try await TestServer.run { test in
            if isHTTP2 {
                let client = try test.http2()
                try client.sendHead(1, "/hurry")
                try client.sendData(1, [1, 2, 3], end: true)
                #expect(try client.response(1).status == 504)
                #expect(test.budget.available == TestServer.budgetBytes - 3)
                try await test.desk.releaseAll()
                #expect(try client.post(3, "/echo", [1]).body == [1])
            } else {
                let client = try test.client()
                #expect(try client.post("/hurry", "abc").status == 504)
                #expect(test.budget.available == TestServer.budgetBytes - 3)
                try await test.desk.releaseAll()
                #expect(try client.post("/echo", "x").text == "x")
            }
            #expect(test.budget.available == TestServer.budgetBytes)
            #expect(test.desk.failures == [.timeout])
        }
    }

    @Test func `connections beyond the limit are closed at once`() async throws {
        try await TestServer.run(limits: { $0.connectionsMax = 2 }) { test in
            let first = try test.client()
            let second = try test.client()
            try await eventually("both are open") { test.openConnections == 2 }
            #expect(try test.client().isClosedByServer)
            #expect(test.limitHits(.connections) == 1)
            #expect(try first.post("/echo", "x").text == "x")
            #expect(try second.post("/echo", "x").text == "x")
        }
    }

    @Test func `connections from one address beyond the limit are closed, and places are given back`() async throws {
        try await TestServer.run(limits: { $0.connectionsPerAddressMax = 1 }) { test in
            var first: RawClient? = try test.client()
            #expect(try first?.post("/echo", "x").text == "x")
            #expect(try test.client().isClosedByServer)
            #expect(test.limitHits(.connectionsPerAddress) == 1)
            first = nil
            try await eventually("the place is free") {
                guard let client = try? test.client() else { return false }
                return (try? client.post("/echo", "x").text) == "x"
            }
        }
    }

    @Test(arguments: [true, false])
    func `a client that does not read its answers is disconnected`(_ isHTTP2: Bool) async throws {
        try await TestServer.run(limits: { $0.writeStallTimeout = .milliseconds(100) }) { test in
            if isHTTP2 {
                // The windows are never opened: the stream is reset.
                let client = try test.http2()
                try client.sendHead(1, "/echo")
                try client.sendData(1, [UInt8](repeating: 7, count: 200_000), end: true)
                #expect(try client.response(1).resetCode == 8)
            } else {
                let client = try test.client()
                let body = String(repeating: "x", count: 1_000_000)
                let request = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
                // More than socket buffers take; the server stops reading, then hangs up.
                for _ in 0..<100 where (try? client.send(request)) == nil { break }
                try await eventually("it is disconnected") { test.openConnections == 0 }
            }
            #expect(test.limitHits(.writeStall) == 1)
        }
    }
}
