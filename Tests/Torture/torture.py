"""Kills, cuts, fills and breaks everything around the collector, and counts whether each acknowledged span is stored exactly once.

    Tests/Torture/torture.py [--rounds N] [--seed S] [--jobs J] [--round K ...] [--sampling KIND] [--without-log] [--keep DIRECTORY]

Half of the rounds have samplers in the pipeline (sampling.py): then that holds for each span of a trace that is to be kept, and none of
another trace is stored. Each round starts a collector of its own, a writer, and draws a few events from its seed. The choices repeat
with the seed; what they meet does not, that is up to the machine's timing: a failing round may need a few tries
(`--seed S --round K --times 20`). COLLECTOR_BINARY names the collector; a debug build by default. Ends with 1 when a promise was broken;
the round's files are kept then.
"""
import argparse
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "Integration")]

import faults  # noqa: E402
import plan  # noqa: E402
import postgres  # noqa: E402
from rounds import Round  # noqa: E402

FAILURES = Path(__file__).resolve().parents[2] / ".build/torture-failures"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--round", type=int, action="append", help="only this round of the seed's; may be given several times")
    parser.add_argument("--times", type=int, default=1, help="each round so many times")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with a PostgreSQL of its own")
    parser.add_argument("--share", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--only", action="append", choices=list(plan.EVENTS), help="draw from these events alone; repeatable")
    parser.add_argument("--sampling", choices=["none", "head", "tail", "head+tail"], help="these samplers, instead of drawn ones")
    parser.add_argument("--without-log", action="store_true", help="no write-ahead log: spans will be lost, and reported")
    parser.add_argument("--keep", type=Path, default=FAILURES, help="where failed rounds' files go")
    parser.add_argument("--verbose", action="store_true", help="print each round's events")
    return parser.parse_args()


def run_share(options, numbers):
    """Runs rounds one after the other; how many failed."""
    may_mount = faults.enter_own_mounts()
    scratch = Path(tempfile.mkdtemp(prefix="torture."))
    server, disk, failed = None, None, 0
    try:
        library = faults.build_shim(scratch)
        disk = faults.SmallDisk(scratch / "disk", may_mount)
        if not disk.is_mounted:
            print("no right to mount: rounds go without a disk that is full", flush=True)
        server = postgres.Server()
        for number in numbers:
            failed += not run_round(options, number, scratch, server, disk, library)
    finally:
        if server:
            server.close()
        if disk:
            disk.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return failed


def run_round(options, number, scratch, server, disk, library):
    rng = plan.round_random(options.seed, number)
    samplers = None if options.sampling is None else tuple(kind for kind in options.sampling.split("+") if kind != "none")
    chosen = plan.make_plan(rng, not options.without_log, disk.is_mounted, options.only, samplers)
    directory = scratch / f"round-{number}"
    directory.mkdir()
    begin = time.monotonic()
    server.start()
    round = Round(chosen, rng, directory, server, disk, library)
    try:
        broken = round.run()
    except Exception:  # a round that cannot be carried out has not passed
        broken = [traceback.format_exc()]
    head = f"seed {options.seed} round {number}: {chosen}"
    print(f"{'FAILED' if broken else 'passed'} {head}; {round.summary()}; {time.monotonic() - begin:.1f} s", flush=True)
    if broken:
        kept = keep(options, number, round, directory)
        print("\n".join(["  " + line for line in [*broken, "history:", *round.history(), f"files: {kept}"]]), flush=True)
    elif options.verbose:
        print("\n".join("  " + line for line in round.history()), flush=True)
    shutil.rmtree(round.log_directory, ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)
    return not broken


def keep(options, number, round, directory):
    """Copies what is left of the round to where it stays."""
    target = options.keep / f"{options.seed}-{number}-{os.getpid()}-{time.time_ns()}"
    shutil.copytree(directory, target)
    shutil.copytree(round.log_directory, target / "log", dirs_exist_ok=True)
    (target / "history.txt").write_text("\n".join(round.history()) + "\n")
    return target


def main():
    options = arguments()
    # So that what was started is stopped and what was mounted and made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)
    numbers = [number for number in options.round or range(options.rounds) for _ in range(options.times)]
    if not options.share:
        print(f"torture: seed {options.seed}, {len(numbers)} rounds", flush=True)
    if options.jobs > 1 and not options.share:
        command = [sys.executable, *sys.argv, "--seed", str(options.seed)]
        children = [subprocess.Popen([*command, "--share", str(share + 1)]) for share in range(options.jobs)]
        try:
            failed = sum(child.wait() != 0 for child in children)
        finally:
            for child in children:
                child.terminate()
        print("torture: " + ("all rounds passed" if not failed else "FAILED, see above"), flush=True)
        return min(failed, 1)
    if options.share:
        numbers = numbers[options.share - 1::options.jobs]
    failed = run_share(options, numbers)
    print(f"torture: {len(numbers) - failed} of {len(numbers)} rounds passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
