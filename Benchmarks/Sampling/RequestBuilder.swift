/// Export requests for `Speed`, encoded as a client would: spans of about 400 bytes with ten attributes, some traces with errors, slow
/// ones, and different values of what policies ask for.
enum RequestBuilder {
    static func request(spans: Range<Int>, perTrace: Int, round: UInt64) -> [UInt8] {
        var scope: [UInt8] = []
        for number in spans { message(2, span(number, trace: number / perTrace, isRoot: number % perTrace == 0, round), to: &scope) }
        var resource: [UInt8] = []
        for (key, value) in [("service.name", "checkout"), ("deployment.environment", "production"), ("host.name", "node-17")] {
            message(1, attribute(key, value), to: &resource)
        }
        var resourceSpans: [UInt8] = []
        message(1, resource, to: &resourceSpans)
        message(2, scope, to: &resourceSpans)
        var out: [UInt8] = []
        message(1, resourceSpans, to: &out)
        return out
    }

    private static func span(_ number: Int, trace: Int, isRoot: Bool, _ round: UInt64) -> [UInt8] {
        var out: [UInt8] = []
        // Ids look random, as SDKs make them.
        message(1, bigEndian(mixed(UInt64(trace) &+ round << 40)) + bigEndian(mixed(UInt64(trace) &+ round << 40 &+ 1 << 56)), to: &out)
        message(2, bigEndian(mixed(UInt64(number)) | 1), to: &out)
        if !isRoot { message(4, bigEndian(mixed(UInt64(number - 1)) | 1), to: &out) }
        message(5, Array((isRoot ? "POST /checkout" : "SELECT orders").utf8), to: &out)
        let start: UInt64 = 1_767_225_600_000_000_000 + UInt64(number) * 1000
        fixed(7, start, to: &out)
        fixed(8, start + (trace % 50 == 7 ? 6_000_000_000 : 20_000_000), to: &out)
        let status = trace % 25 == 3 && !isRoot ? 500 : 200
        for (key, value) in [
            ("http.route", "/checkout/{id}"), ("http.request.method", "POST"), ("user.id", "user-\(trace % 1000)"),
            ("tenant", trace % 40 == 1 ? "premium" : "standard"), ("url.path", "/checkout/\(trace)"), ("db.system", "postgresql"),
            ("net.peer.name", "orders.internal"), ("thread.name", "worker-\(number % 16)"),
        ] { message(9, attribute(key, value), to: &out) }
        message(9, attribute("http.response.status_code", status), to: &out)
        message(9, attribute("retries", number % 4), to: &out)
        if status == 500 { message(15, [0x18, 2], to: &out) }
        return out
    }

    /// SplitMix64's output function.
    private static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    private static func attribute(_ key: String, _ value: String) -> [UInt8] {
        var text: [UInt8] = []
        message(1, Array(value.utf8), to: &text)
        return attribute(key, text)
    }

    private static func attribute(_ key: String, _ value: Int) -> [UInt8] {
        var number: [UInt8] = [0x18]
        varint(UInt64(value), to: &number)
        return attribute(key, number)
    }

    private static func attribute(_ key: String, _ value: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        message(1, Array(key.utf8), to: &out)
        message(2, value, to: &out)
        return out
    }

    private static func varint(_ value: UInt64, to out: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            out.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(rest))
    }

    private static func message(_ field: UInt64, _ body: [UInt8], to out: inout [UInt8]) {
        varint(field << 3 | 2, to: &out)
        varint(UInt64(body.count), to: &out)
        out += body
    }

    private static func fixed(_ field: UInt64, _ value: UInt64, to out: inout [UInt8]) {
        varint(field << 3 | 1, to: &out)
        withUnsafeBytes(of: value.littleEndian) { out += $0 }
    }

    private static func bigEndian(_ word: UInt64) -> [UInt8] { withUnsafeBytes(of: word.bigEndian) { Array($0) } }
}
