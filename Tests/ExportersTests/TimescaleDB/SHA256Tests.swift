import Crypto
import Testing

@Suite struct SHA256Tests {
    @Test(arguments: [
        ("", UInt64(0xe3b0_c442_98fc_1c14)), ("abc", 0xba78_16bf_8f01_cfea),
        ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 0x248d_6a61_d206_38b8),
    ])
    func digestsAreThoseOfTheStandard(text: String, prefix: UInt64) {
        Array(text.utf8).withUnsafeBytes {
            #expect(SHA256.prefix64($0) == prefix)
            #expect(SHA256.digest($0).count == SHA256.byteCount)
        }
    }
}
