import Testing
@testable import Pipeline

@Suite struct FanOutTests {
    @Test func eachConsumerGetsTheBatch() {
        let consumers = [RecordingConsumer(), RecordingConsumer(), RecordingConsumer()]
        #expect(FanOut.make(consumers).consume(Numbers(0..<3)) == .accepted)
        for consumer in consumers { #expect(consumer.received == [Numbers(0..<3)]) }
    }

    @Test func nobodyGetsTheBatchWhenOneIsNotReady() {
        for position in 0..<3 {
            let consumers = (0..<3).map { RecordingConsumer(refusing: $0 == position ? full : nil) }
            let fanOut = FanOut.make(consumers)
            #expect(fanOut.admission == full)
            #expect(fanOut.consume(Numbers(0..<3)) == full)
            for consumer in consumers { #expect(consumer.received.isEmpty) }
        }
    }

    @Test func nobodyGetsTheBatchWhenTheFirstChangesItsMind() {
        let consumers = [RecordingConsumer(refusing: full, asksKindly: true), RecordingConsumer()]
        #expect(FanOut.make(consumers).consume(Numbers(0..<3)) == full)
        #expect(consumers[1].received.isEmpty)
    }

    @Test func theOtherOnesGetTheBatchWhenALaterOneChangesItsMindAndTheRefusalIsPassedOn() {
        let consumers = [RecordingConsumer(), RecordingConsumer(refusing: full, asksKindly: true), RecordingConsumer()]
        #expect(FanOut.make(consumers).consume(Numbers(0..<3)) == full)
        #expect(consumers[0].received.count == 1 && consumers[2].received.count == 1)
    }

    @Test func aSingleConsumerStandsForItself() {
        let consumer = RecordingConsumer()
        #expect(FanOut.make([consumer]) === consumer)
    }

    @Test func withoutConsumersNothingIsTaken() {
        let fanOut = FanOut<Numbers>.make([])
        #expect(fanOut.admission == .permanent(.noPipeline))
        #expect(fanOut.consume(Numbers(0..<1)) == .permanent(.noPipeline))
    }

    @Test func everyRefusalHasASentence() {
        for refusal in Refusal.allCases { #expect(refusal.message.contains(" ")) }
    }
}
