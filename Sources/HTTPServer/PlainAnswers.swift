/// Answers to requests that no service ever saw, because the protocol itself or a limit of it was violated.
enum PlainAnswers {
    static let badRequest = plain(400, "malformed request")
    static let requestTimeout = plain(408, "the request's head did not come in time")
    static let expectationFailed = plain(417, "only 100-continue can be expected")
    static let headersTooLarge = plain(431, "the header section is too large")
    static let versionNotSupported = plain(505, "HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here")

    private static func plain(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("content-type", "text/plain; charset=utf-8")], body: Array((text + "\n").utf8))
    }
}
