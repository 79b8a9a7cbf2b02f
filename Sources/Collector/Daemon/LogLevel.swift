import Configuration
import Logging
import SelfTelemetry

extension ServiceConfig.LogLevel {
    /// swift-log's level of the same meaning.
    var swiftLogLevel: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .warn: .warning
        case .error: .error
        }
    }
}

extension ServiceConfig.LogEncoding {
    var ofLines: LogEncoding {
        switch self {
        case .console: .console
        case .json: .json
        }
    }
}
