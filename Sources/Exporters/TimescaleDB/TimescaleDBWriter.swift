import Logging
import Pipeline

/// Writes batches of spans over one connection: resources first, then one COPY per batch in a transaction of its own.
///
/// Keeps the promise that a batch ends up in the database once. A batch that was split keeps its progress across retries
/// (`PendingBatch`). When a COMMIT's answer is lost, the transaction's fate is asked for by its id; unless it is known to have
/// come to nothing, the rows go through a temporary table, and only those that are missing are inserted.
/// Contract: database documentation, "Writing" and "In doubt".
final class TimescaleDBWriter: BatchWriter {
    private let context: TimescaleDBContext
    private let interrupter = Interrupter()
    private var encoder: CopyEncoder
    private var connection: Connection?
    private var pending: PendingBatch?
    private let statements: CopyStatements

    init(_ context: TimescaleDBContext) {
        self.context = context
        encoder = CopyEncoder(window: context.config.timestampWindow)
        statements = CopyStatements(schema: context.config.schema)
    }

    func close() {
        connection = nil
        pending = nil
    }

    func write(_ batch: SpanBatch, cancellation: Cancellation) -> WriteOutcome {
        let breakOff = { @Sendable [interrupter, schema = context.schema] in
            interrupter.interrupt()
            schema.wake()
        }
        return cancellation.withHandler(breakOff) {
            if let problem = context.schema.wait(TimescaleDBLimits.schemaWait, interrupter) { return .retryable(problem, after: nil) }
            if pending?.isRest(of: batch) != true { pending = PendingBatch(batch) }
            do throws(DatabaseError) {
                while let part = pending?.next { try write(part, cancellation) }
            } catch {
                // Not the end of the batch: `pending` knows what is left. A new connection is the simplest way out of a failed
                // transaction, and after a fail-over the way to the new primary.
                connection = nil
                context.noteFailure(error)
                return .retryable(error.problem, after: error.retryAfter)
            }
            defer { pending = nil }
            if let pending, pending.lostItems > 0, let problem = pending.lastDataProblem {
                return .permanent(problem, lostItems: pending.lostItems)
            }
            return .written
        }
    }

    /// One step on the way of a part. Throws what the whole batch has to wait for.
    private func write(_ part: PendingBatch.Part, _ cancellation: Cancellation) throws(DatabaseError) {
        let connection = try connected()
        do throws(DatabaseError) {
            switch part.route {
            case .plain:
                try copy(part.batch, on: connection)
                pending?.partWritten()
            case .onlyMissing:
                try insertMissing(part.batch, on: connection)
                pending?.partWritten()
            case .inDoubt(let transaction):
                switch try InDoubt.settle(transaction, on: connection, cancellation) {
                case .aborted: pending?.reroute(.plain)
                case .committed, .unknown: pending?.reroute(.onlyMissing)
                }
                context.metrics.inDoubt.add()
            }
        } catch {
            guard error.isDataError else { throw error }
            try rollBack(connection)
            context.metrics.refused.add()
            pending?.partRefused(error.problem)
        }
    }

    private func connected() throws(DatabaseError) -> Connection {
        if let connection, connection.isUsable { return connection }
        connection = nil
        let made = try Connection(context.config.connection, interrupter: interrupter)
        connection = made
        return made
    }

    private func rollBack(_ connection: Connection) throws(DatabaseError) {
        try connection.query("rollback")
    }

    // MARK: The ways into the table

    private func copy(_ batch: SpanBatch, on connection: Connection) throws(DatabaseError) {
        let resources = encoder.begin(batch)
        try context.resources.store(resources, on: connection)
        let rows = try connection.startCopy(statements.copy)
        guard let transactionID = rows.first?[0], let backend = rows.first?[1] else {
            throw .connection("the database did not name its transaction")
        }
        try send(batch, on: connection)
        let lost = LostTransaction(transactionID: transactionID, backend: backend, serverIdentity: connection.serverIdentity)
        try commit(connection, ifLost: .inDoubt(lost))
    }

    private func insertMissing(_ batch: SpanBatch, on connection: Connection) throws(DatabaseError) {
        let resources = encoder.begin(batch)
        try context.resources.store(resources, on: connection)
        _ = try connection.startCopy(statements.copyIntoTemporary)
        try send(batch, on: connection)
        try connection.query(statements.insertMissing(from: encoder.notes.earliest, to: encoder.notes.latest))
        try commit(connection, ifLost: .onlyMissing)
    }

    private func send(_ batch: SpanBatch, on connection: Connection) throws(DatabaseError) {
        for slice in batch.slices {
            try slice.forEach { reference throws(DatabaseError) in
                encoder.append(reference)
                if encoder.output.count >= TimescaleDBLimits.copyChunkBytes { try flush(connection) }
            }
        }
        encoder.finish()
        try flush(connection)
        try connection.endCopy()
    }

    /// Hands the collected bytes to libpq, in pieces whose length an Int32 can say.
    private func flush(_ connection: Connection) throws(DatabaseError) {
        try encoder.output.withBytes { bytes throws(DatabaseError) in
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(TimescaleDBLimits.copyPieceBytesMax)
                try connection.sendCopy(UnsafeRawBufferPointer(rebasing: piece))
                rest = rest.dropFirst(piece.count)
            }
        }
        encoder.output.removeAll(keepingCapacity: TimescaleDBLimits.copyBufferKeptBytes)
    }

    private func commit(_ connection: Connection, ifLost route: PendingBatch.Route) throws(DatabaseError) {
        switch connection.commit() {
        case .committed:
            context.noteWritten(encoder.notes)
        case .refused(let error):
            throw error
        case .lost(let error):
            pending?.reroute(route)
            context.noteWritten(encoder.notes)
            throw error
        }
    }
}
