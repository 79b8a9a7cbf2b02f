// The loop behind `ctextscan_next`, for one instruction set. A file that includes this defines before:
// - `block`, a type that holds 64 bytes, and how it is filled: `load` whole, `load_part` with fewer than 64, zeros behind them;
// - `marks(block)`: a bit for each of @ : =, and `equal(block, byte)`, `range(block, first, count)`:
//   for each byte that is the one, or one of the range;
// - `folded`, the block with bit 5 of each byte set, which makes small letters of capitals;
// - `NEXT` and `EITHER`, the names of the functions to be made.
//
// Most blocks are prose and hold no anchor. So the loop finds out only whether there may be one, which takes the tokens' runs and
// little else; for the few others everything is worked out anew, the block before included.
#include "ctextscan.h"

enum { block_bytes = 64, run_bytes = 16 };

// What a block's bytes are: a bit each.
typedef struct classes {
    uint64_t digits, letters, words, dashes, separators, marks, backslashes;
    // In JSON only.
    uint64_t quotes, leading, hiding, colons;
    // Letters that no name which matters ends in; quotation marks and spaces.
    uint64_t harmless, gaps;
} classes;

static inline __attribute__((always_inline)) classes classify(block bytes, bool is_json) {
    classes is = {0};
    is.digits = range(bytes, '0', 10);
    is.letters = range(folded(bytes), 'a', 26);
    is.words = is.digits | is.letters | equal(bytes, '_');
    is.dashes = equal(bytes, '-');
    // These three stand in a row.
    is.separators = range(bytes, '-', 3);
    is.marks = marks(bytes);
    is.backslashes = equal(bytes, '\\');
    if (is_json) {
        is.quotes = equal(bytes, '"');
        is.leading = equal(folded(bytes), 'b');
        is.hiding = equal(bytes, 'u') | equal(bytes, '/');
        is.colons = equal(bytes, ':');
        is.harmless = is.letters & ~(equal(folded(bytes), 'n') | equal(folded(bytes), 'd') | equal(folded(bytes), 'y'));
        is.gaps = is.quotes | equal(bytes, ' ');
    }
    return is;
}

// A mask moved by `count` bytes, those of the block before moved in.
static inline __attribute__((always_inline)) uint64_t moved(uint64_t mask, unsigned count, uint64_t before) {
    return mask << count | before >> (64 - count);
}

// The sixteenth byte of each run, by runs of two, four and eight.
static inline __attribute__((always_inline)) uint64_t sixteenths(uint64_t mask, uint64_t before) {
    for (unsigned count = 1; count < run_bytes; count *= 2) {
        mask &= moved(mask, count, before);
        // What stands before the block before can be seen only in its first bytes, and those do not matter.
        before &= before << count;
    }
    return mask & ~moved(mask, 1, before);
}

// Fills in the anchors of a block; `old` is the block before.
// Whether there are any. Without branches: what a block holds cannot be foretold.
static inline __attribute__((always_inline)) bool combine(const classes *is, const classes *old, ctextscan_anchors *anchors) {
    const uint64_t starts = is->digits & ~moved(is->digits, 1, old->digits);
    const uint64_t after_word = moved(is->words, 1, old->words);
    const uint64_t after_separator = moved(is->separators, 1, old->separators) & moved(is->words, 2, old->words);
    // What follows the block's last byte is not known yet.
    const uint64_t pairs = moved(is->letters, 1, old->letters) & moved(is->letters, 2, old->letters) & ~moved(is->words, 3, old->words) &
                           (is->digits >> 1 | 1ull << 63);
    // Between a name and its value in JSON.
    const uint64_t between = moved(is->quotes, 1, old->quotes) & moved(is->harmless, 2, old->harmless) & is->gaps >> 1;
    const bool has_escapes = (is->backslashes | old->backslashes) != 0;
    anchors->numbers = has_escapes ? starts : starts & (~(after_word | after_separator) | pairs);
    anchors->marks = is->marks & ~(is->colons & between);
    const uint64_t two = is->dashes & moved(is->dashes, 1, old->dashes), old_two = old->dashes & old->dashes << 1;
    const uint64_t four = two & moved(two, 2, old_two), old_four = old_two & old_two << 2;
    anchors->dashes = four & ~moved(four, 1, old_four);
    anchors->tokens = sixteenths(is->words | is->dashes, old->words | old->dashes);
    anchors->all = anchors->numbers | anchors->marks | anchors->dashes | anchors->tokens;
    anchors->leading = is->leading & moved(is->quotes, 1, old->quotes);
    anchors->hidden = is->hiding & moved(is->backslashes, 1, old->backslashes);
    return (anchors->all | anchors->leading | anchors->hidden) != 0;
}

static inline __attribute__((always_inline)) uint64_t token_mask(block bytes) {
    return range(bytes, '0', 10) | range(folded(bytes), 'a', 26) | equal(bytes, '_') | equal(bytes, '-');
}

// Whether there is a run of sixteen in the block, or with the `before` bytes of one that reach into it.
static inline __attribute__((always_inline)) bool has_run(uint64_t mask, unsigned before) {
    uint64_t inside = mask & mask >> 1;
    inside &= inside >> 2;
    inside &= inside >> 4;
    inside &= inside >> 8;
    return inside != 0 || before + (mask == ~0ull ? block_bytes : (unsigned)__builtin_ctzll(~mask)) >= run_bytes;
}

// Whether the block may have another anchor: its first byte for what stands before it, too.
static inline __attribute__((always_inline)) bool is_worth_it(block bytes) {
    const uint64_t dashes = equal(bytes, '-');
    return (range(bytes, '0', 10) | marks(bytes) | (dashes & (dashes << 1 | 1))) != 0;
}

// The same for the anchors of JSON alone: few blocks have a quotation mark or a backslash. `before` says whether the block before
// ends with one, and what it is to be for the next.
static inline __attribute__((always_inline)) bool has_quoted(block bytes, bool *before) {
    const uint64_t quotes = equal(bytes, '"'), backslashes = equal(bytes, '\\');
    const bool is_first = *before;
    *before = (quotes | backslashes) >> 63;
    if ((quotes | backslashes) == 0 && !is_first) return false;
    const uint64_t leading = equal(folded(bytes), 'b'), hiding = equal(bytes, 'u') | equal(bytes, '/');
    return ((leading & (quotes << 1 | 1)) | (hiding & (backslashes << 1 | 1))) != 0;
}

static inline __attribute__((always_inline)) unsigned run_at_end(uint64_t mask) {
    return mask == ~0ull ? block_bytes : (unsigned)__builtin_clzll(~mask);
}

static inline __attribute__((always_inline)) size_t next(
    const uint8_t *text, size_t length, size_t from, bool is_json, ctextscan_anchors *anchors) {
    static const classes none = {0};
    if (from >= length) return 0;
    if (length <= block_bytes && !is_json) {
        // Most attributes: everything at once, rather than first whether it is worth it.
        const classes is = classify(length == block_bytes ? load(text) : load_part(text, length), false);
        ctextscan_anchors found = {.offset = 0};
        if (!combine(&is, &none, &found)) return 0;
        *anchors = found;
        return block_bytes;
    }
    unsigned before = from == 0 ? 0 : run_at_end(token_mask(load(text + from - block_bytes)));
    bool is_quoted = true;
    for (size_t offset = from; offset < length; offset += block_bytes) {
        const size_t rest = length - offset;
        const block bytes = rest >= block_bytes ? load(text + offset) : load_part(text + offset, rest);
        const uint64_t tokens = token_mask(bytes);
        const bool is_run = has_run(tokens, before);
        before = run_at_end(tokens);
        const bool has_other = is_worth_it(bytes), has_json = is_json && has_quoted(bytes, &is_quoted);
        if (!is_run && !has_other && !has_json) continue;
        const classes is = classify(bytes, is_json);
        ctextscan_anchors found = {.offset = offset};
        const classes old = offset == 0 ? none : classify(load(text + offset - block_bytes), is_json);
        if (!combine(&is, &old, &found)) continue;
        *anchors = found;
        return offset + block_bytes;
    }
    return 0;
}

size_t NEXT(const uint8_t *text, size_t length, size_t from, bool is_json, ctextscan_anchors *anchors) {
    return is_json ? next(text, length, from, true, anchors) : next(text, length, from, false, anchors);
}

size_t EITHER(const uint8_t *text, size_t length, uint8_t one, uint8_t other) {
    for (size_t offset = 0; offset < length; offset += block_bytes) {
        const size_t rest = length - offset;
        const block bytes = rest >= block_bytes ? load(text + offset) : load_part(text + offset, rest);
        uint64_t found = equal(bytes, one) | equal(bytes, other);
        // Behind the text are zeros.
        if (rest < block_bytes) found &= (1ull << rest) - 1;
        if (found) return offset + (size_t)__builtin_ctzll(found);
    }
    return length;
}
