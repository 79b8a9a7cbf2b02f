#include "variants.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "part.h"

#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2"))), apply_to = function)

typedef struct block {
    __m256i parts[2];
} block;

static inline __attribute__((always_inline)) block load(const uint8_t *text) {
    return (block){{_mm256_loadu_si256((const __m256i *)text), _mm256_loadu_si256((const __m256i *)(text + 32))}};
}

static inline __attribute__((always_inline)) block load_part(const uint8_t *text, size_t count) {
    __m128i parts[4];
    for (int i = 0; i < 4; i++) parts[i] = load_part16(text + 16 * i, (ptrdiff_t)count - 16 * i);
    return (block){{_mm256_set_m128i(parts[1], parts[0]), _mm256_set_m128i(parts[3], parts[2])}};
}

static inline __attribute__((always_inline)) block folded(block from) {
    const __m256i bit = _mm256_set1_epi8(0x20);
    return (block){{_mm256_or_si256(from.parts[0], bit), _mm256_or_si256(from.parts[1], bit)}};
}

static inline __attribute__((always_inline)) uint64_t mask(__m256i low, __m256i high) {
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

static inline __attribute__((always_inline)) uint64_t equal(block from, uint8_t byte) {
    const __m256i wanted = _mm256_set1_epi8((char)byte);
    return mask(_mm256_cmpeq_epi8(from.parts[0], wanted), _mm256_cmpeq_epi8(from.parts[1], wanted));
}

static inline __attribute__((always_inline)) __m256i marks32(__m256i from) {
    const __m256i at = _mm256_cmpeq_epi8(from, _mm256_set1_epi8('@')), colon = _mm256_cmpeq_epi8(from, _mm256_set1_epi8(':'));
    return _mm256_or_si256(at, _mm256_or_si256(colon, _mm256_cmpeq_epi8(from, _mm256_set1_epi8('='))));
}

static inline __attribute__((always_inline)) uint64_t marks(block from) {
    return mask(marks32(from.parts[0]), marks32(from.parts[1]));
}

// Comparisons are signed: both sides are moved by 128.
static inline __attribute__((always_inline)) uint64_t range(block from, uint8_t first, uint8_t count) {
    const __m256i shift = _mm256_set1_epi8((char)(0x80 - first)), end = _mm256_set1_epi8((char)(0x80 + count));
    return mask(
        _mm256_cmpgt_epi8(end, _mm256_add_epi8(from.parts[0], shift)), _mm256_cmpgt_epi8(end, _mm256_add_epi8(from.parts[1], shift)));
}

#define NEXT ctextscan_next_avx2
#define EITHER ctextscan_either_avx2
#include "next.h"

#pragma clang attribute pop
#endif
