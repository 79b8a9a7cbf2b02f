import Glibc
import Logging

/// How log lines look.
public enum LogEncoding: String, CaseIterable, Sendable {
    /// Time, level, logger, message, `key=value` pairs, parted by tabs, as the Go collector prints to a terminal.
    case console
    /// One JSON object per line with the Go collector's keys `level`, `ts`, `logger`, `msg`.
    case json
}

/// One event on its way to a line. Pure: the time is passed in.
struct LogLine {
    var time: timespec
    var level: Logger.Level
    var logger: String
    var message: String
    /// Sorted by key.
    var fields: [(key: String, value: String)]

    static func now() -> timespec {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time
    }

    func text(_ encoding: LogEncoding) -> String {
        switch encoding {
        case .console: consoleText
        case .json: jsonText
        }
    }

    private var consoleText: String {
        var out = "\(Self.timestamp(time))\t\(Self.name(of: level))\t\(Self.visible(logger))\t\(Self.visible(message))"
        for (index, field) in fields.enumerated() {
            out += "\(index == 0 ? "\t" : " ")\(Self.visible(field.key))=\(Self.quotedIfNeeded(field.value))"
        }
        return out
    }

    private var jsonText: String {
        var out = "{\"level\":\"\(Self.name(of: level))\",\"ts\":\"\(Self.timestamp(time))\""
        out += ",\"logger\":\(JSONText.quoted(logger)),\"msg\":\(JSONText.quoted(message))"
        for field in fields { out += ",\(JSONText.quoted(field.key)):\(JSONText.quoted(field.value))" }
        return out + "}"
    }

    /// The Go collector's four levels.
    static func name(of level: Logger.Level) -> String {
        switch level {
        case .trace, .debug: "debug"
        case .info, .notice: "info"
        case .warning: "warn"
        case .error, .critical: "error"
        }
    }

    /// RFC 3339 in UTC with milliseconds.
    static func timestamp(_ time: timespec) -> String {
        var seconds = time.tv_sec
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func digits(_ value: Int, _ width: Int) -> String {
            let text = "\(value)"
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        let date = "\(digits(Int(parts.tm_year) + 1900, 4))-\(digits(Int(parts.tm_mon) + 1, 2))-\(digits(Int(parts.tm_mday), 2))"
        let clock = "\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):\(digits(Int(parts.tm_sec), 2))"
        return "\(date)T\(clock).\(digits(time.tv_nsec / 1_000_000, 3))Z"
    }

    private static func quotedIfNeeded(_ text: String) -> String {
        let plain = !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "=") }
        return plain ? visible(text) : JSONText.quoted(text)
    }

    /// Control characters escaped, so that no text can begin a line of its own or drive a terminal.
    private static func visible(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: JSONText.isControl) else { return text }
        var out = ""
        for scalar in text.unicodeScalars {
            if JSONText.isControl(scalar) { out += JSONText.escape(scalar) } else { out.unicodeScalars.append(scalar) }
        }
        return out
    }
}
