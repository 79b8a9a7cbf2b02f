import Testing

@testable import HTTPServer

/// Random and mutated bytes, from a seed that a failure prints.
@Suite(.serialized) struct HostileBytesTests {
    /// SplitMix64: the same bytes for the same seed on every machine.
    private struct Randomness: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var mixed = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
            return mixed ^ (mixed >> 31)
        }
    }

    private static let http1 = Array(
        "POST /echo?a=b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nx-key: v\r\n\r\n5;e=1\r\nhello\r\n0\r\nt: u\r\n\r\n".utf8)

    private static let http2: [UInt8] = {
        typealias Kind = HTTP2Client.Kind
        let pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/grpc")]
        let head = HTTP2Client.block(pseudo + [("te", "trailers")])
        return HTTP2Client.frame(Kind.settings, stream: 0, [0, 4, 0, 1, 0, 0]) + HTTP2Client.frame(Kind.headers, flags: 4, stream: 1, head)
            + HTTP2Client.frame(Kind.data, stream: 1, [0, 0, 0, 0, 2]) + HTTP2Client.frame(Kind.data, flags: 1, stream: 1, [1, 2])
            + HTTP2Client.frame(Kind.headers, flags: 5, stream: 3, head) + HTTP2Client.frame(Kind.windowUpdate, stream: 0, [0, 1, 0, 0])
            + HTTP2Client.frame(Kind.priority, stream: 3, [0, 0, 0, 0, 9])
            + HTTP2Client.frame(Kind.ping, stream: 0, [0, 1, 2, 3, 4, 5, 6, 7])
            + HTTP2Client.frame(Kind.reset, stream: 3, [0, 0, 0, 8])
    }()

    /// Flips, inserts, removes and repeats some bytes.
    private static func mutate(_ bytes: [UInt8], _ random: inout Randomness) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
            case 2: bytes.remove(at: place)
            default: bytes.append(contentsOf: bytes[place...].prefix(40))
            }
        }
        return bytes
    }

    @Test(arguments: [1, 2, 3])
    func `whatever bytes come, the server goes on and holds nothing back`(_ seed: UInt64) async throws {
        try await TestServer.run { test in
            var random = Randomness(state: seed)
            for round in 0..<150 {
                let client = try test.client()
                let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
                let noise = (0..<200).map { _ in UInt8.random(in: 0...255, using: &random) }
                switch round % 4 {
                case 0: try? client.send(Self.mutate(Self.http1, &random))
                case 1: try? client.send(preface + Self.mutate(Self.http2, &random))
                case 2: try? client.send(preface + noise)
                default: try? client.send(noise)
                }
                client.shutDownOutput()
                #expect(client.isClosedByServer, "round \(round)")
            }
            #expect(try test.http2().post(1, "/echo", [1]).body == [1])
            #expect(try test.client().post("/echo", "x").text == "x")
        }
    }
}
