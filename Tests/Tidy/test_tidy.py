"""The repository keeps its own rules, and each rule is able to fail."""
import shutil
from pathlib import Path

import pytest

import rules
import swift_source as swift

REPOSITORY = rules.Tree(rules.ROOT)
SAMPLES = Path(__file__).parent / "samples"


@pytest.mark.parametrize("rule", rules.ALL, ids=lambda rule: rule.__name__)
def test_repository_keeps_the_rule(rule):
    messages = list(rule(REPOSITORY))
    assert not messages, "\n  " + "\n  ".join(messages)


# What each rule must say about samples/bad; the number is how many messages it has to have.
BAD = {
    "file_length": (1, "Sources/Pipeline/Long.swift: 501 lines"),
    "line_length": (1, "Sources/Pipeline/Broken.swift:3: 1"),
    "function_length": (2, "`tooLong` has 71 lines"),
    "module_imports": (3, "Pipeline may not import CSQLite"),
    "one_importer_per_c_module": (2, "CSQLite is imported by Exporters, Pipeline"),
    "folder_names": (1, "Sources/Pipeline/Utils"),
    "banned_words": (1, "Sources/Pipeline/Broken.swift:4"),
    "banned_swift": (3, "`try!`"),
    "registry_hosts": (1, "Sources/Pipeline/Broken.swift:5"),
    "dead_files": (1, "Sources/Pipeline/Utils/Dead.swift"),
    "links": (2, "NOTES.md: link to missing.md"),
    "walkthrough": (1, "1 numbered steps"),
}


@pytest.fixture
def bad_tree(tmp_path):
    """samples/bad plus what a sample must not hold as a file, because other rules would find it in the repository."""
    shutil.copytree(SAMPLES / "bad", tmp_path, dirs_exist_ok=True)
    pipeline = tmp_path / "Sources/Pipeline"
    (pipeline / "Long.swift").write_text("let long = Unused.self\n" + "// line\n" * 500)
    lines = "\n".join("        work()" for _ in range(69))
    (pipeline / "Functions.swift").write_text(
        "extension Broken {\n    func tooLong() {\n" + lines + "\n    }\n\n    var alsoTooLong: Int {\n" + lines + "\n    }\n\n"
        "    func fits() {\n" + lines.replace("        work()\n", "", 1) + "\n    }\n}\n")
    word, host = rules.BANNED_WORDS[0], rules.REGISTRY_HOSTS[0]
    (pipeline / "Broken.swift").write_text(
        "import CSQLite\nimport Foundation\n//" + "x" * 139 + f"\n// {word}: later\n// see https://{host}/project\n"
        "struct Broken {\n    let a = try! f()\n    let b = c as! Int\n    func g() { fatalError(\"long\") }\n"
        "    let fine = \"try! as! fatalError( in a string\" // try! in a comment\n}\nfunc fits() { _ = Broken.self; alsoTooLong() }\n")
    return rules.Tree(tmp_path)


@pytest.mark.parametrize("rule", rules.ALL, ids=lambda rule: rule.__name__)
def test_rule_finds_what_the_bad_sample_breaks(rule, bad_tree):
    count, expected = BAD[rule.__name__]
    messages = list(rule(bad_tree))
    assert any(expected in message for message in messages), messages
    assert len(messages) == count, messages


def test_blanking_keeps_lines_and_code_and_drops_text():
    source = 'let a = "x { \\(f("}")) {" /* { /* nested */ } */\nlet b = #"raw \\ " {"# // }\nlet c = """\n  { " {\n  """ + d\n'
    blanked = swift.blank(source)
    assert blanked.count("\n") == source.count("\n") and len(blanked) == len(source)
    assert "{" not in blanked and "}" not in blanked
    assert "let a =" in blanked and "let b =" in blanked and "+ d" in blanked


def test_functions_are_measured_and_requirements_without_body_are_not():
    source = """
protocol P {
    func requirement(_ a: Int) -> Int
    var property: Int { get }
}
struct S {
    init(a: Int = { 3 }()) {
    }
    func long<T>(
        _ f: (T) -> Void = { _ in }
    ) async throws
        -> Int where T: P
    {
        0
    }
    var stored: Int = 3
    subscript(i: Int) -> Int { i }
    deinit { }
}
"""
    found = {f.name: f.lines for f in swift.functions(swift.blank(source))}
    assert found == {"property": 1, "init": 2, "long": 7, "subscript": 1, "deinit": 1}
