// Loads fewer bytes than a register has without reading beyond them.
#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t load64(const uint8_t *text) {
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

static inline uint32_t load32(const uint8_t *text) {
    uint32_t word;
    memcpy(&word, text, sizeof word);
    return word;
}

// The first `count` bytes at `text`, 16 at most, zeros behind them: two loads that overlap.
static inline __m128i load_part16(const uint8_t *text, ptrdiff_t count) {
    if (count >= 16) return _mm_loadu_si128((const __m128i *)text);
    if (count <= 0) return _mm_setzero_si128();
    if (count >= 8) {
        const uint64_t last = count > 8 ? load64(text + count - 8) >> (8 * (16 - count)) : 0;
        return _mm_set_epi64x((long long)last, (long long)load64(text));
    }
    if (count >= 4) return _mm_cvtsi64_si128((long long)(load32(text) | (uint64_t)load32(text + count - 4) << (8 * (count - 4))));
    const uint64_t word = text[0] | (uint64_t)text[count / 2] << (8 * (count / 2)) | (uint64_t)text[count - 1] << (8 * (count - 1));
    return _mm_cvtsi64_si128((long long)word);
}
