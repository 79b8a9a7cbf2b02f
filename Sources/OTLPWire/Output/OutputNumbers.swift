import Glibc

/// Numbers as text. Doubles are written with the fewest digits that read back as the same value.
extension OutputBuffer {
    /// "00" to "99": two digits per division.
    private static var digitPairs: StaticString {
        """
        0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
        5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899
        """
    }

    /// Decimal digits of the largest UInt64.
    private static let digitsMax = 20

    @inline(__always)
    public mutating func appendDecimal(_ value: Int64) {
        if value < 0 { append(UInt8(ascii: "-")) }
        appendDecimal(value.magnitude)
    }

    public mutating func appendDecimal(_ value: UInt64) {
        append(upTo: Self.digitsMax) { Self.write(value, digits: Self.digitCount(value), to: $0) }
    }

    /// A JSON number or PostgreSQL literal: always a fraction, never an exponent (`1.0`, `0.00001`). `value` must be finite.
    /// The longest, near the smallest and largest doubles, have about 330 characters.
    public mutating func appendPlainDouble(_ value: Double) {
        precondition(value.isFinite)
        if appendShortDouble(value) { return }
        appendExpanded(value.description)
    }

    /// A double in this project's jsonb columns: `appendPlainDouble`, and as tagged objects what jsonb cannot hold
    /// (`{"double": "NaN"}`, and likewise `-0`, `Infinity`, `-Infinity`). Contract: database documentation, "values in jsonb".
    public mutating func appendTaggedDouble(_ value: Double) {
        if value.isFinite {
            if value == 0, value.sign == .minus {
                append(#"{"double": "-0"}"#)
            } else {
                appendPlainDouble(value)
            }
        } else if value.isNaN {
            append(#"{"double": "NaN"}"#)
        } else {
            append(value > 0 ? #"{"double": "Infinity"}"# : #"{"double": "-Infinity"}"#)
        }
    }

    /// A double in protobuf's JSON: a number, perhaps with an exponent, or one of the strings "NaN", "Infinity", "-Infinity".
    public mutating func appendProtobufJSONDouble(_ value: Double) {
        if value.isFinite {
            if !appendShortDouble(value) { append(value.description) }
        } else if value.isNaN {
            append(#""NaN""#)
        } else {
            append(value > 0 ? #""Infinity""# : #""-Infinity""#)
        }
    }

    /// Whole numbers and short decimals, which is nearly all that telemetry has, without the general algorithm: 15 digits name
    /// at most one double each, so the first number of decimals that reads back as `value` is the shortest form.
    private mutating func appendShortDouble(_ value: Double) -> Bool {
        let digitsLimit = 1e15
        let decimalsMax = 9
        let magnitude = value.magnitude
        guard magnitude < digitsLimit else { return false }
        var scale = 1.0
        for decimals in 0...decimalsMax {
            let scaled = magnitude * scale + 0.5
            guard scaled < digitsLimit else { return false }
            let digits = UInt64(scaled)
            if Double(digits) / scale == magnitude {
                if value.sign == .minus { append(UInt8(ascii: "-")) }
                appendFixed(digits, decimals: decimals)
                return true
            }
            scale *= 10
        }
        return false
    }

    /// `digits` with a point before the last `decimals` of them; ".0" when there are none.
    private mutating func appendFixed(_ digits: UInt64, decimals: Int) {
        let digitCount = Self.digitCount(digits)
        guard decimals > 0 else {
            append(upTo: Self.digitsMax) { Self.write(digits, digits: digitCount, to: $0) }
            append(".0")
            return
        }
        append(upTo: Self.digitsMax + 2) { target in
            // Written as a whole number with leading zeros; then what stands before the point moves one to the left.
            let total = max(digitCount, decimals + 1)
            memset(target, Int32(UInt8(ascii: "0")), total + 1)
            _ = Self.write(digits, digits: digitCount, to: target + 1 + total - digitCount)
            memmove(target, target + 1, total - decimals)
            target.storeBytes(of: UInt8(ascii: "."), toByteOffset: total - decimals, as: UInt8.self)
            return total + 1
        }
    }

    /// Rewrites Swift's `[-]d.ddd[e±dd]` without the exponent.
    private mutating func appendExpanded(_ description: String) {
        var digits = OutputBuffer(capacity: 32)
        var pointAfter: Int?
        var exponent = 0
        var isExponentNegative = false
        var isInExponent = false
        for byte in description.utf8 {
            switch byte {
            case UInt8(ascii: "."): pointAfter = digits.count
            case UInt8(ascii: "e"): isInExponent = true
            case UInt8(ascii: "-") where isInExponent: isExponentNegative = true
            case UInt8(ascii: "-"): append(byte)
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if isInExponent { exponent = exponent * 10 + Int(byte - UInt8(ascii: "0")) } else { digits.append(byte) }
            default: break
            }
        }
        let point = (pointAfter ?? digits.count) + (isExponentNegative ? -exponent : exponent)
        appendZeros(point <= 0 ? 1 : 0)
        digits.withBytes { digits in
            let whole = min(max(point, 0), digits.count)
            append(WireBytes(rebasing: digits[..<whole]))
            appendZeros(point - whole)
            append(UInt8(ascii: "."))
            appendZeros(-point)
            append(WireBytes(rebasing: digits[whole...]))
            appendZeros(whole == digits.count ? 1 : 0)
        }
    }

    private mutating func appendZeros(_ count: Int) {
        for _ in 0..<max(count, 0) { append(UInt8(ascii: "0")) }
    }

    @inline(__always)
    private static func digitCount(_ value: UInt64) -> Int {
        var rest = value
        var digits = 1
        while rest >= 10_000 {
            rest /= 10_000
            digits += 4
        }
        return digits + (rest >= 10 ? 1 : 0) + (rest >= 100 ? 1 : 0) + (rest >= 1_000 ? 1 : 0)
    }

    /// Writes `value`, which has `digits` digits, and returns `digits`.
    @inline(__always)
    private static func write(_ value: UInt64, digits: Int, to target: UnsafeMutableRawPointer) -> Int {
        let pairs = UnsafeRawPointer(digitPairs.utf8Start)
        var rest = value
        var position = digits
        while rest >= 100 {
            let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: 100)
            position -= 2
            let pair = pairs.loadUnaligned(fromByteOffset: 2 * Int(remainder), as: UInt16.self)
            target.storeBytes(of: pair, toByteOffset: position, as: UInt16.self)
            rest = quotient
        }
        if rest >= 10 {
            target.storeBytes(of: pairs.loadUnaligned(fromByteOffset: 2 * Int(rest), as: UInt16.self), as: UInt16.self)
        } else {
            target.storeBytes(of: UInt8(ascii: "0") + UInt8(rest), as: UInt8.self)
        }
        return digits
    }
}
