"""A destination that is down and a queue that is full: the client is told to come back, and loses nothing."""
import grpc
import otlp
from clients import grpc_export, http_export
from google.rpc import error_details_pb2
from daemon import wait_until
from stores import count


def test_full_queue_refuses_with_a_time_to_come_back_and_keeps_what_it_took(postgres, relay, start):
    daemon = start(postgres, settings={"batch_rows": 1, "num_consumers": 1, "sending_queue": {"queue_size": 2},
                                       "retry_on_failure": {"initial_interval": "100ms", "max_interval": "1s"}})
    accepted = 0
    for _ in range(2_000):
        answer = http_export(daemon.ports.http, otlp.request([{}]))
        if answer.status != 200:
            break
        accepted += 1
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.google_status().code == grpc.StatusCode.UNAVAILABLE.value[0]

    refused = grpc_export(daemon.ports.grpc, otlp.request([{}]))
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.has(error_details_pb2.RetryInfo)
    # Where the Python SDK looks for the delay.
    info = error_details_pb2.RetryInfo.FromString(refused.trailers["google.rpc.retryinfo-bin"])
    assert info.retry_delay.seconds >= 1

    relay.open()
    wait_until(lambda: http_export(daemon.ports.http, otlp.request([{}])).status == 200, 60, "spans are taken again")
    wait_until(lambda: count(postgres) == accepted + 1, 60, "what was accepted, and nothing else, is stored")
