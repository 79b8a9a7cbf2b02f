import OTLPWire

/// RFC 3339 times, as Langfuse sends them inside JSON quotes.
enum TimeText {
    /// Nanoseconds since 1970; nil for anything else and for times before it.
    static func unixNano(_ text: WireBytes) -> UInt64? {
        var text = text
        if text.count >= 2, text[0] == UInt8(ascii: "\""), text[text.count - 1] == UInt8(ascii: "\"") {
            text = WireBytes(rebasing: text[1..<text.count - 1])
        }
        var reader = Reader(text: text)
        guard let year = reader.digits(4), reader.take("-"), let month = reader.digits(2), reader.take("-"), let day = reader.digits(2),
            reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.digits(2), reader.take(":"), let minute = reader.digits(2), reader.take(":"), let second = reader.digits(2),
            (1970...2500).contains(year), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        let nano = reader.fraction()
        guard let offset = reader.offsetSeconds(), reader.isAtEnd else { return nil }
        let seconds = daysSince1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset
        return seconds >= 0 ? UInt64(seconds) * 1_000_000_000 + UInt64(nano) : nil
    }

    /// Gregorian calendar, by counting years from March on, so that the leap day comes last.
    private static func daysSince1970(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month > 2 ? year : year - 1
        let monthFromMarch = (month + 9) % 12
        let leapDays = shifted / 4 - shifted / 100 + shifted / 400
        // 719,468 days from 0000-03-01 to 1970-01-01.
        return shifted * 365 + leapDays + (monthFromMarch * 153 + 2) / 5 + day - 1 - 719_468
    }

    private struct Reader {
        let text: WireBytes
        var position = 0

        var isAtEnd: Bool { position == text.count }

        mutating func digits(_ count: Int) -> Int? {
            guard position + count <= text.count else { return nil }
            var value = 0
            for byte in text[position..<position + count] {
                guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
                value = value * 10 + Int(byte - UInt8(ascii: "0"))
            }
            position += count
            return value
        }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard position < text.count, text[position] == UInt8(ascii: character) else { return false }
            position += 1
            return true
        }

        /// Nanoseconds; digits after the ninth are passed over.
        mutating func fraction() -> Int {
            guard take(".") else { return 0 }
            var nano = 0
            var places = 0
            while let digit = digits(1) {
                if places < 9 { nano = nano * 10 + digit }
                places += 1
            }
            while places < 9 {
                nano *= 10
                places += 1
            }
            return nano
        }

        /// `Z`, `+hh:mm`, or nothing for UTC.
        mutating func offsetSeconds() -> Int? {
            if isAtEnd || take("Z") || take("z") { return 0 }
            let isNegative = take("-")
            guard isNegative || take("+"), let hours = digits(2) else { return nil }
            _ = take(":")
            guard let minutes = isAtEnd ? 0 : digits(2) else { return nil }
            return (hours * 3_600 + minutes * 60) * (isNegative ? -1 : 1)
        }
    }
}
