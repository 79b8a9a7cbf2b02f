#include "variants.h"

#if defined(__x86_64__)
#include "part.h"

typedef struct block {
    __m128i parts[4];
} block;

static inline block load(const uint8_t *text) {
    block made;
    for (int i = 0; i < 4; i++) made.parts[i] = _mm_loadu_si128((const __m128i *)(text + 16 * i));
    return made;
}

static inline block load_part(const uint8_t *text, size_t count) {
    block made;
    for (int i = 0; i < 4; i++) made.parts[i] = load_part16(text + 16 * i, (ptrdiff_t)count - 16 * i);
    return made;
}

static inline block folded(block from) {
    for (int i = 0; i < 4; i++) from.parts[i] = _mm_or_si128(from.parts[i], _mm_set1_epi8(0x20));
    return from;
}

static inline uint64_t equal(block from, uint8_t byte) {
    uint64_t mask = 0;
    for (int i = 0; i < 4; i++) {
        const int bits = _mm_movemask_epi8(_mm_cmpeq_epi8(from.parts[i], _mm_set1_epi8((char)byte)));
        mask |= (uint64_t)(uint32_t)bits << (16 * i);
    }
    return mask;
}

static inline uint64_t marks(block from) {
    uint64_t mask = 0;
    for (int i = 0; i < 4; i++) {
        const __m128i at = _mm_cmpeq_epi8(from.parts[i], _mm_set1_epi8('@')), colon = _mm_cmpeq_epi8(from.parts[i], _mm_set1_epi8(':'));
        const __m128i equals = _mm_cmpeq_epi8(from.parts[i], _mm_set1_epi8('='));
        mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_or_si128(at, _mm_or_si128(colon, equals))) << (16 * i);
    }
    return mask;
}

// Comparisons are signed: both sides are moved by 128.
static inline uint64_t range(block from, uint8_t first, uint8_t count) {
    const __m128i shift = _mm_set1_epi8((char)(0x80 - first)), end = _mm_set1_epi8((char)(0x80 + count));
    uint64_t mask = 0;
    for (int i = 0; i < 4; i++) {
        const int bits = _mm_movemask_epi8(_mm_cmplt_epi8(_mm_add_epi8(from.parts[i], shift), end));
        mask |= (uint64_t)(uint32_t)bits << (16 * i);
    }
    return mask;
}

#define NEXT ctextscan_next_sse2
#define EITHER ctextscan_either_sse2
#include "next.h"
#endif
