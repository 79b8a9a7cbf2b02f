/// The 56 random bits that all samplers of a trace share: the explicit `rv` of its tracestate, or the low 56 bits of the trace id.
/// Specification: OpenTelemetry, "TraceState: Probability Sampling".
public struct Randomness: Hashable, Sendable, BitwiseCopyable, Comparable {
    /// Number of values; R is below it.
    static let range: UInt64 = 1 << 56

    /// 0 ..< 2^56.
    public let value: UInt64

    public init(_ value: UInt64) {
        self.value = value & (Self.range - 1)
    }

    public static func < (left: Randomness, right: Randomness) -> Bool { left.value < right.value }
}

/// A rejection threshold T: a trace is kept when its randomness R >= T, so with probability (2^56 - T) / 2^56.
public struct SamplingThreshold: Hashable, Sendable, BitwiseCopyable, Comparable {
    /// Keeps everything.
    public static let always = SamplingThreshold(0)
    /// Keeps nothing; written as no `th` at all.
    public static let never = SamplingThreshold(Randomness.range)

    /// 0 ... 2^56; the last keeps nothing.
    public let value: UInt64

    public init(_ value: UInt64) {
        self.value = min(value, Randomness.range)
    }

    public static func < (left: SamplingThreshold, right: SamplingThreshold) -> Bool { left.value < right.value }

    public func keeps(_ randomness: Randomness) -> Bool { randomness.value >= value }

    /// 0 ... 1.
    public var probability: Double { Double(Randomness.range - value) / Double(Randomness.range) }

    /// 1 / probability; 0 for `never`, which no kept span has.
    public var adjustedCount: Double { value == Randomness.range ? 0 : 1 / probability }

    /// Hexadecimal digits of a threshold at full precision.
    public static let digitsMax = 14
    /// The smallest probability that can be told: 2^-56.
    public static let probabilityMin = 0x1p-56

    /// The threshold that keeps with `probability`, rounded so that it can be written in few digits.
    ///
    /// - Parameters:
    ///   - probability: clamped to `probabilityMin` ... 1.
    ///   - precision: hexadecimal digits, 1 ... 14, that say something about the value: leading `f` (a small probability) and `0`
    ///     (one close to 1) are not counted.
    public init(probability: Double, precision: Int) {
        let clamped = min(max(probability, Self.probabilityMin), 1)
        guard clamped < 1 else {
            self = .always
            return
        }
        // 2^56 - p x 2^56 rounded; exact in Double as long as p has no more than 53 significant bits.
        let kept = (clamped * Double(Randomness.range)).rounded(.toNearestOrAwayFromZero)
        let exact = Randomness.range - min(UInt64(kept), Randomness.range)
        let leading = max(Self.leadingDigits(clamped), Self.leadingDigits(1 - clamped))
        let digits = min(max(precision, 1) + leading, Self.digitsMax)
        guard digits < Self.digitsMax else {
            self = SamplingThreshold(exact)
            return
        }
        let shift = UInt64(4 * (Self.digitsMax - digits))
        let rounded = ((exact + (1 << (shift - 1))) >> shift) << shift
        self = SamplingThreshold(min(rounded, Randomness.range - (1 << shift)))
    }

    /// How many of the threshold's first digits are `f` (for a small probability) or `0` (for a small rejection rate): one per
    /// factor of 16.
    private static func leadingDigits(_ rate: Double) -> Int {
        max(0, Int(-(rate.exponent + 1)) / 4)
    }

    // MARK: The text of `th` and `rv`

    /// The value of `th` without trailing zeros, "0" for `always`; nil for `never`.
    public var text: String? {
        guard value < Randomness.range else { return nil }
        guard value > 0 else { return "0" }
        var digits = value
        var count = Self.digitsMax
        while digits & 0xF == 0 {
            digits >>= 4
            count -= 1
        }
        let text = String(digits, radix: 16)
        return String(repeating: "0", count: count - text.count) + text
    }

    /// Reads 1 ... 14 hexadecimal digits; missing ones are zeros at the end. Nil for anything else.
    init?(text: some Sequence<UInt8>) {
        var value: UInt64 = 0
        var count = 0
        for byte in text {
            guard let digit = hexDigit(byte), count < Self.digitsMax else { return nil }
            value = value << 4 | digit
            count += 1
        }
        guard count > 0 else { return nil }
        self = SamplingThreshold(value << UInt64(4 * (Self.digitsMax - count)))
    }
}

extension Randomness {
    /// Reads exactly 14 hexadecimal digits.
    init?(text: some Sequence<UInt8>) {
        var value: UInt64 = 0
        var count = 0
        for byte in text {
            guard let digit = hexDigit(byte), count < SamplingThreshold.digitsMax else { return nil }
            value = value << 4 | digit
            count += 1
        }
        guard count == SamplingThreshold.digitsMax else { return nil }
        self = Randomness(value)
    }

    /// The value of `rv`: 14 digits.
    var text: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: SamplingThreshold.digitsMax - digits.count) + digits
    }
}

/// Lower and upper case are read; lower case is written.
private func hexDigit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
}
