import Synchronization

/// The policies' names by number: those of the configuration first, then others that former runs' decisions name.
final class PolicyNames: Sendable {
    private let names: Mutex<[String]>
    /// Id of the processor that decides by them.
    let sampler: String?

    init(_ names: [String], sampler: String? = nil) {
        self.sampler = sampler
        self.names = Mutex(names)
    }

    subscript(number: Int) -> String {
        names.withLock { number < $0.count ? $0[number] : "" }
    }

    /// The name's number, which it gets now if it has none.
    func number(of name: String) -> Int {
        names.withLock { names in
            if let known = names.firstIndex(of: name) { return known }
            names.append(name)
            return names.count - 1
        }
    }
}
