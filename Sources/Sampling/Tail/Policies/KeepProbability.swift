/// How likely a trace with given facts was to be kept, over all that the draws could have been: 1 divided by it is the trace's
/// adjusted count.
///
/// Exact for any combination of policies. P(kept) = P(no drop) - P(no drop and no keep); both are the probability that none of some
/// formulas holds, and formulas without a source in common are independent, so the probability is a product over groups of
/// formulas. In a group each source's thresholds cut (0, 1] into intervals within which nothing changes, and the products of
/// intervals over the sources (cells) are tried one by one.
enum KeepProbability {
    /// Cells of a group; the configuration refuses policies that come to more, since trying them would take longer than a decision
    /// may. Twelve policies in one `and`, each with a source of its own, come to as many.
    static let cellsMax = 4096

    /// - Parameters:
    ///   - keeps: formulas of which one must hold.
    ///   - drops: formulas of which none may hold.
    static func of(keeps: [DrawFormula], drops: [DrawFormula]) -> Double {
        // The usual case: one draw.
        if drops.isEmpty, keeps.count == 1, case .draw(_, let probability) = keeps[0] { return probability }
        return (drops.isEmpty ? 1 : noneHolds(drops)) - noneHolds(drops + keeps)
    }

    private static func noneHolds(_ formulas: [DrawFormula]) -> Double {
        if formulas.contains(.fixed(true)) { return 0 }
        return groups(formulas).reduce(1) { $0 * volume($1) }
    }

    /// A formula that stands alone, or formulas that share sources.
    private struct Group {
        var formulas: [DrawFormula] = []
        var thresholds: [RandomSource: Set<Double>] = [:]

        func touches(_ other: Group) -> Bool { thresholds.keys.contains { other.thresholds[$0] != nil } }

        mutating func absorb(_ other: Group) {
            formulas += other.formulas
            thresholds.merge(other.thresholds) { $0.union($1) }
        }
    }

    private static func groups(_ formulas: [DrawFormula]) -> [Group] {
        var groups: [Group] = []
        for formula in formulas {
            var group = Group(formulas: [formula])
            formula.collect(into: &group.thresholds)
            for other in groups where other.touches(group) { group.absorb(other) }
            groups.removeAll { $0.touches(group) }
            groups.append(group)
        }
        return groups
    }

    /// Probability that none of the group's formulas holds.
    private static func volume(_ group: Group) -> Double {
        if group.formulas.count == 1, case .draw(_, let probability) = group.formulas[0] { return 1 - probability }
        var axes: [(source: RandomSource, cuts: [Double])] = []
        for (source, cuts) in group.thresholds { axes.append((source, cuts.union([1]).sorted())) }
        axes.sort { $0.source < $1.source }
        var point: [RandomSource: Double] = [:]
        return volume(axes[...], &point, group.formulas)
    }

    private static func volume(
        _ axes: ArraySlice<(source: RandomSource, cuts: [Double])>, _ point: inout [RandomSource: Double], _ formulas: [DrawFormula]
    ) -> Double {
        guard let axis = axes.first else {
            let draws = point
            return formulas.contains { $0.holds { draws[$0] ?? 1 } } ? 0 : 1
        }
        var total = 0.0
        var lower = 0.0
        for cut in axis.cuts {
            // The interval (lower, cut]: its end stands for all of it.
            point[axis.source] = cut
            total += (cut - lower) * volume(axes.dropFirst(), &point, formulas)
            lower = cut
        }
        point[axis.source] = nil
        return total
    }

    // MARK: Limits

    /// Cells of the largest group that policies can come to.
    ///
    /// - Parameter thresholds: of each policy, its sources with all thresholds that they may be compared with.
    static func cells(_ thresholds: [[RandomSource: Set<Double>]]) -> Int {
        var groups: [Group] = []
        for sources in thresholds {
            var group = Group(thresholds: sources)
            for other in groups where other.touches(group) { group.absorb(other) }
            groups.removeAll { $0.touches(group) }
            groups.append(group)
        }
        return groups.reduce(1) { most, group in max(most, cells(group)) }
    }

    private static func cells(_ group: Group) -> Int {
        group.thresholds.values.reduce(1) { product, cuts in
            let (cells, overflow) = product.multipliedReportingOverflow(by: cuts.count + 1)
            return overflow ? .max : cells
        }
    }
}
