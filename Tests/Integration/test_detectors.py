"""The detectors of numbers with check digits and ranges, against `published_schemes`: thousands of candidates of each kind, valid
ones, nearly valid ones and random ones, and the same verdict on each."""
import json
import random

import pytest

import published_schemes as schemes
from daemon import run_cli

CANDIDATES = 4_000
DIGITS = "0123456789"


def verdicts(tmp_path, kind, texts):
    """Of each text, whether `collector redact` finds something of the kind in it, and what is left of it."""
    (tmp_path / "collector.yaml").write_text(
        "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {nop: }\n"
        f"processors: {{pii_redaction: {{strategy: replace, detect: [{kind}]}}}}\n"
        "service: {pipelines: {traces: {receivers: [otlp], processors: [pii_redaction], exporters: [nop]}}}\n")
    spans = [{"traceId": "01" * 16, "spanId": f"{n + 1:016x}", "attributes": [{"key": "text", "value": {"stringValue": text}}]}
             for n, text in enumerate(texts)]
    path = tmp_path / "spans.json"
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}))
    result = run_cli("redact", "--config", tmp_path / "collector.yaml", "--output", "json", path)
    assert result.returncode == 0, result.stderr
    out = [s["attributes"][0]["value"]["stringValue"] for s in json.loads(result.stdout)["resourceSpans"][0]["scopeSpans"][0]["spans"]]
    assert len(out) == len(texts)
    return out


def compare(tmp_path, kind, candidates):
    """`candidates`: (value, text with `{}` in the value's place, whether the value is valid)."""
    candidates = list(dict.fromkeys(candidates))
    out = verdicts(tmp_path, kind, [text.replace("{}", value) for value, text, _ in candidates])
    wrong = []
    for (value, text, valid), got in zip(candidates, out):
        expected = text.replace("{}", f"<{kind.upper()}>" if valid else value)
        if got != expected:
            wrong.append(f"{'valid' if valid else 'invalid'}: {text.replace('{}', value)!r} gave {got!r}")
    valid = sum(1 for candidate in candidates if candidate[2])
    assert valid >= 300 and len(candidates) - valid >= 300, (valid, len(candidates))
    assert not wrong, f"{len(wrong)} of {len(candidates)} differ:\n" + "\n".join(wrong[:20])


def digits(chance, count):
    return "".join(chance.choice(DIGITS) for _ in range(count))


def repaired(chance, number, is_valid, place=-1):
    """`number` with another digit at `place` that makes it valid, if there is one."""
    place %= len(number)
    fits = [n for n in (number[:place] + d + number[place + 1:] for d in DIGITS) if is_valid(n)]
    return chance.choice(fits) if fits else number


def damaged(chance, number):
    """One digit changed, or two neighbours exchanged."""
    place = chance.randrange(len(number) - 1)
    if chance.random() < 0.5:
        return number[:place] + chance.choice(DIGITS) + number[place + 1:]
    return number[:place] + number[place + 1] + number[place] + number[place + 2:]


def numbers(seed, make, is_valid):
    """Seeded: a third as `make` gives them, a third made valid, a third of those damaged again."""
    chance = random.Random(seed)
    for turn in range(CANDIDATES):
        number = make(chance)
        if turn % 3:
            number = repaired(chance, number, is_valid)
        if turn % 3 == 2:
            number = damaged(chance, number)
        yield chance, number


def grouped(number, *lengths, separator=" "):
    parts, at = [], 0
    for length in lengths:
        parts.append(number[at:at + length])
        at += length
    return separator.join(parts)


def card_number(chance):
    prefixes, lengths = chance.choice(schemes.CARDS)
    if chance.random() < 0.3:
        prefixes, lengths = ["1", "3", "59", "7", "8", "9", "21", "27", "33", "2199", "2205", "306"], range(12, 20)
    if chance.random() < 0.2:
        lengths = range(12, 20)
    prefix = str(chance.choice(list(prefixes)))
    return prefix + digits(chance, chance.choice(list(lengths)) - len(prefix))


def test_credit_cards(tmp_path):
    def candidates():
        for chance, number in numbers(1, card_number, schemes.luhn):
            style = chance.random()
            if style < 0.5 or len(number) < 13:
                value = number
            else:
                value = grouped(number, *([4, 6, 5] if len(number) == 15 else [4, 4, 4, len(number) - 12]), separator=chance.choice(" -"))
            # Some of the groups may be a card of their own.
            groups = value.replace("-", " ").split()
            parts = ["".join(groups[a:b]) for a in range(len(groups)) for b in range(a + 1, len(groups) + 1)]
            if any(schemes.card(part) for part in parts if part != number):
                value = number
            yield value, "paid with {} today", schemes.card(number)
    compare(tmp_path, "credit_card", candidates())


def test_ibans(tmp_path):
    def candidates():
        chance = random.Random(2)
        for turn in range(CANDIDATES):
            country = chance.choice(sorted(schemes.IBAN_LENGTHS)) if turn % 10 else chance.choice(["US", "AA", "ZZ", "CA", "AU", "IN"])
            usual = int(schemes.IBAN_LENGTHS.get(country, 22))
            length = usual + (chance.choice((-1, 1)) if turn % 7 == 0 else 0)
            account = "".join(chance.choice(DIGITS * 3 + "ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(length - 4))
            check = 98 - int("".join(str(int(c, 36)) for c in account + country + "00")) % 97
            # As good a number modulo 97, but no check digits.
            if turn % 5 == 0:
                check = {2: 99, 97: 0, 98: 1}.get(check, check)
            text = f"{country}{check:02}{account}"
            if turn % 3 == 2:
                place = chance.randrange(2, length)
                text = text[:place] + chance.choice(DIGITS) + text[place + 1:]
            valid = schemes.iban(text)
            yield text, "account {}.", valid
            # In groups, one character too many may be the next word.
            if turn % 4 == 0 and length <= usual:
                yield " ".join(text[i:i + 4] for i in range(0, length, 4)), "account {}.", valid
        for country, check in (("DE", "00"), ("DE", "01"), ("DE", "99")):
            for account in (f"{n:018}" for n in range(20_000)):
                if schemes.mod97(country + check + account):
                    yield country + check + account, "account {}.", False
    compare(tmp_path, "iban", candidates())


def test_nhs_numbers(tmp_path):
    def candidates():
        for chance, number in numbers(3, lambda chance: digits(chance, 10), schemes.nhs):
            value, text = chance.choice([
                (grouped(number, 3, 3, 4), "patient {} came"), (grouped(number, 3, 3, 4, separator="-"), "patient {} came"),
                (number, "NHS no {}.")])
            yield value, text, schemes.nhs(number)
    compare(tmp_path, "uk_nhs", candidates())


def test_social_insurance_numbers(tmp_path):
    def candidates():
        for chance, number in numbers(4, lambda chance: digits(chance, 9), schemes.luhn):
            value, text = chance.choice([
                (grouped(number, 3, 3, 3), "it is {} here"), (grouped(number, 3, 3, 3, separator="-"), "it is {} here"),
                (number, "SIN: {}.")])
            yield value, text, schemes.sin(number)
    compare(tmp_path, "ca_sin", candidates())


def test_tax_file_numbers(tmp_path):
    def candidates():
        for chance, number in numbers(5, lambda chance: digits(chance, 9), schemes.tfn):
            value, text = chance.choice([(grouped(number, 3, 3, 3), "it is {} here"), (number, "TFN {}."), (number, "tax file number {}.")])
            yield value, text, schemes.tfn(number)
    compare(tmp_path, "au_tfn", candidates())


def test_aadhaar_numbers(tmp_path):
    def candidates():
        for chance, number in numbers(6, lambda chance: digits(chance, 12), schemes.verhoeff):
            value, text = chance.choice([
                (grouped(number, 4, 4, 4), "it is {} here"), (grouped(number, 4, 4, 4, separator="-"), "it is {} here"),
                (number, "Aadhaar {}.")])
            yield value, text, schemes.aadhaar(number)
    compare(tmp_path, "in_aadhaar", candidates())


def taxpayer_number(chance):
    area = chance.choice(["000", "666", "899", "900", "999", digits(chance, 3), "9" + digits(chance, 2)])
    group = chance.choice(["00", digits(chance, 2), digits(chance, 2)])
    return area + group + chance.choice(["0000", digits(chance, 4), digits(chance, 4)])


@pytest.mark.parametrize("kind, is_valid", [("us_ssn", schemes.ssn), ("us_itin", schemes.itin)])
def test_taxpayer_numbers(tmp_path, kind, is_valid):
    def candidates():
        chance = random.Random(7)
        for _ in range(CANDIDATES):
            number = taxpayer_number(chance)
            yield grouped(number, 3, 2, 4, separator=chance.choice("- ")), "it is {} here", is_valid(number)
            if kind == "us_ssn":
                yield number, "SSN {}.", is_valid(number)
    compare(tmp_path, kind, candidates())


def test_national_insurance_numbers(tmp_path):
    def candidates():
        chance = random.Random(8)
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        for first in letters:
            for second in letters:
                for _ in range(4):
                    number = first + second + digits(chance, 6) + chance.choice("ABCDABCDABCDEFGZ")
                    value = chance.choice([number, grouped(number, 2, 2, 2, 2, 1)])
                    yield value, "number {} here", schemes.nino(number)
    compare(tmp_path, "uk_nino", candidates())


def other_character(chance, text, alphabet):
    place = chance.randrange(4, len(text))
    return text[:place] + chance.choice(alphabet) + text[place + 1:]


def test_bitcoin_addresses_in_base_58(tmp_path):
    def candidates():
        chance = random.Random(9)
        for turn in range(CANDIDATES):
            version = bytes([chance.choice((0, 0, 5, 5, 1, 4, 6))])
            body = version + (bytes(chance.randrange(4)) + chance.randbytes(20))[:20]
            text = schemes.base58_encode(body + schemes.double_sha256(body)[:4])
            if turn % 3 == 2:
                text = other_character(chance, text, schemes.BASE58)
            # The same number, with another count of zero bytes before it.
            if turn % 8 == 0 and len(text) < 35:
                text = "1" + text if turn % 16 else text.removeprefix("1")
            yield text, "send to {} now", schemes.base58_address(text)
    compare(tmp_path, "crypto_wallet", candidates())


def test_bitcoin_addresses_in_bech32(tmp_path):
    def candidates():
        chance = random.Random(10)
        for turn in range(CANDIDATES):
            version = chance.choice((0, 0, 1, 1, 2, 16, 17, 31))
            wrong = chance.choice((schemes.BECH32_CONSTANT, schemes.BECH32M_CONSTANT, 5)) if turn % 4 == 1 else None
            text = schemes.segwit_encode(version, chance.randbytes(chance.choice((20, 32, 32, 20, 21, 31))), wrong)
            if turn % 3 == 2:
                text = other_character(chance, text, schemes.BECH32)
            if turn % 5 == 0:
                text = text.upper()
            elif turn % 11 == 0:
                text = text[:10] + text[10:].upper()
            yield text, "send to {} now", schemes.segwit_address(text)
    compare(tmp_path, "crypto_wallet", candidates())


def test_the_schemes_know_the_published_examples():
    """So that both cannot be wrong in the same way."""
    assert schemes.card("4111111111111111") and schemes.card("378282246310005") and schemes.card("6011111111111117")
    assert schemes.card("3530111333300000") and schemes.card("5555555555554444") and not schemes.card("4111111111111112")
    assert schemes.iban("GB82WEST12345698765432") and schemes.iban("DE89370400440532013000") and schemes.iban("NO9386011117947")
    assert not schemes.iban("GB82WEST12345698765433") and not schemes.iban("GB82WEST1234569876543")
    assert schemes.nhs("9434765919") and not schemes.nhs("9434765918")
    assert schemes.luhn("046454286") and not schemes.sin("046454286") and schemes.sin("130692544")
    assert schemes.tfn("123456782") and not schemes.tfn("123456789")
    assert schemes.verhoeff("2363") and not schemes.verhoeff("2364") and schemes.aadhaar("234123412346")
    assert not schemes.ssn("000123456") and not schemes.ssn("666123456") and schemes.ssn("078051120")
    assert schemes.itin("900700000") and not schemes.itin("900690000") and not schemes.itin("900930000")
    assert schemes.nino("AB123456C") and not schemes.nino("BG123456C") and not schemes.nino("AO123456C")
    assert schemes.base58_address("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa") and schemes.base58_address("3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy")
    assert schemes.segwit_address("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
    assert schemes.segwit_address("BC1SW50QGDZ25J") and schemes.segwit_address("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0")
    assert not schemes.segwit_address("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh")
    assert schemes.segwit_encode(0, bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6")) == "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
