import OTLPWire

/// Times as text: `2026-01-31 23:59:59.123456`, UTC, always with six decimals.
///
/// SQLite's own format, so its date functions read it and `ts > datetime('now', '-1 hour')` means what it says; of fixed width,
/// so text order is time order, also against a prefix (`ts >= '2026-01-31'`).
enum TimestampText {
    static let byteCount = 26

    /// Appends Unix `microseconds`, the years 0 to 9999.
    @inline(__always)
    static func append(microseconds: Int64, to output: inout OutputBuffer) {
        let (secondsDown, fraction) = flooredDivision(microseconds, 1_000_000)
        let (days, second) = flooredDivision(secondsDown, 86_400)
        let date = civil(daysSinceEpoch: days)
        appendDigits(date.year / 100, to: &output)
        appendDigits(date.year % 100, to: &output)
        output.append(UInt8(ascii: "-"))
        appendDigits(date.month, to: &output)
        output.append(UInt8(ascii: "-"))
        appendDigits(date.day, to: &output)
        output.append(UInt8(ascii: " "))
        appendDigits(second / 3_600, to: &output)
        output.append(UInt8(ascii: ":"))
        appendDigits(second / 60 % 60, to: &output)
        output.append(UInt8(ascii: ":"))
        appendDigits(second % 60, to: &output)
        output.append(UInt8(ascii: "."))
        appendDigits(fraction / 10_000, to: &output)
        appendDigits(fraction / 100 % 100, to: &output)
        appendDigits(fraction % 100, to: &output)
    }

    static func bytes(microseconds: Int64) -> [UInt8] {
        var output = OutputBuffer()
        append(microseconds: microseconds, to: &output)
        return output.withBytes { Array($0) }
    }

    @inline(__always)
    private static func appendDigits(_ twoDigits: Int64, to output: inout OutputBuffer) {
        output.append(UInt8(truncatingIfNeeded: 48 + twoDigits / 10 % 10))
        output.append(UInt8(truncatingIfNeeded: 48 + twoDigits % 10))
    }

    @inline(__always)
    private static func flooredDivision(_ value: Int64, _ divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    /// Gregorian date of a day number. Years are counted from March, in which the lengths of the months repeat every five
    /// (153 days) and the leap day comes last; eras of 400 years (146,097 days) are alike.
    @inline(__always)
    private static func civil(daysSinceEpoch days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        /// From 0000-03-01 to 1970-01-01.
        let shifted = days + 719_468
        let (era, dayOfEra) = flooredDivision(shifted, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, day)
    }
}
