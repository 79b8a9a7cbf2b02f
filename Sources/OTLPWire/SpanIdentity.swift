extension SpanView {
    /// `scope.identity` without reading the scope: for asking, span by span, whether it is still the same.
    @inline(__always)
    public var scopeIdentity: UnsafeRawPointer { UnsafeRawPointer(record.pointee.scope) }
}
