@testable import OTLPWire

/// Valid export requests with everything that OTLP allows, encoded; made from a seed.
struct RandomRequest {
    private var random: SeededRandom

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
    }

    private mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &random) == 0 }

    private mutating func repeated(upTo count: Int, _ make: (inout RandomRequest) -> Fields) -> Fields {
        (0..<Int.random(in: 0...count, using: &random)).flatMap { _ in make(&self) }
    }

    mutating func request() -> Fields {
        repeated(upTo: 3) { $0.resourceSpans() }
    }

    private mutating func resourceSpans() -> Fields {
        var resource = attributes(field: 1) + dropped(2)
        if chance(3) {
            let keys = repeated(upTo: 3) { Wire.text(3, $0.text()) } + repeated(upTo: 2) { Wire.text(4, $0.text()) }
            resource += Wire.bytes(3, Wire.text(1, text()) + Wire.text(2, text()) + keys)
        }
        let schema = chance(2) ? Wire.text(3, text()) : []
        return Wire.bytes(1, (chance(5) ? [] : Wire.bytes(1, resource)) + schema + repeated(upTo: 3) { $0.scopeSpans() })
    }

    private mutating func scopeSpans() -> Fields {
        let scope = Wire.bytes(1, Wire.text(1, text()) + Wire.text(2, text()) + attributes(field: 3) + dropped(4))
        let schema = chance(2) ? Wire.text(3, text()) : []
        return Wire.bytes(2, (chance(5) ? [] : scope) + repeated(upTo: 4) { Wire.bytes(2, $0.span()) } + schema)
    }

    private mutating func span() -> Fields {
        var span = Wire.bytes(1, bytes(16)) + Wire.bytes(2, bytes(8)) + Wire.text(3, text()) + Wire.text(5, text())
        if chance(2) { span += Wire.bytes(4, bytes(8)) }
        span += Wire.number(6, UInt64(Int.random(in: 0...6, using: &random)))
        span += Wire.fixed64(7, random.next()) + Wire.fixed64(8, random.next()) + attributes(field: 9) + dropped(10)
        span += repeated(upTo: 3) { Wire.bytes(11, $0.event()) } + dropped(12)
        span += repeated(upTo: 3) { Wire.bytes(13, $0.link()) } + dropped(14)
        if chance(2) { span += Wire.bytes(15, Wire.text(2, text()) + Wire.number(3, UInt64(Int.random(in: 0...2, using: &random)))) }
        return span + Wire.fixed32(16, UInt32(truncatingIfNeeded: random.next()))
    }

    private mutating func event() -> Fields {
        Wire.fixed64(1, random.next()) + Wire.text(2, text()) + attributes(field: 3) + dropped(4)
    }

    private mutating func link() -> Fields {
        Wire.bytes(1, bytes(chance(4) ? 3 : 16)) + Wire.bytes(2, bytes(8)) + Wire.text(3, text()) + attributes(field: 4) + dropped(5)
            + Wire.fixed32(6, UInt32(truncatingIfNeeded: random.next()))
    }

    private mutating func dropped(_ field: UInt32) -> Fields {
        chance(3) ? Wire.number(field, random.next() & 0xFFFF_FFFF) : []
    }

    private mutating func attributes(field: UInt32) -> Fields {
        repeated(upTo: 5) { Wire.bytes(field, $0.attribute(depth: 0)) }
    }

    private mutating func attribute(depth: Int) -> Fields {
        Wire.attribute(text(), value: value(depth: depth))
    }

    private mutating func value(depth: Int) -> Fields {
        switch Int.random(in: 0..<(depth > 3 ? 6 : 9), using: &random) {
        case 0: []
        case 1: Wire.number(2, random.next() & 1)
        case 2: Wire.number(3, chance(2) ? random.next() : UInt64(Int.random(in: 0...1_000, using: &random)))
        case 3: Wire.fixed64(4, double().bitPattern)
        case 4: Wire.bytes(7, bytes(Int.random(in: 0...40, using: &random)))
        case 5, 6: Wire.text(1, text())
        case 7: Wire.bytes(5, repeated(upTo: 4) { Wire.bytes(1, $0.value(depth: depth + 1)) })
        default: Wire.bytes(6, repeated(upTo: 4) { Wire.bytes(1, $0.attribute(depth: depth + 1)) })
        }
    }

    private mutating func double() -> Double {
        let special: [Double] = [0, -0.0, .infinity, -.infinity, .nan, 1, 0.1, -2.5, .leastNonzeroMagnitude, 1e300]
        return chance(2) ? special[Int.random(in: 0..<special.count, using: &random)] : Double(bitPattern: random.next())
    }

    private mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 1...255, using: &random) }
    }

    /// Valid UTF-8 of all lengths, with everything that JSON escapes.
    private mutating func text() -> String {
        let pieces = [
            "", "a", "name", "\"", "\\", "/", "\u{0}", "\n", "\u{1F}", "\u{7F}", "é", "\u{FFFD}", "你好", "😀",
            "\\u0041", "-0,", "\u{2028}",
        ]
        var text = ""
        for _ in 0..<Int.random(in: 0...(chance(10) ? 100 : 5), using: &random) {
            text += pieces[Int.random(in: 0..<pieces.count, using: &random)]
        }
        return text
    }
}
