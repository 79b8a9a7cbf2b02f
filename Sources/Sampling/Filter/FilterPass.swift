import OTLPWire
import Pipeline

/// Why a batch cannot be filtered.
enum FilterError: Error {
    /// A condition failed whose group propagates errors.
    case condition(OTTLFailure)
    case arenaExhausted
}

/// One batch on its way through the filter.
struct FilterPass {
    private let groups: [FilterConfig.Group]
    private let editsEvents: Bool
    private(set) var kept: [SpanSlice] = []
    private(set) var counts = FilterMetrics.Counts()
    /// Conditions on resources are asked once for the spans in a row that share one.
    private var resource: (identity: UnsafeRawPointer, isDropped: Bool)?

    init(_ config: FilterConfig) {
        groups = config.groups
        editsEvents = config.editsEvents
    }

    mutating func filter(_ slice: SpanSlice) throws(FilterError) {
        let first = kept.count
        var start = slice.range.lowerBound
        for index in slice.range where try drops(slice.batch[index]) {
            if start < index { kept.append(slice.part(start..<index)) }
            start = index + 1
            counts.spans += 1
        }
        if start < slice.range.upperBound { kept.append(slice.part(start..<slice.range.upperBound)) }
        // Another slice may be of another request, at the same address.
        resource = nil
        guard editsEvents else { return }
        for index in first..<kept.count { try filterEvents(of: kept[index]) }
    }

    private mutating func drops(_ span: SpanView) throws(FilterError) -> Bool {
        for group in groups {
            switch group.context {
            case .resource: if try dropsResource(of: span) { return true }
            case .scope, .span:
                if try isAny(group, { (condition) throws(OTTLFailure) in try condition.holds(for: span) }) { return true }
            case .spanEvent: break
            }
        }
        return false
    }

    private mutating func dropsResource(of span: SpanView) throws(FilterError) -> Bool {
        let identity = span.resource.identity
        if let resource, resource.identity == identity { return resource.isDropped }
        var isDropped = false
        for group in groups where group.context == .resource && !isDropped {
            isDropped = try isAny(group) { (condition) throws(OTTLFailure) in try condition.holds(for: span) }
        }
        resource = (identity, isDropped)
        return isDropped
    }

    private mutating func filterEvents(of slice: SpanSlice) throws(FilterError) {
        for index in slice.range {
            let span = slice.batch[index]
            let count = span.eventCount
            guard count > 0 else { continue }
            var left: [Int] = []
            for event in 0..<count where try !drops(span.event(at: event), at: event, of: span) { left.append(event) }
            guard left.count < count else { continue }
            do throws(EditError) {
                try slice.batch.edit { editor throws(EditError) in try editor.keepEvents(left, of: span) }
            } catch {
                throw .arenaExhausted
            }
            counts.events += count - left.count
        }
    }

    private mutating func drops(_ event: EventView, at index: Int, of span: SpanView) throws(FilterError) -> Bool {
        for group in groups where group.context == .spanEvent {
            if try isAny(group, { (condition) throws(OTTLFailure) in try condition.holds(for: event, at: index, of: span) }) { return true }
        }
        return false
    }

    /// Whether a condition of the group holds.
    @inline(__always)
    private mutating func isAny(
        _ group: FilterConfig.Group, _ holds: (OTTLCondition) throws(OTTLFailure) -> Bool
    ) throws(FilterError) -> Bool {
        for condition in group.conditions {
            do throws(OTTLFailure) {
                if try holds(condition) { return true }
            } catch {
                switch group.errorMode {
                case .propagate: throw .condition(error)
                case .silent: counts.silenced += 1
                case .ignore:
                    counts.ignored += 1
                    counts.failure = error
                }
            }
        }
        return false
    }
}
