import Logging
import Pipeline

/// Writes batches of spans over one connection: resources first, then one COPY per batch in a transaction of its own.
///
/// Keeps the promise that a batch ends up in the database once. A batch that was split keeps its progress across retries
/// (`PendingBatch`). When a COMMIT's answer is lost, the transaction's fate is asked for by its id; unless it is known
/// to have come to nothing, the rows go through a temporary table, and only those that are missing are inserted.
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
                return .retryable(error.problem, after: error.needsPatience ? context.config.retry.maxInterval : nil)
            }
            return settled()
        }
    }

    /// All of the batch is in the database but what was refused; that goes into the dead-letter file first.
    private func settled() -> WriteOutcome {
        guard let refused = pending?.refused, let problem = refused.last?.error.problem else {
            pending = nil
            return .written
        }
        if let deadLetters = context.deadLetters {
            do throws(ExportProblem) {
                var letters: [DeadLetterFile.Letter] = []
                for row in refused {
                    row.batch.forEach {
                        letters.append(DeadLetterFile.Letter(reference: $0, problem: row.error.problem, code: row.error.sqlState ?? ""))
                    }
                }
                try deadLetters.append(letters)
            } catch {
                return .retryable(error, after: nil)
            }
        }
        pending = nil
        let isSaved = context.deadLetters != nil
        return .permanent(problem, lostItems: isSaved ? 0 : refused.count, savedItems: isSaved ? refused.count : 0)
    }

    /// One step on the way of a part. Throws what the whole batch has to wait for.
    private func write(_ part: PendingBatch.Part, _ cancellation: Cancellation) throws(DatabaseError) {
        let connection = try connected()
        try CommitBarrier.pass(part.batch, to: context.config.connection.destination, on: connection)
        do throws(DatabaseError) {
            switch part.route {
            case .plain:
                try copy(part.batch, on: connection)
                pending?.partWritten()
            case .onlyMissing:
                try insertMissing(part.batch, on: connection)
                pending?.partWritten()
            case .inDoubt(let transaction):
                pending?.partSettled(try InDoubt.settle(transaction, on: connection, cancellation))
                context.metrics.inDoubt.add()
            }
        } catch {
            guard error.isDataError else { throw error }
            try rollBack(connection)
            context.metrics.refused.add()
            pending?.partRefused(error)
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
        let transaction = try begin(statements.copy(batch.run), on: connection)
        try send(batch, on: connection)
        try commit(connection, transaction)
    }

    private func insertMissing(_ batch: SpanBatch, on connection: Connection) throws(DatabaseError) {
        try CommitBarrier.passOwn(batch, on: connection)
        let resources = encoder.begin(batch)
        try context.resources.store(resources, on: connection)
        let transaction = try begin(statements.copyIntoTemporary(batch.run), on: connection)
        try send(batch, on: connection)
        try connection.query(statements.insertMissing(from: encoder.notes.earliest, to: encoder.notes.latest))
        try commit(connection, transaction)
        context.metrics.lookedUp.add(batch.itemCount)
    }

    /// Starts a COPY in a transaction of its own.
    private func begin(_ statement: String, on connection: Connection) throws(DatabaseError) -> LostTransaction {
        let rows = try connection.startCopy(statement)
        guard let transactionID = rows.first?[0], let backend = rows.first?[1] else {
            throw .connection("the database did not name its transaction")
        }
        return LostTransaction(transactionID: transactionID, backend: backend, serverIdentity: connection.serverIdentity)
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

    private func commit(_ connection: Connection, _ transaction: LostTransaction) throws(DatabaseError) {
        switch connection.commit() {
        case .committed:
            context.noteWritten(encoder.notes)
        case .refused(let error):
            throw error
        case .lost(let error):
            pending?.partLost(transaction)
            context.noteWritten(encoder.notes)
            throw error
        }
    }
}
