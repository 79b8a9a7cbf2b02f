import ArgumentParser
import Pipeline

struct WALCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wal", abstract: "Look into a write-ahead log directory, also one in use; changes nothing.",
        subcommands: [WALInspectCommand.self, WALVerifyCommand.self])
}

struct WALInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print the log's segments, and with --records each record.",
        discussion: """
            A line per segment and pipeline: `released=N/M` are the requests that the pipeline was done with when that was last written \
            down, about once a second. `tail=cut-off` is an incomplete last record; it was not acknowledged.
            """)

    @Argument(help: ArgumentHelp("The log's directory.", valueName: "dir")) var directory: String
    @Flag(help: "List each record.") var records = false

    func run() throws {
        let inspection = try LogInspection.readOrFail(directory, keepsRecords: records)
        StandardStream.output.write(inspection.summary + inspection.segments.map(\.text).joined() + inspection.damageText)
    }
}

struct WALVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check every checksum of the log and print what is damaged; exit code 1 if something is.")

    @Argument(help: ArgumentHelp("The log's directory.", valueName: "dir")) var directory: String

    func run() throws {
        let inspection = try LogInspection.readOrFail(directory, keepsRecords: false)
        StandardStream.output.write(inspection.damageText + inspection.summary)
        if inspection.isDamaged { throw ExitCode(1) }
    }
}

extension LogInspection {
    fileprivate static func readOrFail(_ directory: String, keepsRecords: Bool) throws -> LogInspection {
        guard let inspection = read(directory: directory, keepsRecords: keepsRecords) else {
            StandardStream.error.write("\(directory): cannot be read")
            throw ExitCode(1)
        }
        return inspection
    }

    var summary: String {
        let requests = segments.reduce(0) { $0 + $1.requestCount }
        let notes = segments.reduce(0) { $0 + $1.noteCount }
        let bytes = segments.reduce(0) { $0 + $1.fileBytes }
        let id = String(directoryID, radix: 16)
        let contents = "segments=\(segments.count) requests=\(requests) notes=\(notes) bytes=\(bytes)"
        return "log id=\(id) \(contents) damaged=\(isDamaged ? "yes" : "no")\n"
    }

    var damageText: String {
        var text = ""
        for file in unreadable { text += "damage file=\(file.name) reason=\(file.reason)\n" }
        for segment in segments where segment.isDamaged {
            for range in segment.damagedRanges { text += "damage file=\(segment.name) offset=\(range.lowerBound) bytes=\(range.count)\n" }
            for record in segment.damagedRecords {
                let place = "file=\(segment.name) offset=\(record.offset) bytes=\(record.bytes)"
                text += "damage \(place) \(record.kind) sequence=\(record.sequence)\n"
            }
            if segment.hasTail, !segment.isLast {
                text += "damage file=\(segment.name) offset=\(segment.endOffset) bytes=\(segment.fileBytes - segment.endOffset)\n"
            }
        }
        return text
    }
}

extension LogInspection.Segment {
    var text: String {
        let tail = hasTail ? "cut-off" : endOffset < fileBytes ? "unused" : "none"
        var text = "segment file=\(name) run=\(run) first=\(firstSequence) requests=\(requestCount) bytes=\(fileBytes)"
        text += " end=\(endOffset) notes=\(noteCount) tail=\(tail) created_unix_nano=\(createdUnixNano)\n"
        for reader in readers { text += "  pipeline \(reader.name) released=\(reader.releasedRequests)/\(requestCount)\n" }
        for record in records {
            text += "  record offset=\(record.offset) bytes=\(record.bytes) kind=\(record.kind) sequence=\(record.sequence)"
            text += " payload_bytes=\(record.payloadBytes) received_unix_nano=\(record.receivedUnixNano)"
            text += " state=\(record.isWhole ? "ok" : "damaged")\n"
        }
        return text
    }
}
