#include "variants.h"

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,bmi,bmi2"))), apply_to = function)

typedef __m512i block;

static inline __attribute__((always_inline)) block load(const uint8_t *text) { return _mm512_loadu_si512(text); }

static inline __attribute__((always_inline)) block load_part(const uint8_t *text, size_t count) {
    return _mm512_maskz_loadu_epi8((1ull << count) - 1, text);
}

static inline __attribute__((always_inline)) block folded(block from) { return _mm512_or_si512(from, _mm512_set1_epi8(0x20)); }

static inline __attribute__((always_inline)) uint64_t equal(block from, uint8_t byte) {
    return _mm512_cmpeq_epi8_mask(from, _mm512_set1_epi8((char)byte));
}

// Each of the three has a low half of its own, by which it is looked up; all other bytes find one that they are not.
static inline __attribute__((always_inline)) uint64_t marks(block from) {
    const __m128i table = _mm_setr_epi8('@', 0, 0, 0, 0, 0, 0, 0, 0, 0, ':', 0, 0, '=', 0, 0);
    return _mm512_cmpeq_epi8_mask(from, _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), from));
}

static inline __attribute__((always_inline)) uint64_t range(block from, uint8_t first, uint8_t count) {
    return _mm512_cmplt_epu8_mask(_mm512_sub_epi8(from, _mm512_set1_epi8((char)first)), _mm512_set1_epi8((char)count));
}

#define NEXT ctextscan_next_avx512
#define EITHER ctextscan_either_avx512
#include "next.h"

#pragma clang attribute pop
#endif
