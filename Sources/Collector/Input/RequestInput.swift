import ArgumentParser
import Configuration
import Glibc
import OTLPWire

/// The requests of an input, one JSON document each: a line, or spread over several.
struct RequestInput {
    /// A problem with the input, and the line that the document at fault begins at.
    struct Problem: Error, Equatable, CustomStringConvertible {
        let line: Int
        let message: String

        var description: String { "\(line): \(message)" }
    }

    struct Document: Equatable {
        /// From 1.
        let line: Int
        let json: ArraySlice<UInt8>
    }

    /// An input is held in memory: 4 times the largest document that a receiver takes.
    static let bytesMax = 4 * JSONTranscoder.documentBytesMaxDefault

    private let bytes: [UInt8]
    private var position = 0
    private var line = 1

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The next document, complete as far as its brackets go; nil at the end.
    mutating func next() throws(Problem) -> Document? {
        while position < bytes.count, let newlines = Self.newlinesOfSpace(bytes[position]) {
            line += newlines
            position += 1
        }
        guard position < bytes.count else { return nil }
        let (start, startLine) = (position, line)
        guard bytes[start] == UInt8(ascii: "{") else { throw Problem(line: startLine, message: "a request begins with {") }
        var depth = 0
        var isText = false
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == UInt8(ascii: "\n") { line += 1 }
            if isText {
                if byte == UInt8(ascii: "\\") { position += 1 } else if byte == UInt8(ascii: "\"") { isText = false }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isText = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth == 0 { return Document(line: startLine, json: bytes[start..<position]) }
            default: break
            }
        }
        throw Problem(line: startLine, message: "the request that begins here does not end")
    }

    /// Line ends in a byte of white space; nil for any other byte.
    private static func newlinesOfSpace(_ byte: UInt8) -> Int? {
        switch byte {
        case UInt8(ascii: "\n"): 1
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): 0
        default: nil
        }
    }
}

extension RequestInput {
    /// Of input that is at fault.
    static let badInput = ExitCode(2)

    /// Calls `body` with each request of a file and the line that it begins at. What is wrong goes to standard error with its line; then
    /// the process ends with exit code 2.
    ///
    /// - Parameter file: nil for standard input.
    static func forEach(in file: String?, _ body: (TraceBatch, _ line: Int) throws(Problem) -> Void) throws {
        let name = file ?? "standard input"
        do throws(Problem) {
            var input = RequestInput(try read(file))
            let reader = RequestReader()
            while let document = try input.next() {
                let batch = try reader.batch(of: document)
                if batch.rejectedSpanCount > 0 {
                    StandardStream.error.write("\(name):\(document.line): \(batch.rejectedSpanCount) spans without valid ids are left out")
                }
                try body(batch, document.line)
            }
        } catch {
            StandardStream.error.write(error.line > 0 ? "\(name):\(error)" : "\(name): \(error.message)")
            throw badInput
        }
    }

    private static func read(_ file: String?) throws(Problem) -> [UInt8] {
        do throws(FileBytes.Failure) {
            if let file { return try FileBytes.read(file, bytesMax: bytesMax) }
            if isatty(STDIN_FILENO) == 1 { StandardStream.error.write("reading OTLP/JSON from the terminal; Ctrl-D ends it") }
            return try FileBytes.read(descriptor: STDIN_FILENO, bytesMax: bytesMax)
        } catch {
            switch error {
            case .unreadable(let reason): throw Problem(line: 0, message: "cannot be read: \(reason)")
            case .tooLarge: throw Problem(line: 0, message: "is larger than \(bytesMax >> 20) MiB")
            }
        }
    }
}

/// Requests as a receiver would decode them.
struct RequestReader {
    private let transcoder = JSONTranscoder()

    func batch(of document: RequestInput.Document) throws(RequestInput.Problem) -> TraceBatch {
        var protobuf = OutputBuffer()
        let result = document.json.withUnsafeBytes { json in
            Result { () throws(JSONError) in try transcoder.transcodeTraces(json, into: &protobuf) }
        }
        do {
            try result.get()
        } catch {
            throw RequestInput.Problem(line: document.line, message: error.message)
        }
        let batch = protobuf.withBytes { bytes in
            Result { () throws(DecodeError) in try TraceBatch.decode(bytes, receivedUnixNano: 0) }
        }
        do {
            return try batch.get()
        } catch {
            throw RequestInput.Problem(line: document.line, message: Self.text(error))
        }
    }

    private static func text(_ error: DecodeError) -> String {
        switch error {
        case .malformed: "the request is not valid"
        case .nestedTooDeep: "values are nested too deep"
        case .tooManySpans: "a request has at most \(DecodeLimits().spansMax) spans"
        case .expandsTooMuch: "the request expands to too much memory"
        }
    }
}
