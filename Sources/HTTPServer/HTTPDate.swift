import Glibc

/// The `date` header's value (RFC 9110, section 6.6.1), formatted once per second at most.
struct HTTPDate {
    /// `Sun, 06 Nov 1994 08:49:37 GMT`, ASCII.
    private(set) var text: ContiguousArray<UInt8>
    private var second: time_t

    init() {
        second = time(nil)
        text = Self.format(second)
    }

    /// Formats a given second since 1970.
    init(second: Int) {
        self.second = second
        text = Self.format(second)
    }

    mutating func refresh() {
        let now = time(nil)
        guard now != second else { return }
        second = now
        text = Self.format(now)
    }

    private static func format(_ second: time_t) -> ContiguousArray<UInt8> {
        var second = second
        var parts = tm()
        gmtime_r(&second, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let day = "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(1900 + Int(parts.tm_year))"
        return ContiguousArray("\(day) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT".utf8)
    }
}
