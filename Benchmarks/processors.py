"""What processors cost by themselves: programs that run one of them in a loop, built in release mode, on the benchmark's payload."""
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def _run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def _build(product):
    _run("swift", "build", "--configuration", "release", "--product", product)
    return os.path.join(_run("swift", "build", "--configuration", "release", "--show-bin-path").strip(), product)


def _number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise SystemExit(f"benchmark: no figure like {pattern} in:\n{text}")
    return float(found.group(1))


def run(work):
    """Figures by name, and what the programs have printed."""
    payload = os.path.join(work, "traces-512.pb")
    genai = _run(_build("genai-bench"), payload)
    redaction = _run(os.path.join(HERE, "redaction"))
    sampling = _run(_build("sampling-bench"), "speed", "--config", os.path.join(HERE, "tail-sampling.yaml"), "--spans", "1000000")
    return {
        "genai_us": _number(r"all spans: ([\d.]+) µs", genai),
        "genai_calls_us": _number(r"LLM calls: ([\d.]+) µs", genai),
        "redaction_ns": _number(r"processor[^:]*: ([\d.]+) ns per byte", redaction),
        "recall": _number(r"overall\s+\d+\s+([\d.]+)", redaction),
        "precision": _number(r"overall\s+\d+\s+[\d.]+\s+\d+\s+([\d.]+)", redaction),
        "sampling_us": _number(r"together: ([\d.]+) us", sampling),
        "sampling_bytes": _number(r"bookkeeping: ([\d.]+) bytes", sampling),
        "sampling_seconds": _number(r"deciding: .*?([\d.]+) s for all", sampling),
        "output": "\n".join(part.strip() for part in (genai, redaction, sampling)),
    }
