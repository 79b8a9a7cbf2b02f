/// What a detector finds. Raw values are the names of the configuration (`detect:`), of metric labels and of `redaction.kinds`.
public enum Kind: String, CaseIterable, Sendable {
    case email
    case phone
    case creditCard = "credit_card"
    case usSSN = "us_ssn"
    case iban
    case ipAddress = "ip_address"
    case macAddress = "mac_address"
    case urlCredentials = "url_credentials"
    case usITIN = "us_itin"
    case ukNHS = "uk_nhs"
    case ukNINO = "uk_nino"
    case caSIN = "ca_sin"
    case auTFN = "au_tfn"
    case inAadhaar = "in_aadhaar"
    case cryptoWallet = "crypto_wallet"
    case dateOfBirth = "date_of_birth"
    case secrets

    /// What stands in the place of a value of this kind under the strategy `replace`.
    public var placeholder: StaticString {
        switch self {
        case .email: "<EMAIL>"
        case .phone: "<PHONE>"
        case .creditCard: "<CREDIT_CARD>"
        case .usSSN: "<US_SSN>"
        case .iban: "<IBAN>"
        case .ipAddress: "<IP_ADDRESS>"
        case .macAddress: "<MAC_ADDRESS>"
        case .urlCredentials: "<URL_CREDENTIALS>"
        case .usITIN: "<US_ITIN>"
        case .ukNHS: "<UK_NHS>"
        case .ukNINO: "<UK_NINO>"
        case .caSIN: "<CA_SIN>"
        case .auTFN: "<AU_TFN>"
        case .inAadhaar: "<IN_AADHAAR>"
        case .cryptoWallet: "<CRYPTO_WALLET>"
        case .dateOfBirth: "<DATE_OF_BIRTH>"
        case .secrets: "<SECRET>"
        }
    }

    /// Values of these kinds open doors: no strategy may leave a trace of them, not even a keyed hash.
    public var isCredential: Bool { self == .secrets || self == .urlCredentials }
}

/// A set of kinds as a word.
public struct KindSet: OptionSet, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    @inline(__always)
    init(_ kind: Kind) {
        rawValue = 1 << UInt32(kind.index)
    }

    public init(_ kinds: [Kind]) {
        self = kinds.reduce(into: []) { $0.insert(KindSet($1)) }
    }

    /// The contract's list.
    public static let standard = KindSet([.email, .phone, .creditCard, .usSSN, .iban, .ipAddress, .secrets])
    public static let all = KindSet(Kind.allCases)

    @inline(__always)
    func has(_ kind: Kind) -> Bool { contains(KindSet(kind)) }

    /// What a digit can be part of.
    static let numbers = KindSet([
        .phone, .creditCard, .usSSN, .ipAddress, .usITIN, .ukNHS, .caSIN, .auTFN, .inAadhaar, .dateOfBirth,
    ])
}

extension Kind {
    /// Position among the kinds: 0 and up.
    var index: Int {
        switch self {
        case .email: 0
        case .phone: 1
        case .creditCard: 2
        case .usSSN: 3
        case .iban: 4
        case .ipAddress: 5
        case .macAddress: 6
        case .urlCredentials: 7
        case .usITIN: 8
        case .ukNHS: 9
        case .ukNINO: 10
        case .caSIN: 11
        case .auTFN: 12
        case .inAadhaar: 13
        case .cryptoWallet: 14
        case .dateOfBirth: 15
        case .secrets: 16
        }
    }
}

/// A value found in a text: byte offsets in it, the end not included.
struct Match {
    var start: Int
    var end: Int
    var kind: Kind

    @inline(__always)
    init(_ kind: Kind, _ start: Int, _ end: Int) {
        self.kind = kind
        self.start = start
        self.end = end
    }
}
