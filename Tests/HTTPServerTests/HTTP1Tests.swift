import Testing

@testable import HTTPServer

@Suite(.serialized) struct HTTP1Tests {
    @Test func `a body comes back as it was sent and the connection is kept`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            for body in ["", "hello", String(repeating: "x", count: 300_000)] {
                let response = try client.post("/echo?query=1", body)
                #expect(response.status == 200)
                #expect(response.text == body)
                #expect(response.headers["connection"] == nil)
                #expect(response.headers["content-length"] == "\(body.utf8.count)")
                #expect(response.headers["date"]?.hasSuffix(" GMT") == true)
            }
            #expect(test.desk.handled == 3)
        }
    }

    @Test func `a chunked body is put together`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            try await eventually("the head was seen") { test.desk.begun == 1 }
            try client.send("6;name=value\r\n world\r\n0\r\ntrailer: x\r\n\r\n")
            #expect(try client.readResponse().text == "hello world")
        }
    }

    @Test func `pipelined requests are answered one by one in their order`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            var sent = ""
            for index in 0..<50 { sent += "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n\(index + 10)" }
            try client.send(sent)
            for index in 0..<50 { #expect(try client.readResponse().text == "\(index + 10)") }
        }
    }

    @Test func `a pipelined request waits until the one before is answered`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\naGET /headers HTTP/1.1\r\nhost: x\r\n\r\n")
            try await eventually("the first is held") { test.desk.heldCount == 1 }
            try client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nlast")
            #expect(test.desk.begun == 1)
            try await test.desk.releaseAll()
            #expect(try client.readResponse().text == "released")
            #expect(try client.readResponse().text.hasPrefix("GET /headers\n127.0.0.1\n"))
            #expect(try client.readResponse().text == "last")
        }
    }

    @Test func `a client that asks for it is told to go on before it sends the body`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-Continue\r\n\r\n")
            #expect(try client.readLine() == "HTTP/1.1 100 Continue")
            #expect(try client.readLine() == "")
            try client.send("body")
            #expect(try client.readResponse().text == "body")
        }
    }

    @Test func `a refused client that waits for 100-continue gets the answer alone, and the connection ends`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n")
            let response = try client.readResponse()
            #expect(response.status == 403)
            #expect(response.headers["connection"] == "close")
            #expect(client.isClosedByServer)
        }
    }

    @Test func `an answer from the head keeps the connection when little of the body is left`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            #expect(try client.post("/refuse", String(repeating: "x", count: 1000)).status == 403)
            #expect(try client.post("/echo", "still here").text == "still here")
        }
    }

    @Test func `an answer from the head reaches a client that sends a large body on regardless`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n")
            // The server goes on reading: these bytes do not turn into a reset that would swallow the answer.
            try client.send([UInt8](repeating: 0, count: 4_000_000))
            let response = try client.readResponse()
            #expect(response.status == 403)
            #expect(response.headers["connection"] == "close")
            #expect(client.isClosedByServer)
        }
    }

    @Test func `a body longer than allowed is refused by its declared length`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /small HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n")
            #expect(try client.readResponse().status == 413)
            #expect(test.desk.failures == [.bodyTooLarge])
            #expect(test.limitHits(.bodyBytes) == 1)
        }
    }

    @Test func `a body longer than allowed is refused while it comes`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /small HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in 0..<4 { try client.send("fa\r\n" + String(repeating: "x", count: 250) + "\r\n") }
            try client.send("1\r\nx\r\n")
            #expect(try client.readResponse().status == 413)
            #expect(test.desk.handled == 0)
            // What is left is small: the connection goes on.
            try client.send("0\r\n\r\n")
            #expect(try client.post("/echo", "next").text == "next")
        }
    }

    @Test func `a head over the limit is answered 431`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /echo HTTP/1.1\r\nhost: x\r\nlarge: " + String(repeating: "x", count: 20_000) + "\r\n\r\n")
            #expect(try client.readResponse().status == 431)
            #expect(client.isClosedByServer)
            let many = try test.client()
            let fields = (0..<200).map { "name\($0): " + String(repeating: "x", count: 60) + "\r\n" }.joined()
            try many.send("POST /echo HTTP/1.1\r\nhost: x\r\n\(fields)\r\n")
            #expect(try many.readResponse().status == 431)
            #expect(test.limitHits(.headerBytes) == 2)
            #expect(test.desk.begun == 0)
        }
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nhost: x\r\n\r\n", 505),
        ("GET / HTTP/1.9\r\nhost: x\r\n\r\n", 505),
        ("\u{1}\u{2}\u{3}\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost : x\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n", 400),
        ("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: x\r\nexpect: miracles\r\ncontent-length: 0\r\n\r\n", 417),
    ])
    func `a malformed request is answered once and the connection ends`(_ request: String, _ status: Int) async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send(request)
            #expect(try client.readResponse().status == status)
            #expect(try client.readToEnd().isEmpty)
            #expect(test.desk.handled == 0)
        }
    }

    @Test func `the answer to a malformed request reaches a client that goes on sending`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
            // More than the sockets' buffers hold, so that it has to be taken away.
            for _ in 0..<512 { try client.send([UInt8](repeating: 0, count: 65_536)) }
            #expect(try client.readResponse().status == 400)
        }
    }

    @Test func `HTTP/1_0 is served, and kept alive on request only`() async throws {
        try await TestServer.run { test in
            let kept = try test.client()
            try kept.send("POST /echo HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na")
            #expect(try kept.readResponse().headers["connection"] == "keep-alive")
            try kept.send("POST /echo HTTP/1.0\r\ncontent-length: 1\r\n\r\na")
            #expect(try kept.readResponse().headers["connection"] == "close")
            #expect(kept.isClosedByServer)
        }
    }

    @Test func `the answer to HEAD has no body and no answer is given twice`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("HEAD /headers HTTP/1.1\r\nhost: x\r\n\r\n")
            #expect(try client.readResponse(hasBody: false).headers["content-length"] != "0")
            #expect(try client.post("/twice", "").text == "first")
            #expect(try client.post("/echo", "next").text == "next")
        }
    }

    @Test func `a client may shut down its side after a whole request and read the answer`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na")
            client.shutDownOutput()
            try await eventually("it is held") { test.desk.heldCount == 1 }
            let large = String(repeating: "x", count: 3_000_000)
            try await test.desk.releaseAll(large)
            #expect(try client.readResponse().text == large)
            #expect(client.isClosedByServer)
        }
    }

    @Test func `a request for another protocol is answered as HTTP/1_1 and the connection ends`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("GET /headers HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
            let response = try client.readResponse()
            #expect(response.status == 200)
            #expect(response.headers["connection"] == "close")
            #expect(client.isClosedByServer)
        }
    }

    @Test func `an absolute target is served by its path`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST http://example.com:4318/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na")
            #expect(try client.readResponse().text == "a")
        }
    }

    @Test func `requests sent ahead are all answered though the client has shut down its side`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na")
            for _ in 0..<3 { try client.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nb") }
            client.shutDownOutput()
            try await eventually("the first is held") { test.desk.heldCount == 1 }
            try await test.desk.releaseAll()
            #expect(try client.readResponse().text == "released")
            for _ in 0..<3 { #expect(try client.readResponse().text == "b") }
            #expect(client.isClosedByServer)
        }
    }

    @Test func `a client that sends too many requests ahead is disconnected`() async throws {
        try await TestServer.run { test in
            let client = try test.client()
            try client.send("POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na")
            try client.send(String(repeating: "GET /echo HTTP/1.1\r\nhost: x\r\n\r\n", count: 1000))
            #expect(client.isClosedByServer)
            #expect(test.limitHits(.pipelining) >= 1)
        }
    }
}
