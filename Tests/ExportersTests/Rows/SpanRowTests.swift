import OTLPWire
import Pipeline
import Testing

@testable import Exporters

@Suite struct SpanRowTests {
    private let received = Model.noon + 5_000_000_000

    private func row(start: UInt64, end: UInt64, window: TimestampWindow = CopyFile.window) throws -> SpanRow {
        var rows: [SpanRow] = []
        let batch = try Model.batch(Model.request([ModelSpan(start: start, end: end)]), received: received)
        batch.forEach { rows.append(SpanRow($0, window: window)) }
        return try #require(rows.first)
    }

    @Test func aPlausibleStartIsTheTimestamp() throws {
        let row = try row(start: Model.noon + 1_999, end: Model.noon + 2_001_999)
        #expect(row.timestampMicroseconds == Int64(Model.noon / 1_000) + 1)
        #expect(!row.isTimestampReplaced)
        #expect(row.durationMilliseconds == 2)
        #expect(row.durationNano == 2_000_000)
        #expect(row.startUnixNano == Int64(Model.noon) + 1_999)
        #expect(row.adjustedCount == 1)
    }

    @Test(arguments: [0, 1, Model.noon - 91 * 86_400_000_000_000, Model.noon + 3_700_000_000_000, UInt64.max])
    func anImplausibleStartYieldsTheArrivalTimeAndIsKept(start: UInt64) throws {
        let row = try row(start: start, end: start &+ 1_000)
        #expect(row.isTimestampReplaced)
        #expect(row.timestampMicroseconds == Int64(received / 1_000))
        #expect(UInt64(bitPattern: row.startUnixNano) == start)
    }

    @Test func theWindowIsClosedAtBothEnds() {
        let window = TimestampWindow(past: .seconds(1), future: .seconds(2))
        #expect(window.contains(9_000_000_000, arrival: 10_000_000_000))
        #expect(!window.contains(8_999_999_999, arrival: 10_000_000_000))
        #expect(window.contains(12_000_000_000, arrival: 10_000_000_000))
        #expect(!window.contains(12_000_000_001, arrival: 10_000_000_000))
        let endless = TimestampWindow(past: .seconds(Int64.max), future: .seconds(-1))
        #expect(endless.contains(1, arrival: .max) && !endless.contains(.max, arrival: 1))
    }

    @Test func tenThousandSpansOnTenThousandDaysFallOnFewDays() throws {
        let day: UInt64 = 86_400_000_000_000
        let spans = (0..<10_000).map { ModelSpan(start: UInt64($0 + 1) * day, end: UInt64($0 + 1) * day + 1) }
        var days: Set<Int64> = []
        var replaced = 0
        try Model.batch(Model.request(spans), received: received).forEach {
            let row = SpanRow($0, window: CopyFile.window)
            days.insert(row.timestampMicroseconds / 86_400_000_000)
            if row.isTimestampReplaced { replaced += 1 }
        }
        #expect(days.count <= 92)
        #expect(replaced >= 10_000 - 92)
    }

    @Test func anEndBeforeTheStartIsNoDurationAndComesBackExactly() throws {
        let row = try row(start: Model.noon, end: Model.noon - 3_000_000)
        #expect(row.durationMilliseconds == 0)
        #expect(row.durationNano == -3_000_000)
    }

    @Test func aMissingTimeMakesNoDuration() throws {
        #expect(try row(start: Model.noon, end: 0).durationMilliseconds == 0)
        #expect(try row(start: 0, end: Model.noon).durationMilliseconds == 0)
    }

    @Test(arguments: [(0, .max), (.max, 0), (.max, .max), (1, .max), (1 << 63, 1)] as [(UInt64, UInt64)])
    func startAndEndComeBackExactlyFromAnyTimes(start: UInt64, end: UInt64) throws {
        let row = try row(start: start, end: end)
        #expect(UInt64(bitPattern: row.startUnixNano) == start)
        #expect(UInt64(bitPattern: row.startUnixNano &+ row.durationNano) == end)
        #expect(row.durationMilliseconds.isFinite)
    }

    @Test func columnTextIsCutAtACharactersEnd() {
        func cut(_ bytes: [UInt8], _ most: Int) -> [UInt8] {
            var output = OutputBuffer()
            output.append("x")
            bytes.withUnsafeBytes { output.appendColumnText($0, bytesMax: most) }
            return output.withBytes { Array($0.dropFirst()) }
        }
        #expect(cut(Array("abcdef".utf8), 4) == Array("abcd".utf8))
        #expect(cut(Array("abcd".utf8), 4) == Array("abcd".utf8))
        #expect(cut(Array("abcé".utf8), 4) == Array("abc".utf8))
        #expect(cut(Array("a🙂b".utf8), 4) == Array("a".utf8))
        #expect(cut(Array("a🙂b".utf8), 5) == Array("a🙂".utf8))
        // One byte becomes the three of a replacement character.
        #expect(cut([0xFF, 0xFF], 4) == Array("\u{FFFD}".utf8))
        #expect(cut([0, 0x61], 2) == [])
        for most in 0...20 {
            let text = Array("aé€🙂é€🙂".utf8)
            let result = cut(text, most)
            #expect(result.count <= most && most - result.count < 4 || result == text)
            #expect(String(validating: result, as: UTF8.self) != nil)
        }
    }

    @Test func kindsAndStatusWithoutANameAreWrittenAsNumbers() {
        func text(_ write: (inout OutputBuffer) -> Void) -> String {
            var output = OutputBuffer()
            write(&output)
            return output.withBytes { String(decoding: $0, as: UTF8.self) }
        }
        #expect(
            (0...5).map { kind in text { $0.appendKind(kind) } } == ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"])
        #expect(text { $0.appendKind(-7) } == "-7")
        #expect((0...3).map { code in text { $0.appendStatus(code) } } == ["UNSET", "OK", "ERROR", "3"])
    }
}
