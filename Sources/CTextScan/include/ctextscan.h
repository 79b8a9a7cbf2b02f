// Classifies text 64 bytes at a time, and finds the end of a JSON string. SSE2 where there is one, else plain C.
#ifndef CTEXTSCAN_H
#define CTEXTSCAN_H
#include <stddef.h>
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

// One bit per byte, the first byte's lowest.
typedef struct ctextscan_masks {
    // 0-9
    uint64_t digits;
    // 0-9 A-Z a-z _ -
    uint64_t tokens;
    // @ : =
    uint64_t marks;
    // -
    uint64_t dashes;
} ctextscan_masks;

#if defined(__SSE2__)
// Reads the 64 bytes at `text`.
static inline ctextscan_masks ctextscan_block(const uint8_t *text) {
    ctextscan_masks masks = {0, 0, 0, 0};
    // Unsigned "less than" by a signed comparison: both sides are moved by 128.
    const __m128i to_digit = _mm_set1_epi8((char)(0x80 - '0')), digit_end = _mm_set1_epi8((char)(0x80 + 10));
    const __m128i lower = _mm_set1_epi8(0x20), to_letter = _mm_set1_epi8((char)(0x80 - 'a')), letter_end = _mm_set1_epi8((char)(0x80 + 26));
    const __m128i underscore = _mm_set1_epi8('_'), dash = _mm_set1_epi8('-');
    const __m128i at = _mm_set1_epi8('@'), colon = _mm_set1_epi8(':'), equals = _mm_set1_epi8('=');
    for (int i = 0; i < 4; i++) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(text + 16 * i));
        const __m128i digits = _mm_cmplt_epi8(_mm_add_epi8(bytes, to_digit), digit_end);
        const __m128i letters = _mm_cmplt_epi8(_mm_add_epi8(_mm_or_si128(bytes, lower), to_letter), letter_end);
        const __m128i dashes = _mm_cmpeq_epi8(bytes, dash);
        const __m128i tokens = _mm_or_si128(_mm_or_si128(digits, letters), _mm_or_si128(dashes, _mm_cmpeq_epi8(bytes, underscore)));
        const __m128i marks =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, at), _mm_or_si128(_mm_cmpeq_epi8(bytes, colon), _mm_cmpeq_epi8(bytes, equals)));
        masks.digits |= (uint64_t)(uint32_t)_mm_movemask_epi8(digits) << (16 * i);
        masks.tokens |= (uint64_t)(uint32_t)_mm_movemask_epi8(tokens) << (16 * i);
        masks.marks |= (uint64_t)(uint32_t)_mm_movemask_epi8(marks) << (16 * i);
        masks.dashes |= (uint64_t)(uint32_t)_mm_movemask_epi8(dashes) << (16 * i);
    }
    return masks;
}
#else
// Reads the 64 bytes at `text`.
static inline ctextscan_masks ctextscan_block(const uint8_t *text) {
    ctextscan_masks masks = {0, 0, 0, 0};
    for (int i = 0; i < 64; i++) {
        const uint8_t byte = text[i];
        const uint64_t digit = (uint8_t)(byte - '0') < 10, letter = (uint8_t)((byte | 0x20) - 'a') < 26, dash = byte == '-';
        masks.digits |= digit << i;
        masks.tokens |= (digit | letter | dash | (byte == '_')) << i;
        masks.marks |= (uint64_t)(byte == '@' || byte == ':' || byte == '=') << i;
        masks.dashes |= dash << i;
    }
    return masks;
}
#endif

// Offset of the first quotation mark or backslash in `length` bytes, or `length`.
size_t ctextscan_quote_or_backslash(const uint8_t *text, size_t length);

#endif
