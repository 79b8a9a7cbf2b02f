/// Durations as the Go collector writes them: `200ms`, `5s`, `1m30s`, `1.5h`, and a bare `0`.
enum DurationText {
    /// Nanoseconds per unit, longest name first so that `ms` is not read as `m`.
    private static let units: [(name: String, nanoseconds: Int64)] = [
        ("ns", 1), ("us", 1_000), ("µs", 1_000), ("μs", 1_000), ("ms", 1_000_000),
        ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]
    /// Digits after the point that are read: a nanosecond of an hour needs 13.
    private static let fractionDigitsMax = 13

    /// Nil when the text is no duration, is negative, or exceeds 2^63 nanoseconds (292 years, Go's range).
    static func parse(_ text: String) -> Duration? {
        if text == "0" { return .zero }
        var rest = text[...]
        var total: Int64 = 0
        repeat {
            guard let part = parsePart(&rest) else { return nil }
            let (sum, overflow) = total.addingReportingOverflow(part)
            if overflow { return nil }
            total = sum
        } while !rest.isEmpty
        return .nanoseconds(total)
    }

    /// One number with its unit, in nanoseconds.
    private static func parsePart(_ rest: inout Substring) -> Int64? {
        func digits() -> Substring {
            let run = rest.prefix { "0" <= $0 && $0 <= "9" && $0.isASCII }
            rest = rest.dropFirst(run.count)
            return run
        }
        let whole = digits()
        var fraction: Substring = ""
        if rest.first == "." {
            rest = rest.dropFirst()
            fraction = digits()
        }
        guard !(whole.isEmpty && fraction.isEmpty) else { return nil }
        guard let unit = units.first(where: { rest.hasPrefix($0.name) }) else { return nil }
        rest = rest.dropFirst(unit.name.count)

        guard let count = whole.isEmpty ? 0 : Int64(whole) else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit.nanoseconds)
        guard !overflow else { return nil }
        let kept = fraction.prefix(fractionDigitsMax)
        var scale = 1.0
        for _ in kept { scale *= 10 }
        let part = kept.isEmpty ? 0 : ((Double(kept) ?? 0) / scale * Double(unit.nanoseconds)).rounded()
        let (sum, sumOverflow) = product.addingReportingOverflow(Int64(part))
        return sumOverflow ? nil : sum
    }

    /// The shortest form that reads back as the same duration: `1m30s`, `200ms`.
    static func format(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        guard seconds != 0 || attoseconds != 0 else { return "0s" }
        var out = ""
        if seconds >= 3600 { out += "\(seconds / 3600)h" }
        if seconds % 3600 >= 60 { out += "\(seconds % 3600 / 60)m" }
        if seconds % 60 > 0 { out += "\(seconds % 60)s" }
        var nanoseconds = attoseconds / 1_000_000_000
        for (name, size) in [("ms", Int64(1_000_000)), ("us", 1_000), ("ns", 1)] where nanoseconds >= size {
            out += "\(nanoseconds / size)\(name)"
            nanoseconds %= size
        }
        return out
    }
}

extension Duration {
    /// As the configuration writes it: `1m30s`.
    public var configurationText: String { DurationText.format(self) }
}
