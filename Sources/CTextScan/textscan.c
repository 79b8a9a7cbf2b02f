#include "ctextscan.h"

#include <stdatomic.h>
#if defined(__x86_64__)
#include "part.h"
#endif

#include "variants.h"

// MARK: The widest vectors that the processor has

static next_function choose_next;
static either_function choose_either;
static next_function *_Atomic chosen_next = choose_next;
static either_function *_Atomic chosen_either = choose_either;

static void choose(void) {
    next_function *next = ctextscan_next_plain;
    either_function *either = ctextscan_either_plain;
#if defined(__x86_64__)
    __builtin_cpu_init();
    next = ctextscan_next_sse2, either = ctextscan_either_sse2;
    if (__builtin_cpu_supports("bmi2")) {
        if (__builtin_cpu_supports("avx2")) next = ctextscan_next_avx2, either = ctextscan_either_avx2;
        if (__builtin_cpu_supports("avx512bw")) next = ctextscan_next_avx512, either = ctextscan_either_avx512;
    }
#endif
    atomic_store_explicit(&chosen_next, next, memory_order_relaxed);
    atomic_store_explicit(&chosen_either, either, memory_order_relaxed);
}

static size_t choose_next(const uint8_t *text, size_t length, size_t from, bool is_json, ctextscan_anchors *anchors) {
    choose();
    return ctextscan_next(text, length, from, is_json, anchors);
}

static size_t choose_either(const uint8_t *text, size_t length, uint8_t one, uint8_t other) {
    choose();
    return ctextscan_either(text, length, one, other);
}

size_t ctextscan_next(const uint8_t *text, size_t length, size_t from, bool is_json, ctextscan_anchors *anchors) {
    return atomic_load_explicit(&chosen_next, memory_order_relaxed)(text, length, from, is_json, anchors);
}

size_t ctextscan_either(const uint8_t *text, size_t length, uint8_t one, uint8_t other) {
    return atomic_load_explicit(&chosen_either, memory_order_relaxed)(text, length, one, other);
}

// MARK: Runs

#if defined(__x86_64__)
// A bit for each of 16 bytes that is no token character.
static unsigned others(__m128i bytes) {
    const __m128i lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    const __m128i digits = _mm_cmplt_epi8(_mm_add_epi8(bytes, _mm_set1_epi8((char)(0x80 - '0'))), _mm_set1_epi8((char)(0x80 + 10)));
    const __m128i letters = _mm_cmplt_epi8(_mm_add_epi8(lower, _mm_set1_epi8((char)(0x80 - 'a'))), _mm_set1_epi8((char)(0x80 + 26)));
    const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('_')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(digits, letters), marks)) ^ 0xFFFF;
}

size_t ctextscan_tokens(const uint8_t *text, size_t length) {
    for (size_t count = 0; count < length; count += 16) {
        // What stands behind the text is no token.
        const unsigned found = others(load_part16(text + count, (ptrdiff_t)(length - count)));
        if (found) return count + (size_t)__builtin_ctz(found);
    }
    return length;
}

size_t ctextscan_tokens_before(const uint8_t *end, size_t length) {
    size_t count = 0;
    for (; length - count >= 16; count += 16) {
        const unsigned found = others(load_part16(end - count - 16, 16));
        if (found) return count + (size_t)__builtin_clz(found << 16);
    }
    const size_t rest = length - count;
    if (rest == 0) return length;
    const unsigned found = others(load_part16(end - length, (ptrdiff_t)rest)) << (32 - rest);
    return found ? count + (size_t)__builtin_clz(found) : length;
}

uint64_t ctextscan_joints(const uint8_t *text, size_t length) {
    uint64_t mask = 0;
    for (size_t offset = 0; offset < length && offset < 64; offset += 16) {
        const __m128i bytes = load_part16(text + offset, (ptrdiff_t)(length - offset));
        const __m128i found = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('_')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
        mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(found) << offset;
    }
    return mask;
}
#else
static bool is_token(uint8_t byte) {
    return (uint8_t)(byte - '0') < 10 || (uint8_t)((byte | 0x20) - 'a') < 26 || byte == '_' || byte == '-';
}

size_t ctextscan_tokens(const uint8_t *text, size_t length) {
    size_t count = 0;
    while (count < length && is_token(text[count])) count++;
    return count;
}

size_t ctextscan_tokens_before(const uint8_t *end, size_t length) {
    size_t count = 0;
    while (count < length && is_token(end[-(ptrdiff_t)count - 1])) count++;
    return count;
}

uint64_t ctextscan_joints(const uint8_t *text, size_t length) {
    uint64_t mask = 0;
    for (size_t offset = 0; offset < length && offset < 64; offset++)
        mask |= (uint64_t)(text[offset] == '_' || text[offset] == '-') << offset;
    return mask;
}
#endif
