/// What a row may hold, so that no database refuses one for its data. Bytes are of UTF-8.
///
/// PostgreSQL's own bounds: a btree entry takes about 2,704 bytes, a jsonb value 256 MiB, a row or a message 1 GiB.
enum RowLimits {
    /// project_id, provider and model: the index of compressed chunks holds all three together.
    static let segmentTextBytesMax = 256
    /// Other indexed text; service_name too, which the continuous aggregates index.
    static let indexedTextBytesMax = 2_600
    /// Text that no index holds (name, status message, trace state, scope). Six of these and three of `jsonTextBytesMax`
    /// with its values stay below a row's 1 GiB.
    static let textBytesMax = 16 * 1024 * 1024
    /// JSON text of one jsonb column.
    static let jsonTextBytesMax = 96 * 1024 * 1024
    /// Values, containers included, in one jsonb column: each costs up to 16 bytes in jsonb beyond its text (16 MiB in all), and
    /// the server's JSON parser about 72 bytes while it reads.
    static let jsonValuesMax = 1024 * 1024
}
