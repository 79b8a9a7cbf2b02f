/// Spans of every shape that OTLP allows, and of many that it does not, from a seed.
struct RandomSpans {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    mutating func list<Element>(_ most: Int, _ make: (inout RandomSpans) -> Element) -> [Element] {
        (0..<below(most + 1)).map { _ in make(&self) }
    }

    mutating func rawBytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 32) } }

    mutating func text() -> [UInt8] {
        switch below(8) {
        case 0: return []
        case 1: return rawBytes(below(20))
        case 2: return [0x41, 0, 0x42]
        case 3: return Array("\"\\\n\t\r\u{8}\u{c}\u{1}\u{1f}\u{7f}/".utf8)
        case 4: return Array("grüße 🙂 \u{FFFD} \u{10FFFF}".utf8)
        case 5: return [[0xED, 0xA0, 0x80], [0xC0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0xFF]][below(5)]
        case 6: return Array(repeating: UInt8(ascii: "x"), count: below(300))
        default: return Array("value-\(below(100))".utf8)
        }
    }

    mutating func key() -> [UInt8] {
        let names = ["double", "bytes", "kvlist", "column", "a", "b", "gen_ai.request.model", ""]
        return below(3) == 0 ? text() : Array(names[below(names.count)].utf8)
    }

    mutating func double() -> Double {
        let special: [Double] = [
            0, -0.0, 1, -1, 0.1, 1e22, 1e300, -1.7976931348623157e308, .leastNonzeroMagnitude, .leastNormalMagnitude, .nan, .infinity,
            -.infinity,
            9_007_199_254_740_992, 1e15, 123456789012345680, 1e-7, 0.3,
        ]
        return below(2) == 0 ? special[below(special.count)] : Double(bitPattern: next())
    }

    mutating func value(depth: Int = 0) -> ModelValue {
        switch below(depth < 4 ? 9 : 7) {
        case 0: return .absent
        case 1: return .bool(below(2) == 0)
        case 2: return .int([0, -1, .max, .min, Int64(bitPattern: next())][below(5)])
        case 3: return .double(double())
        case 4: return .bytes(rawBytes(below(10)))
        case 5, 6: return .string(text())
        case 7: return .array(list(4) { $0.value(depth: depth + 1) })
        default: return .kvlist(attributes(depth: depth + 1))
        }
    }

    mutating func attributes(depth: Int = 0) -> [ModelAttribute] {
        list(5) { random in
            let key = random.key()
            return ModelAttribute(key, random.value(depth: depth))
        }
    }

    mutating func span() -> ModelSpan {
        let times = [0, 1, Model.noon, Model.noon + 1, .max, next()]
        return ModelSpan(
            traceID: [1] + rawBytes(15), spanID: [1] + rawBytes(7), parentSpanID: below(2) == 0 ? [] : [1] + rawBytes(7),
            traceState: text(), name: text(), kind: Int32(below(8)), start: times[below(6)], end: times[below(6)],
            attributes: attributes(), droppedAttributes: UInt32(truncatingIfNeeded: next()),
            events: list(3) { random in
                ModelEvent(time: random.next(), name: random.text(), attributes: random.attributes(), dropped: UInt32(random.below(9)))
            },
            droppedEvents: UInt32(below(5)),
            links: list(3) { random in
                ModelLink(
                    traceID: random.rawBytes(random.below(20)), spanID: random.rawBytes(random.below(9)), traceState: random.text(),
                    attributes: random.attributes(), dropped: UInt32(random.below(9)), flags: UInt32(truncatingIfNeeded: random.next()))
            },
            droppedLinks: UInt32(below(5)), statusCode: Int32(below(4)), statusMessage: text(), flags: UInt32(truncatingIfNeeded: next()))
    }
}
