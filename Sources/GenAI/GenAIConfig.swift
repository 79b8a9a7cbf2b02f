import Configuration

/// `processors.genai`.
public struct GenAIConfig: Sendable {
    /// Prices that win over all others, by model name.
    public var prices: PriceTable.Layer = [:]
    /// LiteLLM's JSON or our YAML; read anew when it changes. Models that it lacks are priced by the shipped table.
    public var priceFile: String?
    /// Prices of `priceFile` as they were when the configuration was read.
    public var filePrices: PriceTable.Layer = [:]
    /// The file that `filePrices` came from.
    var fileStamp: PriceFile.Stamp?
    /// The table that ships with the collector.
    public var shippedPrices: PriceTable.Layer = [:]
    /// Whether prompts and answers are kept at all.
    public var captureContent = true
    /// The columns input and output are cut to this many bytes, a marker after them; 0 = not.
    public var contentBytesMax = 0
    /// Scopes whose spans repeat those of other instrumentations.
    public var duplicateScopes = ["com.anthropic.sdk.python"]

    private static let contentBytesRange = 0...1_073_741_824

    public init() {}

    public init(from section: ConfigSection) {
        priceFile = section.string("price_file")
        if let inline = section.section("prices") { prices = OwnPrices.read(inline) }
        captureContent = section.bool("capture_content", default: captureContent)
        contentBytesMax = section.int("content_max_bytes", default: contentBytesMax, in: Self.contentBytesRange)
        duplicateScopes = section.strings("duplicate_scopes", default: duplicateScopes)
        do throws(PriceFileError) {
            shippedPrices = try OwnPrices.shipped()
            // Before it is read: a change in between is found by the next look.
            fileStamp = priceFile.flatMap(PriceFile.stamp)
            if let priceFile { filePrices = try PriceFile.read(priceFile) }
        } catch {
            section.problem(error.description, at: "price_file")
        }
        section.finish()
    }

    /// The layers in the order in which they are asked.
    func table(filePrices: PriceTable.Layer) -> PriceTable {
        PriceTable(layers: [prices, filePrices, shippedPrices])
    }
}
