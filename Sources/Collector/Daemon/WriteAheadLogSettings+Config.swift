import Configuration
import Pipeline

extension WriteAheadLogSettings {
    /// As `service.write_ahead_log` says.
    init(_ config: WriteAheadLogConfig) {
        self.init(
            directory: config.directory, maxSizeBytes: config.maxSizeMiB << 20, segmentBytes: config.segmentMiB << 20,
            sync: config.sync == .always ? .always : .interval(config.syncInterval), dedupWindow: config.dedupWindow)
    }
}
