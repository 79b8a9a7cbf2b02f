import Testing

@testable import HTTPServer

@Suite(.serialized) struct ByteBudgetTests {
    @Test func `a budget gives what it has and no more`() {
        let budget = FixedByteBudget(bytes: 10)
        #expect(budget.tryReserve(6))
        #expect(!budget.tryReserve(5))
        #expect(budget.tryReserve(4))
        budget.release(10)
        #expect(budget.available == 10)
    }

    @Test(arguments: [true, false])
    func `a client that hangs up in mid-body leaves nothing behind`(_ isHTTP2: Bool) async throws {
        try await TestServer.run { test in
            var http1: RawClient? = isHTTP2 ? nil : try test.client()
            var http2: HTTP2Client? = isHTTP2 ? try test.http2() : nil
            try http1?.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
            try http1?.send([UInt8](repeating: 0, count: 50_000))
            try http2?.sendHead(1, "/echo")
            try http2?.sendData(1, [UInt8](repeating: 0, count: 50_000), end: false)
            try await eventually("the bytes are reserved") { test.budget.available == TestServer.budgetBytes - 50_000 }
            http1 = nil
            http2 = nil
            try await eventually("they are given back") { test.budget.available == TestServer.budgetBytes }
            try await eventually("the connection is gone") { test.openConnections == 0 }
            #expect(test.desk.handled == 0)
        }
    }

    @Test func `a whole body waits for the budget and then goes on, on HTTP/1_1`() async throws {
        try await TestServer.run(budgetBytes: 100_000, limits: { $0.admissionWait = .seconds(60) }) { test in
            let holder = try test.client()
            try holder.send("POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 80000\r\n\r\n")
            try holder.send([UInt8](repeating: 0, count: 80_000))
            try await eventually("the first is held") { test.desk.heldCount == 1 }
            let waiting = try test.client()
            try waiting.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 30000\r\n\r\n")
            try waiting.send([UInt8](repeating: 7, count: 30_000))
            try await eventually("the second has begun") { test.desk.begun == 2 }
            #expect(test.desk.handled == 1)
            try await test.desk.releaseAll()
            #expect(try holder.readResponse().status == 200)
            #expect(try waiting.readResponse().body == [UInt8](repeating: 7, count: 30_000))
        }
    }

    @Test func `while the budget is exhausted no window is given back, and afterwards it is`() async throws {
        try await TestServer.run(budgetBytes: 2_000_000, limits: { $0.admissionWait = .seconds(60) }) { test in
            let holder = try test.http2()
            try holder.sendHead(1, "/hold")
            try holder.sendData(1, [UInt8](repeating: 0, count: 1_000_000), end: false)
            try holder.roundTrip()
            try holder.sendData(1, [UInt8](repeating: 0, count: 950_000), end: true)
            try await eventually("the first is held") { test.desk.heldCount == 1 }

            let waiting = try test.http2()
            try waiting.sendHead(1, "/echo")
            try waiting.sendData(1, [UInt8](repeating: 7, count: 1_000_000), end: false)
            try waiting.roundTrip()
            // 50,000 bytes fit, which is less than a window update's worth.
            #expect(waiting.credit[1] == nil)
            try await test.desk.releaseAll()
            while (waiting.credit[1] ?? 0) < 900_000 { _ = try waiting.readFrame() }
            try waiting.send(HTTP2Client.Kind.windowUpdate, stream: 0, HTTP2Client.word(10_000_000))
            try waiting.send(HTTP2Client.Kind.windowUpdate, stream: 1, HTTP2Client.word(10_000_000))
            try waiting.sendData(1, [7], end: true)
            #expect(try waiting.response(1).body == [UInt8](repeating: 7, count: 1_000_001))
        }
    }

    @Test(arguments: [true, false])
    func `a request that waits too long for the budget is answered as overload`(_ isHTTP2: Bool) async throws {
        try await TestServer.run(budgetBytes: 1000, limits: { $0.admissionWait = .milliseconds(30) }) { test in
            if isHTTP2 {
                let client = try test.http2()
                let response = try client.post(1, "/echo", [UInt8](repeating: 0, count: 2000))
                #expect(response.status == 503)
                #expect(response.headers["retry-after"] == "1")
                #expect(try client.post(3, "/echo", [1]).body == [1])
            } else {
                let client = try test.client()
                #expect(try client.post("/echo", String(repeating: "x", count: 2000)).status == 503)
                #expect(try client.post("/echo", "x").text == "x")
            }
            #expect(test.desk.failures == [.overloaded])
            #expect(test.limitHits(.byteBudget) == 1)
        }
    }

    @Test func `bytes beyond the budget are bounded whatever windows were granted`() async throws {
        try await TestServer.run(
            budgetBytes: 1000,
            limits: {
                $0.admissionWait = .seconds(60)
                $0.unreservedBytesMax = 100_000
            }
        ) { test in
            let client = try test.http2()
            try client.sendHead(1, "/echo")
            try client.sendData(1, [UInt8](repeating: 0, count: 200_000), end: false)
            #expect(try client.response(1).status == 503)
        }
    }

    @Test func `one that waits for the budget does not hold up those that fit`() async throws {
        try await TestServer.run(budgetBytes: 1000, limits: { $0.admissionWait = .seconds(60) }) { test in
            let waiting = try test.http2()
            try waiting.sendHead(1, "/echo")
            try waiting.sendData(1, [UInt8](repeating: 0, count: 2000), end: true)
            try waiting.roundTrip()
            #expect(try waiting.post(3, "/echo", [1, 2]).body == [1, 2])
            #expect(try test.client().post("/echo", "x").text == "x")
        }
    }
}
