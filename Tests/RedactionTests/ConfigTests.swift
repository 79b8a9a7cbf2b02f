import Configuration
import Testing
@testable import Redaction

@Suite struct ConfigTests {
    @Test func theContractsExampleIsUnderstood() throws {
        let section = try ConfigSection(yaml: """
            fields: [span.attributes.user.email, event.attributes.user.*, span.name]
            strategy: hash
            hash_key: 0123456789abcdef-key
            detect: [email, phone, credit_card, us_ssn, iban, ip_address, secrets]
            scan: [attributes, events, name, status_message, resource]
            allow: [support@example.com, '*.internal.example.com']
            rules:
              - {detect: secrets, strategy: replace}
              - {detect: [email, phone], strategy: mask}
              - {fields: [span.attributes.customer.*], strategy: remove}
            custom: [{name: order_number, regex: 'ORD-\\d+', strategy: partial}]
            summary: true
            """)
        let config = PIIRedactionConfig(from: section)
        #expect(section.problemMessages == [])
        #expect(config.strategy == .hash)
        #expect(config.hashKey != nil)
        #expect(config.strategies == [.secrets: .replace, .email: .mask, .phone: .mask])
        #expect(config.places.count == 5)
        #expect(config.customs.map(\.name) == ["order_number"])
        #expect(config.summary)
        #expect(config.fields.name == .hash)
        let key = Array("customer.name".utf8)
        #expect(key.withUnsafeBytes { config.fields.span.strategy(for: $0) } == .remove)
    }

    @Test func withoutKeysTheContractsDefaultsHold() throws {
        let section = try ConfigSection(yaml: "")
        let config = PIIRedactionConfig(from: section)
        #expect(section.problemMessages == [])
        #expect(config.strategy == .hash)
        #expect(config.places == [.attributes, .events, .statusMessage])
        #expect(config.detect == [.email, .phone, .creditCard, .usSSN, .iban, .ipAddress, .secrets])
        #expect(!config.summary)
    }

    @Test(arguments: [
        ("hash_key: short", "hash_key: must have at least 16 bytes"),
        ("detect: [emial]", "detect: there is no detector 'emial'"),
        ("scan: [attribute]", "scan: there is no place 'attribute'"),
        ("fields: [user.email]", "fields: 'user.email' is not a field"),
        ("fields: [span.attributes.]", "fields: 'span.attributes.' is not a field"),
        ("rules: [{detect: secrets, strategy: hash}]", "secrets are always replaced"),
        ("rules: [{detect: iban}]", "strategy: is required"),
        ("rules: [{detect: uk_nhs, strategy: mask}]", "uk_nhs is not in the processor's `detect`"),
        ("rules: [{strategy: mask}]", "a rule names what to `detect`, or `fields`"),
        ("custom: [{name: x, regex: 'a('}]", "not a regular expression, at offset"),
        ("custom: [{name: x, regex: '(a)\\1'}]", "not a regular expression, at offset 3"),
        ("custom: [{name: email, regex: a}]", "there is a detector 'email' already"),
        ("custom: [{name: 'A b', regex: a}]", "must be of small letters"),
        ("strategi: hash", "unknown key 'strategi'"),
    ])
    func aMistakeIsAProblemWithItsKey(_ yaml: String, _ expected: String) throws {
        let section = try ConfigSection(yaml: yaml)
        _ = PIIRedactionConfig(from: section)
        #expect(section.problemMessages.contains { $0.contains(expected) }, "\(section.problemMessages)")
    }
}
