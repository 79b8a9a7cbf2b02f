"""A small fake of the OpenAI and Anthropic HTTP APIs on a free loopback port: as much as their SDKs need to be satisfied."""
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ANSWER = "All is well."
OPENAI_USAGE = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 10}}
ANTHROPIC_USAGE = {"input_tokens": 80, "output_tokens": 30, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 20}
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}


def _openai_chat(asked):
    base = {"id": "chatcmpl-1", "created": 1_767_268_800, "model": f"{asked['model']}-2024-08-06"}
    if not asked.get("stream"):
        message = {"role": "assistant", "content": ANSWER}
        reason = "stop"
        if asked.get("tools"):
            message, reason = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}, "tool_calls"
        return {**base, "object": "chat.completion", "usage": OPENAI_USAGE,
                "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}]}
    chunks = [{"role": "assistant", "content": ""}, {"content": "All is "}, {"content": "well."}, {}]
    events = [{**base, "object": "chat.completion.chunk", "choices": [
        {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]} for delta in chunks]
    if asked.get("stream_options", {}).get("include_usage"):
        events.append({**base, "object": "chat.completion.chunk", "choices": [], "usage": OPENAI_USAGE})
    return [(None, json.dumps(event)) for event in events] + [(None, "[DONE]")]


def _openai_embeddings(asked):
    return {"object": "list", "model": asked["model"], "usage": {"prompt_tokens": 8, "total_tokens": 8},
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]}


def _anthropic_messages(asked):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": asked["model"], "stop_reason": "end_turn",
               "stop_sequence": None, "usage": ANTHROPIC_USAGE, "content": [{"type": "text", "text": ANSWER}]}
    if asked.get("tools"):
        message["stop_reason"] = "tool_use"
        message["content"] = [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Ulm"}}]
    if not asked.get("stream"):
        return message
    start = {**message, "content": [], "stop_reason": None, "usage": {**ANTHROPIC_USAGE, "output_tokens": 1}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ANSWER}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 30}},
        {"type": "message_stop"}]
    return [(event["type"], json.dumps(event)) for event in events]


ROUTES = {"/v1/chat/completions": _openai_chat, "/v1/embeddings": _openai_embeddings, "/v1/messages": _anthropic_messages}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        route = ROUTES.get(self.path.split("?")[0])
        if route is None or asked.get("model") == "failing":
            return self._send(400, "application/json", json.dumps(
                {"type": "error", "error": {"type": "invalid_request_error", "message": "no such model", "code": "model_not_found"}}))
        answer = route(asked)
        if isinstance(answer, dict):
            return self._send(200, "application/json", json.dumps(answer))
        self._send(200, "text/event-stream", "".join(f"event: {name}\ndata: {data}\n\n" if name else f"data: {data}\n\n"
                                                     for name, data in answer))

    def _send(self, status, content_type, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def running():
    """The base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
