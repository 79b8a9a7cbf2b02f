import Foundation

/// A thread for what blocks, joined at the end.
final class BlockingThread: @unchecked Sendable {
    private let done = DispatchSemaphore(value: 0)

    init(_ body: @escaping () -> Void) {
        let box = Box(body: body)
        Thread.detachNewThread { [done] in
            box.body()
            done.signal()
        }
    }

    func join() { done.wait() }

    private struct Box: @unchecked Sendable {
        let body: () -> Void
    }
}
