import Crypto
import OTLPWire

/// Finds sensitive values in texts and says what is to stand in their place: the same for the same text and settings.
///
/// Immutable, so one serves all threads; what changes is in a `RedactionScratch`. JSON held in a text stays JSON: only what is
/// inside its values is rewritten, escapes are understood, and strings that hold JSON again are taken apart the same way.
public final class TextRedactor: Sendable {
    /// Names of the kinds that edits refer to by index: the built-in ones, then the user's.
    public let kindNames: [String]
    let enabled: KindSet
    /// By index of `kindNames`.
    let strategies: [Strategy]
    private let customs: [CustomDetector]
    private let hasCustoms: Bool
    private let allow: AllowList
    private let key: KeyedHash
    private let keyForms = KeyForms.shared
    /// Index of `field` among the kinds: values that are sensitive for where they stand.
    public let fieldKind: Int

    /// Nothing shorter is looked for: `a@b.co`.
    private static let valueBytesMin = 6

    /// A hash is this and then hexadecimal digits.
    static let hashPrefix: StaticString = "sha256:"
    static let hashDigits = 16

    /// JSON in JSON: agents' tool calls reach three.
    static let nestedJSONMax = 8

    /// - Parameters:
    ///   - strategies: by kind where it differs from `strategy`. Credentials are always replaced.
    ///   - key: of the hashes.
    public init(
        detect: KindSet, customs: [CustomDetector] = [], strategy: Strategy, strategies: [Kind: Strategy] = [:],
        allow: AllowList = AllowList([]), key: KeyedHash
    ) {
        enabled = detect
        self.customs = customs
        hasCustoms = !customs.isEmpty
        self.allow = allow
        self.key = key
        let builtIn = Kind.allCases.map { $0.isCredential ? .replace : strategies[$0] ?? strategy }
        self.strategies = builtIn + customs.map(\.strategy) + [strategy]
        kindNames = Kind.allCases.map(\.rawValue) + customs.map(\.name) + ["field"]
        fieldKind = kindNames.count - 1
    }

    /// Searches `text`; what was found is in `scratch`, and whether there is something is the result.
    /// - Parameter name: of what `text` is the value, such as an attribute's key: a context for numbers that need one.
    public func search(_ text: WireBytes, name: WireBytes, _ scratch: RedactionScratch) -> Bool {
        scratch.begin()
        guard text.count >= Self.valueBytesMin || hasCustoms else { return false }
        collect(text, name: name, depth: 0, scratch)
        return !scratch.edits.isEmpty
    }

    /// Treats all of `text` as one sensitive value; false when it is on the allow list.
    public func take(_ text: WireBytes, strategy: Strategy, _ scratch: RedactionScratch) -> Bool {
        scratch.begin()
        add(text, 0, text.count, kind: fieldKind, strategy: strategy, isEmail: true, scratch)
        return !scratch.edits.isEmpty
    }

    /// Adds the edits for `text`, in its own offsets.
    /// - Parameter quietEnd: up to here nothing is to be found.
    @inline(__always)
    func collect(_ text: WireBytes, name: WireBytes, depth: Int, quietEnd: Int = 0, _ scratch: RedactionScratch) {
        if depth < Self.nestedJSONMax, JSONStrings.isPossible(text) {
            collectJSON(text, name: name, depth: depth, scratch)
        } else {
            collectPlain(text, name: name, quietEnd: quietEnd, scratch)
        }
    }

    @inline(never)
    private func collectJSON(_ text: WireBytes, name: WireBytes, depth: Int, _ scratch: RedactionScratch) {
        // The user's patterns may match anything.
        let suspicion = hasCustoms ? 0 : scanner(text, name).firstSuspicion()
        guard let suspicion else { return }
        let mark = scratch.edits.count
        let nestingMark = scratch.nesting.count
        var strings = JSONStrings(text, redactor: self, scratch: scratch, depth: depth, quietEnd: suspicion)
        if strings.collect() { return }
        // It only looked like JSON.
        scratch.edits.removeSubrange(mark...)
        scratch.nesting.removeSubrange(nestingMark...)
        collectPlain(text, name: name, scratch)
    }

    @inline(__always)
    private func scanner(_ text: WireBytes, _ name: WireBytes) -> Scanner {
        Scanner(Text(text), name: Text(name), enabled: enabled, keys: keyForms)
    }

    @inline(__always)
    private func collectPlain(_ text: WireBytes, name: WireBytes, quietEnd: Int = 0, _ scratch: RedactionScratch) {
        var anchors = AnchorPass()
        if anchors.start(in: Text(text), quietEnd: quietEnd) || hasCustoms { collectMatches(&anchors, text, name, scratch) }
    }

    @inline(never)
    private func collectMatches(_ anchors: inout AnchorPass, _ text: WireBytes, _ name: WireBytes, _ scratch: RedactionScratch) {
        let mark = scratch.edits.count
        var scanner = scanner(text, name)
        scanner.scan(&anchors) { match in
            let index = match.kind.index
            add(text, match.start, match.end, kind: index, strategy: strategies[index], isEmail: match.kind == .email, scratch)
        }
        if hasCustoms { collectCustoms(text, from: mark, scratch) }
    }

    /// The whole of a JSON number; its replacement is a JSON string.
    func collectNumber(_ text: WireBytes, name: WireBytes, at offset: Int, _ scratch: RedactionScratch) {
        let mark = scratch.edits.count
        collectPlain(text, name: name, scratch)
        guard scratch.edits.count == mark + 1, scratch.edits[mark].start == 0, scratch.edits[mark].end == text.count else {
            scratch.edits.removeSubrange(mark...)
            return
        }
        let value = scratch.edits[mark]
        let start = scratch.replacements.count
        if value.isRemoval {
            scratch.replacements.append("null")
        } else {
            scratch.replacements.append(UInt8(ascii: "\""))
            scratch.appendCopy(value.replacement, value.replacementBytes)
            scratch.replacements.append(UInt8(ascii: "\""))
        }
        scratch.edits[mark].replacement = start
        scratch.edits[mark].replacementBytes = scratch.replacements.count - start
        scratch.edits[mark].start = offset
        scratch.edits[mark].end = offset + text.count
    }

    /// Matches of the user's patterns, where the built-in detectors have found nothing.
    private func collectCustoms(_ text: WireBytes, from mark: Int, _ scratch: RedactionScratch) {
        for (number, custom) in customs.enumerated() {
            let builtInCount = scratch.edits.count
            var position = 0
            while position < text.count, let match = custom.pattern.firstMatch(in: text, from: position) {
                // An empty match redacts nothing, and must not be found for ever.
                position = max(match.upperBound, match.lowerBound + 1)
                guard !match.isEmpty, !overlaps(match, scratch.edits[mark..<builtInCount]) else { continue }
                add(
                    text, match.lowerBound, match.upperBound, kind: Kind.allCases.count + number, strategy: custom.strategy, isEmail: false,
                    scratch)
            }
            if scratch.edits.count > builtInCount { scratch.edits[mark...].sort { $0.start < $1.start } }
        }
    }

    private func overlaps(_ match: Range<Int>, _ edits: ArraySlice<RedactionScratch.Edit>) -> Bool {
        var low = edits.startIndex
        var high = edits.endIndex
        // The first edit that ends after the match starts.
        while low < high {
            let middle = (low + high) / 2
            if edits[middle].end <= match.lowerBound { low = middle + 1 } else { high = middle }
        }
        return low < edits.endIndex && edits[low].start < match.upperBound
    }

    // MARK: Replacements

    private func add(
        _ text: WireBytes, _ start: Int, _ end: Int, kind: Int, strategy: Strategy, isEmail: Bool, _ scratch: RedactionScratch
    ) {
        let value = WireBytes(rebasing: text[start..<end])
        if allow.contains(value, isEmail: isEmail) { return }
        let replacement = scratch.replacements.count
        write(value, kind, strategy, scratch)
        scratch.edits.append(
            RedactionScratch.Edit(
                start: start, end: end, replacement: replacement, replacementBytes: scratch.replacements.count - replacement, kind: kind,
                isRemoval: strategy == .remove))
    }

    private func write(_ value: WireBytes, _ kind: Int, _ strategy: Strategy, _ scratch: RedactionScratch) {
        switch strategy {
        case .hash:
            scratch.replacements.append(Self.hashPrefix)
            let hash = key.prefix64(value)
            scratch.replacements.appendBigEndian(Self.hexDigits(UInt32(truncatingIfNeeded: hash >> 32)))
            scratch.replacements.appendBigEndian(Self.hexDigits(UInt32(truncatingIfNeeded: hash)))
        case .mask: writeMask(value, keeping: 0, scratch)
        case .partial: writeMask(value, keeping: 4, scratch)
        case .remove: break
        case .replace:
            if kind < Kind.allCases.count {
                scratch.replacements.append(Kind.allCases[kind].placeholder)
            } else if kind == fieldKind {
                scratch.replacements.append("<REDACTED>")
            } else {
                customs[kind - Kind.allCases.count].placeholder.withUnsafeBytes { scratch.replacements.append($0) }
            }
        }
    }

    /// The eight digits of a number, the first one highest.
    private static func hexDigits(_ number: UInt32) -> UInt64 {
        var digits = UInt64(number)
        digits = (digits | digits << 16) & 0x0000_FFFF_0000_FFFF
        digits = (digits | digits << 8) & 0x00FF_00FF_00FF_00FF
        digits = (digits | digits << 4) & 0x0F0F_0F0F_0F0F_0F0F
        // 1 in each byte whose digit is a letter, which stand 39 further than the bytes after 9.
        let letters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return digits + 0x3030_3030_3030_3030 + letters * 39
    }

    /// A `*` for each character but the last `keeping`; all are masked when that would leave half of the value or more.
    private func writeMask(_ value: WireBytes, keeping: Int, _ scratch: RedactionScratch) {
        var characters = 0
        for byte in value where byte & 0xC0 != 0x80 { characters += 1 }
        let kept = keeping * 2 < characters ? keeping : 0
        var seen = 0
        for byte in value {
            if byte & 0xC0 != 0x80 {
                seen += 1
                if seen <= characters - kept { scratch.replacements.append(UInt8(ascii: "*")) }
            }
            if seen > characters - kept { scratch.replacements.append(byte) }
        }
        // Continuation bytes alone are no character, and are not to be kept either.
        if characters == 0, value.count > 0 { scratch.replacements.append(UInt8(ascii: "*")) }
    }
}
