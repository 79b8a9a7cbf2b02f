// Finds where in a text a sensitive value may be, 64 bytes at a time, and other places by their bytes. AVX-512, AVX2 or SSE2, what
// the processor has, else plain C; all with the same result.
#ifndef CTEXTSCAN_H
#define CTEXTSCAN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Where something may be in one block of 64 bytes: one bit per byte, the first byte's lowest.
typedef struct ctextscan_anchors {
    // First digits of runs at which a number may start, or go on after two letters. Not one inside a word (unless two letters that
    // begin the word stand before two digits), or after a word and one of - . / (an identifier, a version, a path). In blocks with
    // a backslash and in the next one all runs count, for an escape may end before the digit.
    uint64_t numbers;
    // @ : = but in JSON without the colons between a name and its value, where the name ends in none of the letters n, d and y.
    uint64_t marks;
    // The fourth hyphen in a row.
    uint64_t dashes;
    // The sixteenth character of a run of letters, digits, underscores and hyphens.
    uint64_t tokens;
    // Any of these.
    uint64_t all;
    // In JSON: B or b right after a quotation mark.
    uint64_t leading;
    // In JSON: u or / right after a backslash, an escape that may hide a byte that matters.
    uint64_t hidden;
    // Where the block starts.
    size_t offset;
} ctextscan_anchors;

// Looks at the blocks from `from` on, a multiple of 64, for one with an anchor, in the `length` bytes at `text`. Returns where the
// block after it starts; 0 when there is none, then `anchors` are left as they were.
size_t ctextscan_next(const uint8_t *text, size_t length, size_t from, bool is_json, ctextscan_anchors *anchors);

// The same in plain C, byte by byte: what the vectors are compared with.
size_t ctextscan_next_plain(const uint8_t *text, size_t length, size_t from, bool is_json, ctextscan_anchors *anchors);

// Offset of the first byte that is `one` or `other` in `length` bytes, or `length`.
size_t ctextscan_either(const uint8_t *text, size_t length, uint8_t one, uint8_t other);

// How many of the `length` bytes at `text`, from the first on, are letters, digits, underscores or hyphens.
size_t ctextscan_tokens(const uint8_t *text, size_t length);

// How many of the `length` bytes that end at `end`, from the last on.
size_t ctextscan_tokens_before(const uint8_t *end, size_t length);

// A bit for each hyphen and underscore among the first 64 of the `length` bytes at `text`.
uint64_t ctextscan_joints(const uint8_t *text, size_t length);

#endif
