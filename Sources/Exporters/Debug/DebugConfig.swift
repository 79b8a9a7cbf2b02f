import Configuration

/// `exporters.debug`: keys and defaults of the Go collector; `format` is ours.
public struct DebugConfig: Sendable, Equatable {
    public enum Verbosity: String, CaseIterable, Sendable {
        /// A line with counts for each batch.
        case basic
        /// And a line for each span.
        case normal
        /// And every field of each span: users' data, which is what this level is for.
        case detailed
    }

    public enum Format: String, CaseIterable, Sendable {
        case text
        /// Every field of each span as OTLP/JSON, a line per batch, on standard output and without the counts: for other programs.
        case json
    }

    public var verbosity = Verbosity.basic
    public var format = Format.text
    /// Batches shown in each second before `samplingThereafter` applies.
    public var samplingInitial = 2
    /// After those, each so many-th is shown: 1 = all, 0 = none.
    public var samplingThereafter = 1
    /// Whether the counts go to the collector's log and the spans to standard error, or both to standard output.
    public var useInternalLogger = true

    public init() {}

    public init(from section: ConfigSection) {
        verbosity = section.choice("verbosity", default: verbosity)
        format = section.choice("format", default: format)
        samplingInitial = section.int("sampling_initial", default: samplingInitial, in: 0...1_000_000)
        samplingThereafter = section.int("sampling_thereafter", default: samplingThereafter, in: 0...1_000_000)
        useInternalLogger = section.bool("use_internal_logger", default: useInternalLogger)
        section.finish()
    }
}

/// Which batches are shown, by the rule of the Go collector's logger: the first few of each second, then every so many-th.
struct DebugSampler {
    let initial: Int
    let thereafter: Int
    private var secondStart: ContinuousClock.Instant?
    private var seen = 0

    init(initial: Int, thereafter: Int) {
        self.initial = initial
        self.thereafter = thereafter
    }

    mutating func shows(now: ContinuousClock.Instant) -> Bool {
        if let start = secondStart, now - start < .seconds(1) {
            seen += 1
        } else {
            secondStart = now
            seen = 1
        }
        if seen <= initial { return true }
        return thereafter > 0 && (seen - initial) % thereafter == 0
    }
}
