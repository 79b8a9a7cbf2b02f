import OTLPWire
import Pipeline
import Testing

@testable import OTLPReceiver

@Suite struct DecompressorTests {
    private let budget = MemoryBudget(limitBytes: 1 << 30)
    private let decompressor: Decompressor

    init() {
        decompressor = Decompressor(budget: budget, retainedBytesMax: 1 << 20)
    }

    private func run(_ input: [UInt8], _ compression: Compression, maxBytes: Int = 1 << 20) -> Result<[UInt8], DecompressionError> {
        input.withUnsafeBytes { bytes in decompressor.withDecompressed(bytes, compression, maxBytes: maxBytes) { Array($0) } }
    }

    @Test(arguments: [(Compression.gzip, Compressed.gzip), (.deflate, Compressed.deflate), (.zstd, Compressed.zstd)])
    func `each compression gives back the text`(compression: Compression, input: [UInt8]) {
        #expect(run(input, compression) == .success(Compressed.text))
    }

    @Test func `several gzip members are one body`() {
        #expect(run(Compressed.gzip + Compressed.gzip, .gzip) == .success(Compressed.text + Compressed.text))
    }

    @Test(arguments: [(Compression.gzip, Compressed.gzipBomb), (.zstd, Compressed.zstdBomb)])
    func `a bomb stops at the cap`(compression: Compression, input: [UInt8]) {
        #expect(run(input, compression, maxBytes: 999_999) == .failure(.tooLarge))
        #expect(run(input, compression, maxBytes: 1_000_000) == .success(Array(repeating: 0, count: 1_000_000)))
    }

    @Test(arguments: [(Compression.gzip, Compressed.gzipBomb), (.zstd, Compressed.zstdBomb)])
    func `a bomb stops at the memory that is left`(compression: Compression, input: [UInt8]) {
        let given = MemoryBudget(MemoryLimits(softBytes: 900_000, hardBytes: 1_500_000, takesOversized: false))
        let decompressor = Decompressor(budget: given, retainedBytesMax: 0)
        func run() -> Result<Int, DecompressionError> {
            input.withUnsafeBytes { bytes in
                decompressor.withDecompressed(bytes, compression, maxBytes: 1 << 30) {
                    #expect(given.usedBytes >= 1_000_000)
                    return $0.count
                }
            }
        }
        #expect(run() == .success(1_000_000))
        #expect(given.usedBytes == 0)
        given.charge(800_000)
        #expect(run() == .failure(.noMemory))
        given.release(800_000)
        given.currentLimits = MemoryLimits(softBytes: 100_000, hardBytes: 500_000, takesOversized: false)
        #expect(run() == .failure(.tooLarge))
        #expect(given.usedBytes == 0)
    }

    @Test func `a gzip trailer that lies about the size changes nothing`() {
        var lie = Compressed.gzip
        for size: [UInt8] in [[0, 0, 0, 0], [0xFF, 0xFF, 0xFF, 0xFF], [1, 0, 0, 0]] {
            lie.replaceSubrange((lie.count - 4)..., with: size)
            // libdeflate checks the size, so the lie is an error, and never more than that.
            #expect(run(lie, .gzip) == .failure(.malformed))
        }
    }

    @Test(arguments: [(Compression.gzip, Compressed.gzip), (.deflate, Compressed.deflate), (.zstd, Compressed.zstd)])
    func `every truncation is malformed`(compression: Compression, input: [UInt8]) {
        for count in 0..<input.count {
            #expect(run(Array(input[..<count]), compression) == .failure(.malformed), "cut at \(count)")
        }
    }

    @Test(arguments: [(Compression.gzip, Compressed.gzip), (.deflate, Compressed.deflate), (.zstd, Compressed.zstd)])
    func `flipped bits never trap`(compression: Compression, input: [UInt8]) {
        for bit in 0..<(input.count * 8) {
            var broken = input
            broken[bit / 8] ^= 1 << UInt8(bit % 8)
            if case .success(let bytes) = run(broken, compression, maxBytes: 4096) { #expect(bytes.count <= 4096) }
        }
        #expect(run(input, compression) == .success(Compressed.text))
    }
}
