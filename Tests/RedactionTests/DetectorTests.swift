import Testing
@testable import Redaction

@Suite struct DetectorTests {
    let redact = Rewriting()

    @Test(arguments: [
        ("write to jane.doe+x@mail.example.co.uk, please", "write to <EMAIL>, please"),
        ("<müller@example.de>", "<<EMAIL>>"),
        ("call +49 170 1234567 now", "call <PHONE> now"),
        ("or (581) 896-0013.", "or <PHONE>."),
        ("001-581-896-0013x3890", "<PHONE>"),
        ("+44(0)1144960123", "<PHONE>"),
        ("01 23 45 67 89", "<PHONE>"),
        ("card 4111 1111 1111 1111 123", "card <CREDIT_CARD> 123"),
        ("card 378282246310005", "card <CREDIT_CARD>"),
        ("078-05-1120", "<US_SSN>"),
        ("912-70-1234", "<US_ITIN>"),
        ("DE89 3704 0044 0532 0130 00", "<IBAN>"),
        ("GB82WEST12345698765432", "<IBAN>"),
        ("at 10.2.33.17:443", "at <IP_ADDRESS>:443"),
        ("http://10.2.33.17/x", "http://<IP_ADDRESS>/x"),
        ("from 2001:db8::8a2e:370:7334", "from <IP_ADDRESS>"),
        ("[fe80::1]", "[<IP_ADDRESS>]"),
        ("mac 00:1b:44:11:3a:b7 up", "mac <MAC_ADDRESS> up"),
        ("00-1B-44-11-3A-B7", "<MAC_ADDRESS>"),
        ("943 476 5919", "<UK_NHS>"),
        ("AB 12 34 56 C", "<UK_NINO>"),
        ("130 692 544", "<CA_SIN>"),
        ("tfn 123 456 782", "tfn <AU_TFN>"),
        ("2341 2341 2346", "<IN_AADHAAR>"),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "<CRYPTO_WALLET>"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "<CRYPTO_WALLET>"),
        ("born on 12 March 1990", "born on <DATE_OF_BIRTH>"),
        ("https://joe:hunter2@example.com/", "https://<URL_CREDENTIALS>@example.com/"),
    ])
    func valuesAreFoundInText(_ text: String, _ expected: String) {
        #expect(redact(text) == expected)
    }

    @Test(arguments: [
        "order ORD-2024-123456", "1234567890", "550e8400-e29b-41d4-a716-446655440000", "2024-11-21T07:13:00.123456Z",
        "v1.2.3.4", "version 1.2.3.4", "Chrome/120.0.1.2", "lib-1.2.3.4", "1.2.3.4.5", "256.1.1.1", "std::vector::at", "12:34:56",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "4111111111111112", "666-12-3456", "000-12-3456",
        "2024-11-21", "react@18.2.0", "@jane", "sk-learn-something-rather-long", "a@b", "DE89370400440532013001", "deployed on 12.03.2024",
        "single 268021284", "Basic ideas are fine", "password=${PASSWORD}", "http://example.com:8080/@user",
    ])
    func whatLooksLikeThemIsLeftAlone(_ text: String) {
        #expect(redact(text) == text)
    }

    @Test(arguments: [
        "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "glpat-a1b2c3d4e5f6g7h8i9j0", "xoxb-123456789012-abcdefGHIJ12",
        "sk-ant-api03-abcdefghij0123456789klmnop", "sk-proj-abcdefghij0123456789_x", "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "hf_abcdefghijklmnopqrstuvwxyz012345", "npm_abcdefghijklmnopqrstuvwxyz0123456789",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijklmnop",
        "SG.abcdefghij0123456789ab.abcdefghijklmnopqrstuvwxyz0123456789abcdefg",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc=\n-----END RSA PRIVATE KEY-----",
    ])
    func secretsAreReplacedWhateverTheStrategy(_ secret: String) {
        for strategy in Strategy.allCases {
            let redact = Rewriting(.standard, strategy)
            #expect(redact("key \(secret), and") == "key <SECRET>, and")
            #expect(redact("a\\n\(secret)") == "a\\n<SECRET>")
        }
    }

    @Test func onlyThePasswordOfAConnectionStringGoes() {
        #expect(redact("postgresql://app:s3cr3t@db:5432/x") == "postgresql://app:<SECRET>@db:5432/x")
        #expect(redact("Server=db;Uid=app;Password=s3*cr3t;X=1") == "Server=db;Uid=app;Password=<SECRET>;X=1")
    }

    @Test func theSchemeOfAnAuthorizationStays() {
        #expect(redact("Authorization: Bearer abc.def") == "Authorization: Bearer <SECRET>")
        #expect(redact("Authorization: Basic dXNlcjpwYXNz") == "Authorization: Basic <SECRET>")
        #expect(redact("Bearer 0123456789") == "Bearer <SECRET>")
        #expect(redact(#"{"Authorization": "Bearer 0123456789"}"#) == #"{"Authorization": "Bearer <SECRET>"}"#)
    }

    @Test func anAttributesKeyIsAContext() {
        #expect(redact("1990-03-12") == "1990-03-12")
        #expect(redact("1990-03-12", name: "user.date_of_birth") == "<DATE_OF_BIRTH>")
        #expect(redact(#"{"dob": "1990-03-12", "on": "2024-03-12"}"#) == #"{"dob": "<DATE_OF_BIRTH>", "on": "2024-03-12"}"#)
    }

    @Test func onlyEnabledDetectorsFind() {
        let redact = Rewriting(KindSet([.email]))
        #expect(redact("a@b.co 10.2.3.4 078-05-1120 AKIAIOSFODNN7EXAMPLE") == "<EMAIL> 10.2.3.4 078-05-1120 AKIAIOSFODNN7EXAMPLE")
    }
}
