import OTLPWire

/// `grpc.health.v1.Health/Check`: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
enum HealthCheck {
    /// The `service` of a HealthCheckRequest (field 1); nil when the message is malformed.
    static func service(_ message: WireBytes) -> WireBytes? {
        var service = WireBytes(start: nil, count: 0)
        var reader = WireReader(message)
        do {
            while let field = try reader.next() {
                if field.number == 1, field.type == .lengthDelimited { service = field.bytes }
            }
        } catch {
            return nil
        }
        return service
    }

    /// HealthCheckResponse: status (field 1) SERVING = 1 or NOT_SERVING = 2.
    static func response(isServing: Bool) -> [UInt8] { [0x08, isServing ? 1 : 2] }
}
