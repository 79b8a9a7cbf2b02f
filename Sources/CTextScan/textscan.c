#include "ctextscan.h"

size_t ctextscan_quote_or_backslash(const uint8_t *text, size_t length) {
    size_t offset = 0;
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; length - offset >= 16; offset += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)(text + offset));
        const int found = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
        if (found) return offset + (size_t)__builtin_ctz((unsigned)found);
    }
#endif
    for (; offset < length; offset++)
        if (text[offset] == '"' || text[offset] == '\\') return offset;
    return length;
}
