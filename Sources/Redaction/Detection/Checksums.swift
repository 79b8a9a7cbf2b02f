/// A short list of digits, letters as values, or groups: what the checks below work on.
struct Digits {
    /// More than any number here has (a card has 19, an IBAN 34 characters, phones 15).
    static let capacity = 64
    private var storage = SIMD64<UInt8>(repeating: 0)
    private(set) var count = 0

    var isFull: Bool { count == Self.capacity }

    mutating func append(_ value: UInt8) {
        guard !isFull else { return }
        storage[count] = value
        count += 1
    }

    subscript(_ index: Int) -> UInt8 { index < count ? storage[index] : 0 }

    func prefix(_ count: Int) -> Digits {
        var part = self
        part.count = min(count, self.count)
        return part
    }

    /// The first `count` digits as a number.
    func number(_ count: Int) -> Int {
        var value = 0
        for index in 0..<min(count, self.count) { value = value * 10 + Int(self[index]) }
        return value
    }
}

/// Check digits of the numbers that have them.
enum Checksums {
    /// ISO/IEC 7812-1, annex B: cards and Canadian social insurance numbers.
    static func luhn(_ digits: Digits) -> Bool {
        var sum = 0
        for offset in 0..<digits.count {
            var digit = Int(digits[digits.count - 1 - offset])
            if offset % 2 == 1 {
                digit *= 2
                if digit > 9 { digit -= 9 }
            }
            sum += digit
        }
        return sum % 10 == 0
    }

    /// ISO 7064 MOD 97-10 as ISO 13616 uses it for IBANs: `characters` are values, A = 10 and so on, in the order written.
    static func mod97(_ characters: Digits) -> Bool {
        guard characters.count > 4 else { return false }
        var remainder = 0
        for offset in 0..<characters.count {
            let value = Int(characters[(offset + 4) % characters.count])
            remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97
        }
        return remainder == 1
    }

    /// NHS number, data dictionary of the NHS: weights 10 to 2, modulo 11.
    static func nhs(_ digits: Digits) -> Bool {
        guard digits.count == 10 else { return false }
        var sum = 0
        for index in 0..<9 { sum += Int(digits[index]) * (10 - index) }
        let check = 11 - sum % 11
        return check != 10 && check % 11 == Int(digits[9])
    }

    /// Australian tax file number of 9 digits: weighted sum divisible by 11.
    static func tfn(_ digits: Digits) -> Bool {
        guard digits.count == 9 else { return false }
        let weights: SIMD16<UInt8> = [1, 4, 3, 7, 5, 8, 6, 9, 10, 0, 0, 0, 0, 0, 0, 0]
        var sum = 0
        for index in 0..<9 { sum += Int(digits[index]) * Int(weights[index]) }
        return sum % 11 == 0
    }

    /// Verhoeff's scheme over the dihedral group of ten elements: Aadhaar.
    static func verhoeff(_ digits: Digits) -> Bool {
        var check = 0
        for offset in 0..<digits.count {
            check = product(check, permuted(Int(digits[digits.count - 1 - offset]), times: offset % 8))
        }
        return check == 0
    }

    /// The group's operation: rotations 0-4, reflections 5-9.
    private static func product(_ left: Int, _ right: Int) -> Int {
        switch (left < 5, right < 5) {
        case (true, true): (left + right) % 5
        case (true, false): 5 + (left + right - 5) % 5
        case (false, true): 5 + (left - right) % 5
        case (false, false): (left - right + 5) % 5
        }
    }

    /// The permutation (1 5 8 9 4 2 7 0)(3 6), applied `times` times.
    private static func permuted(_ digit: Int, times: Int) -> Int {
        let once: SIMD16<UInt8> = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4, 0, 0, 0, 0, 0, 0]
        var value = digit
        for _ in 0..<times { value = Int(once[value]) }
        return value
    }

    /// An address of Bitcoin's segregated witness after its human-readable part: `data` are 5-bit values. BIP 173; BIP 350 for the
    /// versions from 1 on.
    static func segwit(_ data: Digits, hrp: StaticString) -> Bool {
        let (version, valueCount) = (data[0], data.count - 7)
        let (programBytes, spareBits) = (valueCount * 5 / 8, valueCount * 5 % 8)
        guard version <= 16, spareBits < 5, (2...40).contains(programBytes) else { return false }
        if version == 0, programBytes != 20, programBytes != 32 { return false }
        // The bits that fill up the last value are zero.
        guard data[valueCount] & (1 << spareBits - 1) == 0 else { return false }
        return bech32(data, hrp: hrp) == (version == 0 ? 1 : 0x2BC8_30A3)
    }

    /// The remainder of BIP 173's polynomial: 1 for Bech32, another constant for Bech32m.
    private static func bech32(_ data: Digits, hrp: StaticString) -> UInt32 {
        var state: UInt32 = 1
        func feed(_ value: UInt8) {
            let generators: SIMD8<UInt32> = [0x3B6A_57B2, 0x2650_8E6D, 0x1EA1_19FA, 0x3D42_33DD, 0x2A14_62B3, 0, 0, 0]
            let top = state >> 25
            state = (state & 0x1FF_FFFF) << 5 ^ UInt32(value)
            for bit in 0..<5 where top >> UInt32(bit) & 1 == 1 { state ^= generators[bit] }
        }
        for index in 0..<hrp.utf8CodeUnitCount { feed(hrp.utf8Start[index] >> 5) }
        feed(0)
        for index in 0..<hrp.utf8CodeUnitCount { feed(hrp.utf8Start[index] & 31) }
        for index in 0..<data.count { feed(data[index]) }
        return state
    }
}
