/// How likely a trace with given facts was to be kept, over all that the draws could have been: 1 divided by it is the trace's
/// adjusted count.
///
/// Exact for any combination of policies: each source's thresholds cut (0, 1] into intervals within which nothing changes, and the
/// products of intervals over the sources are tried one by one. Traces that a fixed policy decides never come here.
enum KeepProbability {
    /// Products of intervals that are tried; more would take longer than a decision may. Eight sources of one threshold have 256.
    static let cellsMax = 4096

    /// - Parameters:
    ///   - keeps: formulas of which one must hold.
    ///   - drops: formulas of which none may hold.
    /// - Returns: nil when there are more cells than `cellsMax`.
    static func of(keeps: [DrawFormula], drops: [DrawFormula]) -> Double? {
        var thresholds: [RandomSource: Set<Double>] = [:]
        for formula in keeps + drops { formula.collect(into: &thresholds) }
        let axes = thresholds.map { source, cuts in (source: source, cuts: cuts.union([1]).sorted()) }
        guard axes.reduce(1, { min($0 * $1.cuts.count, cellsMax + 1) }) <= cellsMax else { return nil }
        var point: [RandomSource: Double] = [:]
        return volume(axes[...], &point, keeps, drops)
    }

    private static func volume(
        _ axes: ArraySlice<(source: RandomSource, cuts: [Double])>, _ point: inout [RandomSource: Double], _ keeps: [DrawFormula],
        _ drops: [DrawFormula]
    ) -> Double {
        guard let axis = axes.first else {
            let draws = point
            let draw = { (source: RandomSource) in draws[source] ?? 1 }
            return !drops.contains { $0.holds(draw) } && keeps.contains { $0.holds(draw) } ? 1 : 0
        }
        var total = 0.0
        var lower = 0.0
        for cut in axis.cuts {
            // The interval (lower, cut]: its end stands for all of it.
            point[axis.source] = cut
            total += (cut - lower) * volume(axes.dropFirst(), &point, keeps, drops)
            lower = cut
        }
        point[axis.source] = nil
        return total
    }
}
