import NIOCore
import NIOPosix
import SelfTelemetry
import Testing

@testable import HTTPServer

@Suite(.serialized) struct LifeCycleTests {
    @Test func `shutdown lets requests in flight finish on both protocols`() async throws {
        try await TestServer.run { test in
            let http1 = try test.client()
            try http1.send("POST /hold HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na")
            let http2 = try test.http2()
            try http2.sendHead(1, "/hold", end: true)
            let idle = try test.client()
            #expect(try idle.post("/echo", "x").text == "x")
            try await eventually("two are held") { test.desk.heldCount == 2 }

            async let done: Void = test.server.shutdown(within: .seconds(30))
            while http2.goAways.isEmpty { _ = try http2.readFrame() }
            #expect(idle.isClosedByServer)
            try await test.desk.releaseAll()
            let response = try http1.readResponse()
            #expect(response.text == "released")
            #expect(response.headers["connection"] == "close")
            #expect(http1.isClosedByServer)
            #expect(try http2.response(1).text == "released")
            http2.readToEnd()
            #expect(http2.goAways.last?.code(at: 4) == 0)
            await done
            #expect(throws: RawClient.Failed.self) { try test.client() }
        }
    }

    @Test func `shutdown closes what is not done at the deadline`() async throws {
        try await TestServer.run { test in
            let client = try test.http2()
            try client.sendHead(1, "/hold", end: true)
            try await eventually("it is held") { test.desk.heldCount == 1 }
            await test.server.shutdown(within: .milliseconds(50))
            #expect(client.socket.isClosedByServer)
            #expect(test.openConnections == 0)
        }
    }

    @Test func `a used port is named in the error`() async throws {
        try await TestServer.run { test in
            let settings = HTTPServerSettings(host: "127.0.0.1", port: test.port)
            let error = await #expect(throws: HTTPServerStartError.self) {
                _ = try await HTTPServer.start(
                    group: MultiThreadedEventLoopGroup.singleton, settings: settings, budget: FixedByteBudget(bytes: 1),
                    registry: MetricRegistry()
                ) { TestService(Desk(), $0) }
            }
            #expect(error?.description == "cannot listen on 127.0.0.1:\(test.port): Address already in use")
        }
    }

    @Test func `answers given from another thread's turn are written together and reach their clients`() async throws {
        try await TestServer.run(threads: 2) { test in
            let clients = try (0..<4).map { _ in try test.http2() }
            for client in clients {
                for stream in 0..<20 { try client.sendHead(stream * 2 + 1, "/hold", end: true) }
            }
            try await eventually("all are held") { test.desk.heldCount == 80 }
            try await test.desk.releaseAll()
            for client in clients {
                for stream in 0..<20 { #expect(try client.response(stream * 2 + 1).text == "released") }
            }
        }
    }

    @Test(arguments: [("localhost", "127.0.0.1"), ("", "0.0.0.0"), ("127.0.0.1", "127.0.0.1")])
    func `hosts mean what they mean to the Go collector`(_ host: String, _ address: String) async throws {
        let server = try await HTTPServer.start(
            group: MultiThreadedEventLoopGroup.singleton, settings: HTTPServerSettings(host: host, port: 0),
            budget: FixedByteBudget(bytes: 1), registry: MetricRegistry()
        ) { TestService(Desk(), $0) }
        #expect(server.localAddress.ipAddress == address)
        #expect((server.localAddress.port ?? 0) > 0)
        await server.shutdown(within: .seconds(1))
    }
}
