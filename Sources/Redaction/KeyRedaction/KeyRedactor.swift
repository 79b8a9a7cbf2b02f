import Crypto
import OTLPWire
import Patterns

/// Redacts the attributes of one message after the other. Used by one thread at a time.
///
/// For each attribute, in this order: an ignored key stays; a key that is not allowed goes; an allowed value stays; a blocked key's
/// value is masked whole; of other values what the blocked patterns find is masked, one pattern after the other.
final class KeyRedactor {
    private let config: KeyRedactionConfig
    private let workspace = Digest.Workspace()
    let list = AttributeList()
    /// A value that is no text, as text.
    @exclusivity(unchecked) private var text = OutputBuffer()
    /// What was masked so far, and what is being written.
    @exclusivity(unchecked) private var masked = OutputBuffer()
    @exclusivity(unchecked) private var next = OutputBuffer()
    /// Keys by their fate, in the current message.
    @exclusivity(unchecked) private var fates = KeyFates()

    /// Attributes removed and masked since `reset`.
    private(set) var removedCount = 0
    private(set) var maskedCount = 0

    private static let mask: StaticString = "****"

    /// Whether nothing can happen to a value that is no text, which is treated as an empty one.
    private let passesOtherTypes: Bool

    init(_ config: KeyRedactionConfig) {
        self.config = config
        let nothing = WireBytes(start: nil, count: 0)
        passesOtherTypes =
            !config.redactsAllTypes && config.blockedKeyPatterns.patterns.isEmpty && config.blockedValues.findsNothing(in: nothing)
            && config.allowedValues.findsNothing(in: nothing)
    }

    func reset() {
        removedCount = 0
        maskedCount = 0
        list.shrink()
        fates.removeAll()
        text.removeAll(keepingCapacity: RedactionScratch.retainedBytesMax)
        masked.removeAll(keepingCapacity: RedactionScratch.retainedBytesMax)
        next.removeAll(keepingCapacity: RedactionScratch.retainedBytesMax)
    }

    /// Redacts fields number `field` of `message`. Nil, with nothing appended, when nothing changes; else what is to stand there
    /// instead is appended to `output`, and the number of attributes returned.
    func run(_ message: WireBytes, field: UInt32, into output: inout OutputBuffer) -> Int? {
        list.open(message, field: field)
        fates.removeAll()
        for index in list.entries.indices where list.isPresent(index) { redact(index) }
        removedCount += fates.redacted.count
        maskedCount += fates.masked.count
        if config.summary != .silent { fates.write(to: list, withKeys: config.summary == .debug) }
        return list.isChanged ? list.write(field, into: &output) : nil
    }

    private func redact(_ index: Int) {
        let key = list.entries[index].key
        if config.ignoredKeys.contains(key) || !config.ignoredKeyPatterns.findsNothing(in: key) {
            fates.ignored.append(key)
        } else if !config.allowsAllKeys, !config.allowedKeys.contains(key) {
            fates.redacted.append(key)
            list.remove(at: index)
        } else {
            switch AnyValueView(list.entries[index].value) {
            case .string(let text): redactValue(text, key, index)
            case let value:
                if passesOtherTypes { return }
                text.truncate(to: 0)
                if config.redactsAllTypes { text.appendText(of: value) }
                text.withBytes { redactValue($0, key, index) }
            }
        }
    }

    private func redactValue(_ text: WireBytes, _ key: WireBytes, _ index: Int) {
        if !config.allowedValues.findsNothing(in: text) { return fates.allowed.append(key) }
        if !config.blockedKeyPatterns.findsNothing(in: key) {
            maskLines(text)
        } else if config.blockedValues.findsNothing(in: text) || !maskMatches(text) {
            return
        }
        fates.masked.append(key)
        masked.withBytes { bytes in list.set(at: index) { $0.appendBytesField(OTLPField.AnyValue.string, bytes) } }
    }

    // MARK: Masking

    /// The Go collector masks a whole value with the pattern `.*`, which is each of its lines.
    private func maskLines(_ text: WireBytes) {
        masked.truncate(to: 0)
        var rest = text[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            appendMask(WireBytes(rebasing: rest[..<end]), to: &masked)
            masked.append(UInt8(ascii: "\n"))
            rest = rest[(end + 1)...]
        }
        appendMask(WireBytes(rebasing: rest), to: &masked)
    }

    private func appendMask(_ value: WireBytes, to output: inout OutputBuffer) {
        guard let digest = config.digest else { return output.append(Self.mask) }
        digest.withDigest(of: value, workspace) { output.appendHex($0) }
    }

    /// Masks in `text` what each pattern finds, the later ones in what the earlier ones left. False when it comes out the same.
    private func maskMatches(_ text: WireBytes) -> Bool {
        var isMasked = false
        for pattern in config.blockedValues.patterns {
            next.truncate(to: 0)
            let isFound =
                isMasked
                ? masked.withBytes { maskMatches(of: pattern, in: $0) } : maskMatches(of: pattern, in: text)
            guard isFound else { continue }
            isMasked = true
            swap(&masked, &next)
        }
        return isMasked && !masked.withBytes { $0.equals(text) }
    }

    /// Appends `text` to `next` with all matches masked; false, with nothing appended, when there is none. An empty match right after
    /// another match does not count, as in Go's `ReplaceAllStringFunc`.
    private func maskMatches(of pattern: Pattern, in text: WireBytes) -> Bool {
        var written = 0
        var position = 0
        var isFound = false
        while position <= text.count, let match = pattern.firstMatch(in: text, from: position) {
            next.append(WireBytes(rebasing: text[written..<match.lowerBound]))
            if match.upperBound > written || match.lowerBound == 0 {
                appendMask(WireBytes(rebasing: text[match]), to: &next)
                isFound = true
            }
            written = match.upperBound
            var following = position + 1
            while following < text.count, text[following] & 0xC0 == 0x80 { following += 1 }
            position = max(following, match.upperBound)
        }
        guard isFound else { return false }
        next.append(WireBytes(rebasing: text[written...]))
        return true
    }
}

/// The keys of one message by what became of their attributes, and the summary of them that the Go collector writes.
struct KeyFates {
    var redacted: [WireBytes] = []
    var masked: [WireBytes] = []
    var allowed: [WireBytes] = []
    var ignored: [WireBytes] = []

    mutating func removeAll() {
        redacted.removeAll(keepingCapacity: true)
        masked.removeAll(keepingCapacity: true)
        allowed.removeAll(keepingCapacity: true)
        ignored.removeAll(keepingCapacity: true)
    }

    /// Puts the counts in, and with them the keys; those of ignored attributes are never listed.
    func write(to list: AttributeList, withKeys: Bool) {
        Self.write(redacted, withKeys ? "redaction.redacted.keys" : nil, "redaction.redacted.count", list)
        Self.write(masked, withKeys ? "redaction.masked.keys" : nil, "redaction.masked.count", list)
        Self.write(allowed, withKeys ? "redaction.allowed.keys" : nil, "redaction.allowed.count", list)
        Self.write(ignored, nil, "redaction.ignored.count", list)
    }

    /// Adds to what an earlier processor has written.
    private static func write(_ keys: [WireBytes], _ keysName: StaticString?, _ countName: StaticString, _ list: AttributeList) {
        if keys.isEmpty { return }
        if let keysName {
            let name = WireBytes(start: keysName.utf8Start, count: keysName.utf8CodeUnitCount)
            var all = keys
            if let encoded = list.value(of: name), case .string(let before) = AnyValueView(encoded), !before.isEmpty {
                all += before.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { WireBytes(rebasing: $0) }
            }
            all.sort { $0.lexicographicallyPrecedes($1) }
            list.put(
                name,
                list.made { output in
                    output.appendMessage(OTLPField.AnyValue.string) { text in
                        for (number, key) in all.enumerated() {
                            if number > 0 { text.append(UInt8(ascii: ",")) }
                            text.append(key)
                        }
                    }
                })
        }
        let name = WireBytes(start: countName.utf8Start, count: countName.utf8CodeUnitCount)
        var total = Int64(keys.count)
        if let encoded = list.value(of: name), case .int(let before) = AnyValueView(encoded) { total &+= before }
        list.put(name, list.made { $0.appendAnyValue(int: total) })
    }
}
