import Crypto
import OTLPWire
import Patterns

/// Carries out a list of actions, in order, on one message's attributes after the other. Used by one thread at a time.
final class ActionRunner {
    private let actions: [AttributeAction]
    private let digest = Digest.sha256
    private let workspace = Digest.Workspace()
    let list = AttributeList()

    /// Without any of these nothing happens; nil when no key says so.
    private let keys: AttributeKeys?

    init(_ actions: [AttributeAction]) {
        self.actions = actions
        let needed = actions.map(\.step.neededKey)
        keys = needed.contains { $0 == nil } ? nil : AttributeKeys(needed.compactMap { $0.map { Array($0.bytes) } })
    }

    /// Changes fields number `field` of `message`. Nil, with nothing appended, when no action changes anything; else what is to stand
    /// there instead is appended to `output`, and the number of attributes returned.
    func run(_ message: WireBytes, field: UInt32, into output: inout OutputBuffer) -> Int? {
        if let keys, !keys.isAny(in: message, field: field) { return nil }
        list.open(message, field: field)
        for action in actions { carryOut(action.step) }
        return list.isChanged ? list.write(field, into: &output) : nil
    }

    private func carryOut(_ step: AttributeAction.Step) {
        switch step {
        case .insert(let key, let source):
            if list.index(of: key.bytes) == nil, let value = value(source) { list.append(key.bytes, value) }
        case .update(let key, let source):
            if list.index(of: key.bytes) != nil, let value = value(source) { list.put(key.bytes, value) }
        case .upsert(let key, let source):
            if let value = value(source) { list.put(key.bytes, value) }
        case .delete(let selection): forEach(selection) { list.remove(at: $0) }
        case .hash(let selection): forEach(selection) { hash($0) }
        case .extract(let key, let pattern, let names): extract(key.bytes, pattern, names)
        case .convert(let key, let type):
            forEach(key.bytes) { index in
                if let write = type.converted(AnyValueView(list.entries[index].value)) { list.set(at: index, write) }
            }
        }
    }

    private func value(_ source: AttributeAction.Source) -> WireBytes? {
        switch source {
        case .value(let encoded): encoded.bytes
        case .attribute(let key, let fallback): list.value(of: key.bytes) ?? fallback?.bytes
        }
    }

    private func forEach(_ key: WireBytes, _ body: (Int) -> Void) {
        var next = list.index(of: key)
        while let index = next {
            body(index)
            next = list.index(of: key, from: index + 1)
        }
    }

    /// Each attribute once for the key and once for the pattern, as the Go collector does: hashed twice when both find it.
    private func forEach(_ selection: AttributeAction.Selection, _ body: (Int) -> Void) {
        if let key = selection.key { forEach(key.bytes, body) }
        guard let pattern = selection.pattern else { return }
        for index in list.entries.indices where list.isPresent(index) && pattern.matches(list.entries[index].key) { body(index) }
    }

    /// Of a text its bytes, of a number its eight bytes, little-endian, of a truth value one byte; of anything else nothing is left.
    private func hash(_ index: Int) {
        switch AnyValueView(list.entries[index].value) {
        case .string(let text): set(hashOf: text, at: index)
        case .bool(let flag): withUnsafeBytes(of: flag ? UInt8(1) : 0) { set(hashOf: $0, at: index) }
        case .int(let number): withUnsafeBytes(of: number.littleEndian) { set(hashOf: $0, at: index) }
        case .double(let number): withUnsafeBytes(of: number.bitPattern.littleEndian) { set(hashOf: $0, at: index) }
        case .array, .keyValueList, .bytes, .absent:
            list.set(at: index) { $0.appendBytesField(OTLPField.AnyValue.string, WireBytes(start: nil, count: 0)) }
        }
    }

    private func set(hashOf bytes: WireBytes, at index: Int) {
        digest.withDigest(of: bytes, workspace) { digest in
            list.set(at: index) { output in output.appendMessage(OTLPField.AnyValue.string) { $0.appendHex(digest) } }
        }
    }

    /// Only texts are searched. A group that took no part in the match gives an empty text.
    private func extract(_ key: WireBytes, _ pattern: Pattern, _ names: [StableBytes]) {
        guard let encoded = list.value(of: key), case .string(let text) = AnyValueView(encoded), let groups = pattern.groups(in: text)
        else { return }
        for (name, group) in zip(names, groups.dropFirst()) {
            let part = group.map { WireBytes(rebasing: text[$0]) } ?? WireBytes(start: nil, count: 0)
            list.put(name.bytes, list.made { $0.appendBytesField(OTLPField.AnyValue.string, part) })
        }
    }
}
