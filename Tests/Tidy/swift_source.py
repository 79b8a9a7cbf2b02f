"""Just enough Swift lexing for the tidy rules: blanks strings and comments, finds function bodies, imports and declarations."""
import re
from dataclasses import dataclass

MODIFIERS = r"(?:@\w+(?:\([^)]*\))?\s+|(?:public|package|internal|fileprivate|private|open|final|static|class|indirect|nonisolated" \
            r"|mutating|borrowing|consuming|override|required|convenience|lazy|weak|unowned|dynamic|optional|isolated|distributed" \
            r"|prefix|postfix|infix|private\(set\)|internal\(set\)|nonisolated\(unsafe\))\s+)*"
TYPE = re.compile(r"^\s*" + MODIFIERS + r"(?:struct|class|enum|protocol|actor|typealias|macro)\s+`?(\w+)", re.M)
MEMBER = re.compile(r"^\s*" + MODIFIERS + r"(?:func|var|let|case)\s+`?(\w+)", re.M)
IMPORT = re.compile(r"^\s*(?:@\w+(?:\(\w+\))?\s+)*(?:public |package |internal |private |fileprivate )?"
                    r"import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)", re.M)
BODY = re.compile(r"\b(?:func\s+(`?\w+`?|[^\w\s(]+)|(init)\b[?!]?|(deinit)\b|(subscript)\b|var\s+(\w+)\s*:)")


@dataclass
class Function:
    name: str
    line: int
    lines: int


def blank(text):
    """The text with the content of strings and comments replaced by spaces; line breaks stay where they are."""
    out = list(text)
    i, n = 0, len(text)

    def erase(start, end):
        for k in range(start, min(end, n)):
            if out[k] != "\n":
                out[k] = " "

    while i < n:
        if text.startswith("//", i):
            end = text.find("\n", i)
            end = n if end < 0 else end
            erase(i, end)
            i = end
        elif text.startswith("/*", i):
            end = _comment_end(text, i)
            erase(i, end)
            i = end
        elif text[i] == '"' or (text[i] == "#" and re.match(r'#+"', text[i:i + 8])):
            end = _string_end(text, i)
            erase(i, end)
            i = end
        else:
            i += 1
    return "".join(out)


def _comment_end(text, i):
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, i):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def _string_end(text, i):
    """The end of the string literal that starts at i: plain, raw or multi-line, with interpolations that hold strings."""
    pounds = len(re.match(r"#*", text[i:]).group())
    i += pounds
    quote = '"""' if text.startswith('"""', i) else '"'
    close, escape = quote + "#" * pounds, "\\" + "#" * pounds
    i += len(quote)
    while i < len(text):
        if text.startswith(escape + "(", i):
            i = _interpolation_end(text, i + len(escape) + 1)
        elif text.startswith(escape, i):
            i += len(escape) + 1
        elif text.startswith(close, i):
            return i + len(close)
        elif quote == '"' and text[i] == "\n":
            return i
        else:
            i += 1
    return len(text)


def _interpolation_end(text, i):
    depth = 1
    while i < len(text) and depth:
        if text[i] == '"':
            i = _string_end(text, i)
            continue
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        i += 1
    return i


def functions(blanked):
    """Every func, init, deinit, subscript and computed property that has a body."""
    for match in BODY.finditer(blanked):
        opening = _body_start(blanked, match.end(), computed=match.group(5) is not None)
        if opening is None:
            continue
        closing = matching_brace(blanked, opening)
        name = next(group for group in match.groups() if group)
        first = blanked.count("\n", 0, match.start())
        yield Function(name, first + 1, blanked.count("\n", 0, closing) - first + 1)


def _body_start(text, i, computed):
    depth = 0
    while i < len(text):
        c = text[i]
        if c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
            if depth < 0:
                return None
        elif depth == 0 and c == "{":
            return i
        elif depth == 0 and (c in "}=;" and text[i - 1:i + 1] not in ("==", "<=", ">=", "!=")):
            if not (c == "=" and text[i + 1:i + 2] == "="):
                return None
        elif depth == 0 and c == "\n":
            rest = text[i:].lstrip()
            before = text[:i].rstrip()
            goes_on = re.match(r"\{|->|where\b|async\b|throws\b|rethrows\b|\(", rest) or before.endswith(("->", ",", "where", "&"))
            if computed and not rest.startswith("{") or not goes_on:
                return None
        i += 1
    return None


def matching_brace(text, i):
    depth = 0
    for k in range(i, len(text)):
        depth += {"{": 1, "}": -1}.get(text[k], 0)
        if depth == 0:
            return k
    return len(text) - 1


def imports(blanked):
    return set(IMPORT.findall(blanked))


def top_level(blanked):
    """The text with everything inside braces removed: top-level declarations only."""
    out, depth = [], 0
    for c in blanked:
        if c == "{":
            depth += 1
        elif c == "}":
            depth -= 1
        elif depth == 0 or c == "\n":
            out.append(c)
    return "".join(out)


def declared(blanked):
    """The names a file offers: its top-level types and functions, or, for a file of extensions, the extensions' members."""
    outer = top_level(blanked)
    types = TYPE.findall(outer)
    return set(types) if types else set(MEMBER.findall(outer)) | set(MEMBER.findall(blanked))
