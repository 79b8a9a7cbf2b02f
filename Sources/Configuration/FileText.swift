/// Reads small text files: the configuration's own and those of `${file:PATH}`.
enum FileText {
    struct Failure: Error {
        /// Why, in words that end "cannot be read: …".
        let reason: String
    }

    /// The file's text. Fails when it cannot be opened, is larger than `ConfigurationLimits.fileBytesMax`, or is not UTF-8.
    static func read(_ path: String) throws(Failure) -> String {
        let bytes: [UInt8]
        do throws(FileBytes.Failure) {
            bytes = try FileBytes.read(path, bytesMax: ConfigurationLimits.fileBytesMax)
        } catch {
            switch error {
            case .unreadable(let reason): throw Failure(reason: reason)
            case .tooLarge: throw Failure(reason: "larger than \(ConfigurationLimits.fileBytesMax >> 20) MiB")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw Failure(reason: "not UTF-8 text") }
        return text
    }
}
