import Glibc
import Testing

@testable import OTLPWire

/// Files beside the tests; scripts/otlp_samples.py and scripts/otlp_fields.py make them.
enum Fixture {
    struct Unreadable: Error {
        let path: String
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        let path = "\(#filePath)".split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/Fixtures/" + name
        guard let file = fopen(path, "rb") else { throw Unreadable(path: path) }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    static func text(_ name: String) throws -> String {
        String(decoding: try bytes(name), as: UTF8.self)
    }
}

func decode(_ bytes: [UInt8], limits: DecodeLimits = DecodeLimits()) throws(DecodeError) -> TraceBatch {
    let result = bytes.withUnsafeBytes { bytes in
        Result { () throws(DecodeError) in try TraceBatch.decode(bytes, receivedUnixNano: 1, limits: limits) }
    }
    return try result.get()
}

func decodeError(_ bytes: [UInt8], limits: DecodeLimits = DecodeLimits()) -> DecodeError? {
    do {
        _ = try decode(bytes, limits: limits)
        return nil
    } catch {
        return error
    }
}

func transcode(_ json: [UInt8], with transcoder: JSONTranscoder = JSONTranscoder()) throws(JSONError) -> [UInt8] {
    var output = OutputBuffer()
    let result = json.withUnsafeBytes { json in
        Result { () throws(JSONError) in try transcoder.transcodeTraces(json, into: &output) }
    }
    try result.get()
    return output.withBytes { Array($0) }
}

func transcode(_ json: String) throws(JSONError) -> [UInt8] {
    try transcode(Array(json.utf8))
}

func jsonError(_ json: String) -> JSONError? {
    do {
        _ = try transcode(json)
        return nil
    } catch {
        return error
    }
}

/// The spans of a batch as OTLP/JSON.
func json(_ batch: TraceBatch) -> [UInt8] {
    written { output in
        var writer = OTLPJSONWriter()
        for index in 0..<batch.spanCount { writer.add(batch[index], to: &output) }
        writer.finish(&output)
    }
}
