import Testing

@testable import OTLPWire

/// What `write` puts into an empty buffer.
func written(_ write: (inout OutputBuffer) -> Void) -> [UInt8] {
    var buffer = OutputBuffer()
    write(&buffer)
    return buffer.withBytes { Array($0) }
}

func writtenText(_ write: (inout OutputBuffer) -> Void) -> String {
    String(decoding: written(write), as: UTF8.self)
}

@Suite struct OutputBufferTests {
    @Test func integersAreBigEndianAndLittleEndianAsAsked() {
        #expect(written { $0.appendBigEndian(UInt32(0x0102_0304)) } == [1, 2, 3, 4])
        #expect(written { $0.appendLittleEndian(UInt32(0x0102_0304)) } == [4, 3, 2, 1])
        #expect(written { $0.appendBigEndian(Int16(-2)) } == [0xFF, 0xFE])
        #expect(written { $0.appendBigEndian(1.5) } == [0x3F, 0xF8, 0, 0, 0, 0, 0, 0])
    }

    @Test func growingKeepsWhatWasWritten() {
        let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let single = written { buffer in for byte in bytes { buffer.append(byte) } }
        let whole = written { buffer in bytes.withUnsafeBytes { buffer.append($0) } }
        #expect(single == bytes)
        #expect(whole == bytes)
    }

    @Test func gapsArePatchedAndTruncationForgets() {
        #expect(
            written { buffer in
                buffer.append(7)
                let gap = buffer.appendGap(4)
                buffer.append(8)
                buffer.patchBigEndian(Int32(-1), at: gap)
                buffer.patch(9, at: 0)
                buffer.append(1)
                buffer.truncate(to: 6)
            } == [9, 0xFF, 0xFF, 0xFF, 0xFF, 8])
    }

    @Test func shiftMovesTheTailBothWays() {
        #expect(
            written { buffer in
                for byte: UInt8 in [1, 2, 3, 4] { buffer.append(byte) }
                buffer.shift(from: 2, by: 2)
                buffer.patch(0, at: 2)
                buffer.patch(0, at: 3)
            } == [1, 2, 0, 0, 3, 4])
        #expect(
            written { buffer in
                for byte: UInt8 in [1, 2, 3, 4] { buffer.append(byte) }
                buffer.shift(from: 3, by: -2)
            } == [1, 4])
    }

    @Test func emptyingGivesLargeMemoryBack() {
        var buffer = OutputBuffer(capacity: 1 << 20)
        buffer.append(1)
        buffer.removeAll(keepingCapacity: 1 << 20)
        #expect(buffer.capacity == 1 << 20)
        buffer.removeAll(keepingCapacity: 4096)
        #expect(buffer.capacity <= 4096)
        #expect(buffer.count == 0)
    }

    @Test func decimalsReadBack() {
        var values: [UInt64] = [0, .max]
        var power: UInt64 = 1
        for _ in 0..<19 {
            power *= 10
            values += [power - 1, power, power + 1]
        }
        for value in values {
            #expect(writtenText { $0.appendDecimal(value) } == String(value))
        }
        for value in [Int64.min, .max, -1, 0, 9, 10, 99, 100, -12345] {
            #expect(writtenText { $0.appendDecimal(value) } == String(value))
        }
    }
}

@Suite struct DoubleTextTests {
    @Test(arguments: [
        (0.0, "0.0"), (-0.0, "-0.0"), (1, "1.0"), (-17, "-17.0"), (0.2, "0.2"), (-0.05, "-0.05"), (0.000123, "0.000123"),
        (12345.678, "12345.678"), (1e15, "1000000000000000.0"), (1e21, "1000000000000000000000.0"), (1e-7, "0.0000001"),
        (0.1 + 0.2, "0.30000000000000004"), (123456789012345.6, "123456789012345.6"), (1.5e-10, "0.00000000015"),
        (999999999999999.9, "999999999999999.9"), (1234567890123456768, "1234567890123456800.0"),
    ])
    func plainFormHasAFractionAndNoExponent(value: Double, text: String) {
        #expect(writtenText { $0.appendPlainDouble(value) } == text)
    }

    @Test func everyFiniteDoubleReadsBackExactly() {
        var random = SeededRandom(seed: 1)
        var values: [Double] = [.leastNonzeroMagnitude, .greatestFiniteMagnitude, .leastNormalMagnitude, .pi, 1 / 3, 0.1]
        for _ in 0..<2_000 {
            let any = Double(bitPattern: random.next())
            if any.isFinite { values.append(any) }
            values.append(Double(Int64.random(in: -999_999...999_999, using: &random)) / 1000)
            values.append(Double.random(in: -1...1, using: &random))
        }
        for value in values {
            let plain = writtenText { $0.appendPlainDouble(value) }
            #expect(Double(plain)?.bitPattern == value.bitPattern)
            #expect(plain.contains(".") && !plain.contains("e"))
            let json = writtenText { $0.appendProtobufJSONDouble(value) }
            #expect(Double(json)?.bitPattern == value.bitPattern)
        }
    }

    @Test func shortFormIsTheShortest() {
        var random = SeededRandom(seed: 2)
        for _ in 0..<5_000 {
            let scale = [1.0, 10, 100, 1000, 1e6, 1e9][Int.random(in: 0..<6, using: &random)]
            let value = Double(Int64.random(in: 0...9_999_999_999, using: &random)) / scale
            let plain = writtenText { $0.appendPlainDouble(value) }
            if !value.description.contains("e") { #expect(plain == value.description) }
        }
    }

    @Test func whatJSONCannotHoldIsTagged() {
        #expect(writtenText { $0.appendTaggedDouble(.nan) } == #"{"double": "NaN"}"#)
        #expect(writtenText { $0.appendTaggedDouble(.infinity) } == #"{"double": "Infinity"}"#)
        #expect(writtenText { $0.appendTaggedDouble(-.infinity) } == #"{"double": "-Infinity"}"#)
        #expect(writtenText { $0.appendTaggedDouble(-0.0) } == #"{"double": "-0"}"#)
        #expect(writtenText { $0.appendTaggedDouble(0) } == "0.0")
        #expect(writtenText { $0.appendProtobufJSONDouble(.nan) } == #""NaN""#)
        #expect(writtenText { $0.appendProtobufJSONDouble(.infinity) } == #""Infinity""#)
        #expect(writtenText { $0.appendProtobufJSONDouble(-.infinity) } == #""-Infinity""#)
    }
}
