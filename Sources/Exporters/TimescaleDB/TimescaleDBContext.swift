import Logging
import Pipeline

/// What an exporter's writers share.
struct TimescaleDBContext: Sendable {
    let config: TimescaleDBConfig
    let schema: SchemaGate
    let resources: ResourceStore
    let refresher: AggregateRefresher
    let metrics: TimescaleDBMetrics
    /// Nil: refused rows are lost.
    var deadLetters: DeadLetterFile?

    /// A COPY's rows are in the database, or may be.
    func noteWritten(_ notes: CopyEncoder.Notes) {
        metrics.note(notes)
        if notes.rows > 0 { refresher.note(from: notes.earliest, to: notes.latest) }
    }

    /// An attempt failed. A table that is missing may come back empty, and resources with it.
    func noteFailure(_ error: DatabaseError) {
        if case .server(let state, _) = error, SQLStateClass(state) == .configuration { resources.forget() }
        if error.meansMissingTable { schema.invalidate(error.problem) }
    }
}
