"""Whether a number is valid, by the published definition of its scheme. Written from those definitions, independently of the
collector: plain strings in, tables where the definition has tables."""
import hashlib
import string

# MARK: Check digits


def luhn(digits):
    """ISO/IEC 7812-1, annex B: from the right, every second digit doubled and its digits added."""
    doubled = "0246813579"
    return sum(int(doubled[int(d)]) if place % 2 else int(d) for place, d in enumerate(digits[::-1])) % 10 == 0


def mod97(text):
    """ISO 7064 MOD 97-10 as ISO 13616 applies it: the first four characters go to the end, A is 10, the number leaves 1."""
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


# The Verhoeff scheme: multiplication of the dihedral group D5, the permutation of each place, as published in 1969.
VERHOEFF_PRODUCT = ["0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
                    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210"]
VERHOEFF_PLACES = ["0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258"]


def verhoeff(digits):
    check = 0
    for place, digit in enumerate(digits[::-1]):
        check = int(VERHOEFF_PRODUCT[check][int(VERHOEFF_PLACES[place % 8][int(digit)])])
    return check == 0


# MARK: Cards

# Issuers by range of leading digits, and the lengths they issue. ISO/IEC 7812 registry as published by the networks.
CARDS = [
    (range(4, 5), {13, 16, 19}),  # Visa
    (range(51, 56), {16}), (range(2221, 2721), {16}),  # Mastercard
    (range(34, 35), {15}), (range(37, 38), {15}),  # American Express
    (range(300, 306), range(14, 20)), ([3095], range(14, 20)), ([36, 38, 39], range(14, 20)),  # Diners Club
    # JCB issues from 3528 to 3589; nobody else has the rest of 35, and what makes test data uses all of it.
    ([35], range(16, 20)), ([2131, 1800], {15}),
    ([6011, 65], range(16, 20)), (range(644, 650), range(16, 20)),  # Discover
    ([62], range(16, 20)),  # UnionPay
    (range(2200, 2205), range(16, 20)),  # Mir
    # Maestro and the debit schemes that became part of it, where no network above has the range.
    ([50, 56, 57, 58, 60, 61, 63, 64, 66, 67, 68, 69], range(12, 20)),
]


def card(digits):
    """The longest range that fits decides: 6011 is Discover's although 60 is Maestro's."""
    best = max(((len(str(prefix)), lengths) for prefixes, lengths in CARDS for prefix in prefixes if digits.startswith(str(prefix))),
               key=lambda found: found[0], default=None)
    return best is not None and len(digits) in best[1] and luhn(digits)


# MARK: Bank accounts

# SWIFT's IBAN registry: length by country.
IBAN_LENGTHS = dict(pair.split(":") for pair in """
    AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 DE:22 DJ:27 DK:18 DO:28 EE:20 EG:29
    ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HN:28 HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20
    LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 MN:20 MR:27 MT:31 MU:30 NI:28 NL:18 NO:15 OM:23 PK:24 PL:28 PS:29
    PT:25 QA:29 RO:24 RS:22 RU:33 SA:24 SC:31 SD:18 SE:24 SI:19 SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20
    YE:30""".split())


def iban(text):
    # ISO 7064: check digits are 98 minus a remainder of 0 to 96.
    return int(IBAN_LENGTHS.get(text[:2], 0)) == len(text) and text[2:4].isdigit() and 2 <= int(text[2:4]) <= 98 and mod97(text)


# MARK: National numbers

def nhs(digits):
    """NHS data dictionary: weights 10 to 2, 11 minus the remainder is the last digit, 11 stands for 0, 10 is not issued."""
    check = 11 - sum(int(d) * weight for d, weight in zip(digits, range(10, 1, -1))) % 11
    return len(digits) == 10 and {10: None, 11: 0}.get(check, check) == int(digits[9])


def sin(digits):
    """Service Canada: Luhn; none begins with 0 or 8."""
    return len(digits) == 9 and digits[0] not in "08" and luhn(digits)


def tfn(digits):
    """Australian Taxation Office: the weighted sum is a multiple of 11."""
    return len(digits) == 9 and sum(int(d) * weight for d, weight in zip(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10))) % 11 == 0


def aadhaar(digits):
    """Unique Identification Authority of India: 12 digits, none begins with 0 or 1, the last checks by Verhoeff's scheme."""
    return len(digits) == 12 and digits[0] not in "01" and verhoeff(digits)


def ssn(digits):
    """Social Security Administration: area not 000, 666 or from 900 on; group not 00; serial not 0000."""
    return not (digits[:3] in ("000", "666") or digits[0] == "9" or digits[3:5] == "00" or digits[5:] == "0000")


ITIN_GROUPS = {*range(50, 66), *range(70, 89), *range(90, 93), *range(94, 100)}


def itin(digits):
    """Internal Revenue Service: begins with 9, the fourth and fifth digit in the ranges."""
    return digits[0] == "9" and int(digits[3:5]) in ITIN_GROUPS


def nino(text):
    """HMRC's manual NIM39110."""
    first, second, rest, suffix = text[0], text[1], text[2:8], text[8:]
    return (first in set(string.ascii_uppercase) - set("DFIQUV") and second in set(string.ascii_uppercase) - set("DFIQUVO")
            and first + second not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ") and rest.isdigit() and suffix in ("A", "B", "C", "D"))


# MARK: Bitcoin addresses

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32_CONSTANT, BECH32M_CONSTANT = 1, 0x2BC830A3


def double_sha256(data):
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def base58_address(text):
    """Version 0 or 5, 20 bytes, four of the checksum; a leading zero byte is a leading 1."""
    if any(c not in BASE58 for c in text):
        return False
    number = 0
    for c in text:
        number = number * 58 + BASE58.index(c)
    zeros = len(text) - len(text.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    return len(data) == 25 and data[0] in (0, 5) and double_sha256(data[:21])[:4] == data[21:]


def base58_encode(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def bech32_polymod(values):
    """BIP 173: remainder of the polynomial over GF(32)."""
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check


HRP = [ord("b") >> 5, ord("c") >> 5, 0, ord("b") & 31, ord("c") & 31]


def segwit_address(text):
    """BIP 173 and BIP 350 for mainnet: one case, version 0 with Bech32 and 20 or 32 bytes, 1 to 16 with Bech32m and 2 to 40."""
    if text.lower() != text and text.upper() != text:
        return False
    text = text.lower()
    if not text.startswith("bc1") or any(c not in BECH32 for c in text[3:]) or not 14 <= len(text) <= 90:
        return False
    data = [BECH32.index(c) for c in text[3:]]
    constant, version, program = bech32_polymod(HRP + data), data[0], data[1:-6]
    spare = len(program) * 5 % 8
    size = len(program) * 5 // 8
    if spare >= 5 or program and program[-1] & (1 << spare) - 1 or version > 16 or not 2 <= size <= 40:
        return False
    return constant == BECH32_CONSTANT and size in (20, 32) if version == 0 else constant == BECH32M_CONSTANT


def segwit_encode(version, program, constant=None):
    bits = int.from_bytes(program, "big") << -len(program) * 8 % 5
    groups = -(-len(program) * 8 // 5)
    data = [version] + [bits >> 5 * (groups - 1 - i) & 31 for i in range(groups)]
    wanted = (BECH32_CONSTANT if version == 0 else BECH32M_CONSTANT) if constant is None else constant
    check = bech32_polymod(HRP + data + [0] * 6) ^ wanted
    return "bc1" + "".join(BECH32[v] for v in data + [check >> 5 * (5 - i) & 31 for i in range(6)])
