#!/usr/bin/env python3
"""Writes a labelled corpus of sensitive values in prose, JSON and logs: seeded, so that figures can be compared.

usage: corpus.py OUT [--seed N] [--count N]
A line per text; fields parted by U+001F: the text, then for each sensitive value its kind and its start and end in bytes.
Values come from Faker in five locales where it has them, else from generators with the same check digits as the real ones; the
hard negatives are numbers and identifiers of production systems that look alike.
"""
import argparse
import base64
import hashlib
import json
import random
import string
import uuid

from faker import Faker

SEPARATOR = "\x1f"
LOCALES = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES")
ALNUM = string.ascii_letters + string.digits


class Values:
    """One generator per kind of value."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.fakers = {}
        for number, locale in enumerate(LOCALES):
            self.fakers[locale] = Faker(locale)
            self.fakers[locale].seed_instance(seed * 100 + number)

    def faker(self, *locales):
        return self.fakers[self.random.choice(locales or LOCALES)]

    def text(self, alphabet, *lengths):
        """Random characters, with at least one digit and one letter."""
        length = self.random.choice(lengths)
        characters = [self.random.choice(alphabet) for _ in range(length)]
        characters[length // 2] = self.random.choice(string.digits)
        characters[length // 2 + 1] = self.random.choice([c for c in alphabet if c.isalpha()])
        return "".join(characters)

    def digits(self, count):
        return "".join(self.random.choice(string.digits) for _ in range(count))

    def day(self):
        return f"2026-{self.random.randrange(1, 13):02}-{self.random.randrange(1, 29):02}"

    def clock(self):
        return f"{self.random.randrange(24):02}:{self.random.randrange(60):02}:{self.random.randrange(60):02}"

    # Personal data

    def email(self):
        faker = self.faker()
        return self.random.choice((faker.email, faker.safe_email, faker.company_email, faker.free_email))()

    def phone(self):
        """Bare runs of digits are no phones by contract; Faker makes some."""
        while True:
            number = self.faker().phone_number()
            if not number.isdigit() and any(c in " -.()" for c in number) or number.startswith("+"):
                return number

    def credit_card(self):
        number = self.faker("en_US").credit_card_number()
        style = self.random.random()
        if style < 0.5:
            return number
        separator = " " if style < 0.8 else "-"
        cuts = (4, 10) if len(number) == 15 else range(4, len(number), 4)
        return separator.join(number[a:b] for a, b in zip((0, *cuts), (*cuts, len(number))))

    def us_ssn(self):
        return self.faker("en_US").ssn()

    def us_itin(self):
        return self.faker("en_US").itin()

    def iban(self):
        number = self.faker("en_GB", "de_DE", "fr_FR", "es_ES").iban()
        if self.random.random() < 0.4:
            number = " ".join(number[i:i + 4] for i in range(0, len(number), 4))
        return number

    def ip_address(self):
        faker = self.faker()
        return faker.ipv6() if self.random.random() < 0.3 else faker.ipv4()

    def mac_address(self):
        address = self.faker().mac_address()
        return address.replace(":", "-").upper() if self.random.random() < 0.3 else address

    def uk_nhs(self):
        while True:
            body = self.digits(9)
            check = 11 - sum(int(d) * (10 - i) for i, d in enumerate(body)) % 11
            if check != 10:
                number = body + str(check % 11)
                return f"{number[:3]} {number[3:6]} {number[6:]}"

    def uk_nino(self):
        # Faker's are of the series ZZ and T that nobody is given.
        while True:
            number = "".join(self.random.choice("ABCEGHJKLMNPRSTWXYZ") for _ in range(2))
            if number not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"):
                break
        number += self.digits(6) + self.random.choice("ABCD")
        spaced = f"{number[:2]} {number[2:4]} {number[4:6]} {number[6:8]} {number[8]}"
        return spaced if self.random.random() < 0.5 else number

    def ca_sin(self):
        while True:
            number = self.random.choice("12345679") + self.digits(8)
            if luhn(number):
                return f"{number[:3]} {number[3:6]} {number[6:]}" if self.random.random() < 0.5 else \
                    f"{number[:3]}-{number[3:6]}-{number[6:]}"

    def au_tfn(self):
        while True:
            number = self.digits(9)
            if sum(int(d) * w for d, w in zip(number, (1, 4, 3, 7, 5, 8, 6, 9, 10))) % 11 == 0:
                return f"{number[:3]} {number[3:6]} {number[6:]}"

    def in_aadhaar(self):
        while True:
            number = self.random.choice("23456789") + self.digits(11)
            if verhoeff(number):
                return f"{number[:4]} {number[4:8]} {number[8:]}"

    def crypto_wallet(self):
        if self.random.random() < 0.4:
            return "0x" + self.random.randbytes(20).hex()
        return base58check(bytes([self.random.choice((0, 5))]) + self.random.randbytes(20))

    def date_of_birth(self):
        day = self.faker("en_US").date_of_birth(minimum_age=18)
        return day.strftime(self.random.choice(("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d %B %Y", "%B %d, %Y")))

    def url_credentials(self):
        """User and password of a web address; the label is on them alone."""
        return f"{self.faker().user_name()}:{self.text(ALNUM, 12)}"

    # Secrets

    def secrets(self):
        token, upper = ALNUM + "_-", string.ascii_uppercase + string.digits
        return self.random.choice((
            lambda: self.random.choice(("AKIA", "ASIA")) + self.text(upper, 16),
            lambda: self.random.choice(("ghp_", "gho_", "ghs_")) + self.text(ALNUM, 36),
            lambda: "github_pat_" + self.text(ALNUM, 22) + "_" + self.text(ALNUM, 59),
            lambda: "glpat-" + self.text(token, 20),
            lambda: "xoxb-" + self.digits(12) + "-" + self.digits(12) + "-" + self.text(ALNUM, 24),
            lambda: self.random.choice(("sk_live_", "sk_test_", "rk_live_")) + self.text(ALNUM, 24, 99),
            lambda: "sk-proj-" + self.text(token, 48, 156),
            lambda: "sk-" + self.text(ALNUM, 48),
            lambda: "sk-ant-api03-" + self.text(token, 95),
            lambda: "AIza" + self.text(token, 35),
            lambda: "hf_" + self.text(string.ascii_letters, 34),
            lambda: "npm_" + self.text(ALNUM, 36),
            lambda: "pypi-AgEIcHlwaS5vcmc" + self.text(token, 150),
            lambda: "SG." + self.text(token, 22) + "." + self.text(token, 43),
            self.jwt,
        ))()

    def jwt(self):
        def part(value):
            return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
        claims = json.dumps({"sub": self.digits(6), "iat": 1700000000 + self.random.randrange(10 ** 7)}).encode()
        return ".".join((part(b'{"alg":"HS256","typ":"JWT"}'), part(claims), part(self.random.randbytes(32))))

    def pem(self):
        body = base64.b64encode(self.random.randbytes(self.random.randrange(300, 900))).decode()
        label = self.random.choice(("RSA ", "EC ", "", "OPENSSH "))
        lines = "\\n".join(body[i:i + 64] for i in range(0, len(body), 64))
        return f"-----BEGIN {label}PRIVATE KEY-----\\n{lines}\\n-----END {label}PRIVATE KEY-----"

    def password(self):
        return self.text(ALNUM + "!%*-_.~", 10, 16, 24)


def luhn(number):
    total = 0
    for index, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + index % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def verhoeff(number):
    d = [[0] * 10 for _ in range(10)]
    for a in range(10):
        for b in range(10):
            d[a][b] = (a + b) % 5 if a < 5 and b < 5 else 5 + (a + b - 5) % 5 if a < 5 else 5 + (a - b) % 5 if b < 5 else (a - b + 5) % 5
    p, check = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], 0
    for index, digit in enumerate(reversed(number)):
        value = int(digit)
        for _ in range(index % 8):
            value = p[value]
        check = d[check][value]
    return check == 0


def base58check(payload):
    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    alphabet, number, text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


CONTEXTS = {
    "email": ("write to {} today", "from {} to support", "user={} failed", "<{}>", "mailto:{}", "contact: {}.", "({})"),
    "phone": ("call me at {} tomorrow", "Tel. {}", "phone: {}", "my number is {}.", "reach us under {}, please", "{} (office)"),
    "credit_card": ("card {} was declined", "pay with {}.", "number: {}", "charge {} for the order"),
    "us_ssn": ("SSN {} on file", "social security number {}.", "({})"),
    "us_itin": ("ITIN {} on file", "tax id {}."),
    "iban": ("transfer to {} please", "IBAN: {}", "account {}."),
    "ip_address": ("client {} connected", "from {} port 443", "host={} up", "peer [{}] left", "http://{}/health was down"),
    "mac_address": ("device {} seen", "mac={}", "lladdr {} joined"),
    "uk_nhs": ("NHS number {}", "patient {} admitted"),
    "uk_nino": ("NI number {}", "insured as {}."),
    "ca_sin": ("SIN {} was given", "insured as {}"),
    "au_tfn": ("TFN {} was given", "my tax file number is {}"),
    "in_aadhaar": ("Aadhaar {} verified", "identity {}."),
    "crypto_wallet": ("send it to {} now", "wallet: {}"),
    "date_of_birth": ("born on {} in Oslo", "date of birth: {}", "DOB {}", "birthday {}."),
    "secrets": ("key {} leaked", "token={}", "export API_KEY={}", "use {} to sign in", "\"{}\"", "api key: {}."),
}


def negatives(values):
    """Texts without anything sensitive."""
    r = values.random
    return r.choice((
        lambda: f"order ORD-{r.randrange(2019, 2027)}-{values.digits(6)} shipped",
        lambda: f"order number {values.digits(r.choice((7, 8, 9, 10)))} is late",
        lambda: f"invoice {values.digits(4)}-{values.digits(4)} and ticket #{values.digits(6)}",
        lambda: f"request {uuid.UUID(int=r.getrandbits(128), version=4)} done",
        lambda: f"at {values.day()}T{values.clock()}.{values.digits(6)}Z",
        lambda: f"at {values.day()} {values.clock()},{values.digits(3)} INFO",
        lambda: f"epoch {1700000000 + r.randrange(10 ** 8)} or {1700000000000 + r.randrange(10 ** 11)} ms",
        lambda: f"started {(1700000000 + r.randrange(10 ** 8)) * 10 ** 9} ns",
        lambda: f"version {r.randrange(20)}.{r.randrange(50)}.{r.randrange(30)}.{r.randrange(200)} of the driver",
        lambda: f"Chrome/{r.randrange(90, 140)}.0.{r.randrange(255)}.{r.randrange(255)} Safari/537.36",
        lambda: f"released v{r.randrange(9)}.{r.randrange(30)}.{r.randrange(30)}.{r.randrange(30)}",
        lambda: f"lib-{r.randrange(9)}.{r.randrange(30)}.{r.randrange(30)}.{r.randrange(30)}.tar.gz",
        lambda: f"sha256 {r.randbytes(32).hex()}",
        lambda: f"md5 {r.randbytes(16).hex()} etag \"{r.randbytes(8).hex()}\"",
        lambda: f"commit {r.randbytes(20).hex()} by ci",
        lambda: f"trace {r.randbytes(16).hex()} span {r.randbytes(8).hex()}",
        lambda: f"coordinates {r.uniform(-90, 90):.6f}, {r.uniform(-180, 180):.6f}",
        lambda: f"took {r.uniform(0, 99):.3f} ms, {r.randrange(10 ** 9):,} rows, {r.randrange(10 ** 7)} bytes",
        lambda: f"at {r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02} in std::vector<int>::at() line {r.randrange(9999)}",
        lambda: f"npm install @types/node@{r.randrange(20)}.{r.randrange(20)}.{r.randrange(9)} lodash@4.17.21",
        lambda: f"see https://example.com/a/{values.digits(8)}/b?page={r.randrange(99)}#L{r.randrange(999)}",
        lambda: f"range {values.digits(3)}-{values.digits(3)} of {values.digits(5)}, page {r.randrange(99)}/{r.randrange(100, 999)}",
        lambda: f"model gpt-4o-2024-08-06 used {r.randrange(9999)} tokens, claude-3-5-sonnet-20241022 {r.randrange(9999)}",
        lambda: f"sk-learn-pipeline-with-a-very-long-name-{r.choice(('alpha', 'beta'))} trained",
        lambda: f"part no. {values.digits(3)}-{values.digits(5)}-{values.digits(2)} in stock",
        lambda: f"base64 {base64.b64encode(r.randbytes(30)).decode()} decoded",
        lambda: f"deployed on {r.randrange(1, 28)}.{r.randrange(1, 13)}.2026, {r.randrange(1, 13)}/{r.randrange(1, 28)}/2026",
    ))()


def line(text, labels):
    """`text` and the values in it as a line of the corpus."""
    data = text.encode()
    fields = [data]
    position = 0
    for kind, value in labels:
        encoded = value.encode()
        start = data.index(encoded, position)
        position = start + len(encoded)
        fields += [kind.encode(), str(start).encode(), str(position).encode()]
    return SEPARATOR.encode().join(fields).replace(b"\n", b" ") + b"\n"


def framed(values, sentence, labels):
    """The sentence as it is, or in JSON as prompts are; keys and escapes around it."""
    style = values.random.random()
    words = values.faker("en_US").sentence(6)
    if style < 0.4:
        return f"{words} {sentence} {words}", labels
    if style < 0.6:
        return sentence, labels
    if style < 0.9 or any('"' in value or "\\" in value for _, value in labels):
        message = {"role": "user", "parts": [{"type": "text", "content": f"{words}\n{sentence}"}]}
        text = json.dumps([message], ensure_ascii=values.random.random() < 0.5)
    else:
        inner = json.dumps({"query": f"{words}\n{sentence}", "limit": 5})
        text = json.dumps({"tool": "search", "arguments": inner})
    return (text, labels) if all(value in text for _, value in labels) else (sentence, labels)


def lines(seed, count):
    values = Values(seed)
    kinds = list(CONTEXTS)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        value = getattr(values, kind)()
        sentence = values.random.choice(CONTEXTS[kind]).format(value)
        yield line(*framed(values, sentence, [(kind, value)]))
        if number % 3 == 0:
            yield line(*framed(values, negatives(values), []))
        if number % len(kinds) == 0:
            yield from special(values)


def special(values):
    """Credentials that are known by what stands around them."""
    user, password, host = values.faker().user_name(), values.password(), values.faker("en_US").domain_name()
    scheme = values.random.choice(("postgresql", "mysql", "redis", "amqp", "mongodb+srv"))
    yield line(f"connecting to {scheme}://{user}:{password}@{host}:5432/app", [("secrets", password)])
    yield line(f"Server={host};Database=app;Uid={user};Password={password};", [("secrets", password)])
    token = values.text(ALNUM, 24, 40)
    yield line(f"curl -H 'Authorization: Bearer {token}' https://{host}/v1", [("secrets", token)])
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    yield line(f"GET / HTTP/1.1 Authorization: Basic {basic} Host: {host}", [("secrets", basic)])
    pair = values.url_credentials()
    yield line(f"cloning https://{pair}@{host}/repo.git", [("url_credentials", pair)])
    key = values.pem()
    yield line(f"loaded {key} from disk", [("secrets", key)])
    secret = values.text(ALNUM + "/+", 40)
    yield line(f"aws_secret_access_key = {secret}", [("secrets", secret)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--count", type=int, default=8000)
    arguments = parser.parse_args()
    with open(arguments.out, "wb") as out:
        out.writelines(lines(arguments.seed, arguments.count))


if __name__ == "__main__":
    main()
