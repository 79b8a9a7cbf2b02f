"""The house rules as data, and the checks that read them. A check yields messages; none means tidy."""
import os
import re
import subprocess
from pathlib import Path

import swift_source as swift

ROOT = Path(__file__).resolve().parents[2]

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
LINE_CHARACTERS_MAX = 140
CODE = {".swift", ".c", ".cpp", ".h", ".py", ".sh", ".proto", ".yaml", ".yml", ".sql", ""}
GENERATED = ("Sources/COTLP/",)
# Samples that break rules on purpose, and texts whose form is not ours.
EXEMPT = ("Tests/Tidy/samples/", "LICENSE") + GENERATED

BANNED_FOLDERS = {"Utils", "Util", "Utilities", "Common", "Helpers", "Helper", "Misc", "New", "Shared"}
BANNED_WORDS = ("TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK")
BANNED_SWIFT = {r"\btry!": "handle the error", r"\bas!": "use `as?` and handle nil", r"\bfatalError\(": "use `preconditionFailure`"}
# Registries are reached through their clients' own settings: no address of one belongs into a file. Split, so as not to name them here.
REGISTRY_HOSTS = [".".join(parts) for parts in (
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("crates", "io"), ("golang", "org"), ("docker", "io"),
    ("ghcr", "io"), ("quay", "io"), ("deb", "debian", "org"), ("maven", "org"), ("rubygems", "org"), ("packagecloud", "io"))]

# DESIGN, modules: what each may import. System modules every module may use; the C library only where named.
SYSTEM = {"Swift", "Synchronization", "Glibc", "Dispatch"}
NIO = {"NIOCore", "NIOPosix", "NIOHTTP1"}
EVERYWHERE = SYSTEM | {"SelfTelemetry", "Logging"}
SWIFT_MODULES = {"Configuration", "Crypto", "HTTPServer", "OTLPReceiver", "OTLPWire", "Patterns", "Pipeline", "GenAI", "Redaction",
                 "Sampling", "Exporters", "SelfTelemetry"}
MAY_IMPORT = {
    "Collector": SWIFT_MODULES | NIO | {"ArgumentParser", "ServiceLifecycle"},
    "Configuration": {"Yams"},
    "Crypto": {"COpenSSL"},
    "HTTPServer": NIO | {"CNGHTTP2", "Crypto"},
    # NIOCore: the types of HTTPServer's interface (event loops, times, addresses).
    "OTLPReceiver": {"Configuration", "HTTPServer", "OTLPWire", "Pipeline", "NIOCore", "CDeflate", "CZstd"},
    "OTLPWire": {"COTLP", "CProtobufC", "CSIMDJSON"},
    "Pipeline": {"Configuration", "OTLPWire", "CISAL", "CMalloc", "CXXHash"},
    "GenAI": {"Configuration", "OTLPWire", "Pipeline"},
    "Patterns": {"OTLPWire", "CRE2"},
    "Redaction": {"Configuration", "OTLPWire", "Patterns", "Pipeline", "Crypto", "CTextScan"},
    "Sampling": {"Configuration", "OTLPWire", "Patterns", "Pipeline"},
    "Exporters": {"Configuration", "OTLPWire", "Pipeline", "Crypto", "CLibPQ", "CSQLite", "CCurl", "CRDKafka"},
    "SelfTelemetry": set(),
}
C_MODULE = re.compile(r"C[A-Z]\w+")


class Tree:
    """A source tree: a repository, or a sample of one."""

    def __init__(self, root):
        self.root = Path(root)
        self.paths = sorted(self._list())
        self._texts = {}
        self._blanked = {}

    def _list(self):
        if (self.root / ".git").exists():
            listing = subprocess.run(["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                     capture_output=True, check=True).stdout
            return {p for p in listing.decode().split("\0") if p and (self.root / p).is_file()}
        return {str((Path(d) / f).relative_to(self.root)) for d, _, files in os.walk(self.root) for f in files}

    def code(self):
        """Paths of text files written by hand that the size and word rules hold for."""
        for path in self.paths:
            if not path.startswith(EXEMPT) and (Path(path).suffix in CODE) and "/Fixtures/" not in path and "/testdata/" not in path:
                yield path

    def swift(self, under="Sources/"):
        return [path for path in self.paths if path.startswith(under) and path.endswith(".swift")]

    def text(self, path):
        if path not in self._texts:
            self._texts[path] = (self.root / path).read_text(encoding="utf-8", errors="replace")
        return self._texts[path]

    def blanked(self, path):
        if path not in self._blanked:
            self._blanked[path] = swift.blank(self.text(path))
        return self._blanked[path]


def module_of(path):
    return path.split("/")[1]


def file_length(tree):
    for path in tree.code():
        lines = tree.text(path).count("\n")
        if lines > FILE_LINES_MAX:
            yield f"{path}: {lines} lines; at most {FILE_LINES_MAX}. Split it by responsibility"


def line_length(tree):
    for path in tree.code():
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            if len(line) > LINE_CHARACTERS_MAX:
                yield f"{path}:{number}: {len(line)} characters; at most {LINE_CHARACTERS_MAX}"


def function_length(tree):
    for path in tree.swift() + tree.swift("Tests/"):
        if path.startswith(EXEMPT):
            continue
        for function in swift.functions(tree.blanked(path)):
            if function.lines > FUNCTION_LINES_MAX:
                yield f"{path}:{function.line}: `{function.name}` has {function.lines} lines; at most {FUNCTION_LINES_MAX}"


def module_imports(tree):
    for path in tree.swift():
        module = module_of(path)
        if module not in MAY_IMPORT:
            yield f"{path}: module {module} is not in the import table (Tests/Tidy/rules.py); add it with what it may import"
            continue
        for name in sorted(swift.imports(tree.blanked(path)) - EVERYWHERE - MAY_IMPORT[module]):
            yield f"{path}: {module} may not import {name}"


def one_importer_per_c_module(tree):
    importers = {}
    for path in tree.swift():
        for name in swift.imports(tree.blanked(path)):
            if C_MODULE.fullmatch(name) and name not in SWIFT_MODULES and not name.startswith("Collector"):
                importers.setdefault(name, set()).add(module_of(path))
    present = {module_of(p) for p in tree.paths if p.startswith("Sources/C") and p.count("/") > 1} - SWIFT_MODULES - {"Collector"}
    for name, modules in sorted(importers.items()):
        if name in present and len(modules) > 1:
            yield f"{name} is imported by {', '.join(sorted(modules))}: a C module has exactly one Swift importer"
    for name in sorted(present - set(importers)):
        yield f"Sources/{name}: no Swift module imports it"


def folder_names(tree):
    for folder in sorted({parent for path in tree.paths if not path.startswith(EXEMPT) for parent in Path(path).parents}):
        if folder.name in BANNED_FOLDERS:
            yield f"{folder}: a folder is named for what is in it, not {folder.name}"


def banned_words(tree):
    pattern = re.compile(r"\b(" + "|".join(BANNED_WORDS) + r")\b")
    for path in tree.code():
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            if found := pattern.search(line):
                yield f"{path}:{number}: {found.group()}: do it, or file an issue"


def banned_swift(tree):
    for path in tree.swift():
        for number, line in enumerate(tree.blanked(path).split("\n"), 1):
            for pattern, instead in BANNED_SWIFT.items():
                if found := re.search(pattern, line):
                    yield f"{path}:{number}: `{found.group()}`: {instead}"


def registry_hosts(tree):
    pattern = re.compile("|".join(r"\b" + re.escape(host) for host in REGISTRY_HOSTS), re.I)
    for path in tree.paths:
        if path.startswith("Tests/Tidy/samples/"):
            continue
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            if found := pattern.search(line):
                yield f"{path}:{number}: {found.group()}: name no package registry's host"


def dead_files(tree):
    """A Swift file none of whose declarations is named in another one, or in a benchmark, is dead."""
    words = {path: set(re.findall(r"\w+", tree.blanked(path))) for path in tree.swift() + tree.swift("Benchmarks/")}
    for path in tree.swift():
        blanked = tree.blanked(path)
        if path.endswith("/main.swift") or "@main" in blanked:
            continue
        names = swift.declared(blanked)
        if not any(names & others for other, others in words.items() if other != path):
            yield f"{path}: nothing it declares ({', '.join(sorted(names)[:5]) or 'nothing'}) is used by another file"


def links(tree):
    """Every relative link of a Markdown file leads to something; so does every `Sources/…` path in it."""
    known = set(tree.paths) | {str(parent) for path in tree.paths for parent in Path(path).parents}
    for path in (p for p in tree.paths if p.endswith(".md") and not p.startswith(EXEMPT)):
        text = tree.text(path)
        targets = [t for t in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if not re.match(r"\w+:", t)]
        targets += ["/" + t for t in re.findall(r"`((?:Sources|Tests|proto|deploy|Benchmarks|scripts)/[\w./-]*[\w/])`", text)]
        for target in targets:
            full = target[1:] if target.startswith("/") else os.path.normpath(os.path.join(os.path.dirname(path), target))
            if full.rstrip("/") not in known:
                yield f"{path}: link to {target}, which does not exist"


def walkthrough(tree):
    """ARCHITECTURE.md walks a span through the code in at least ten linked steps."""
    if "ARCHITECTURE.md" not in tree.paths:
        yield "ARCHITECTURE.md is missing"
        return
    steps = re.findall(r"^\s*\d+\.\s.*\]\(Sources/[^)]+\)", tree.text("ARCHITECTURE.md"), re.M)
    if len(steps) < 10:
        yield f"ARCHITECTURE.md: {len(steps)} numbered steps with a link into Sources/; the path of a span has ten"


ALL = [file_length, line_length, function_length, module_imports, one_importer_per_c_module, folder_names, banned_words, banned_swift,
       registry_hosts, dead_files, links, walkthrough]
