#pragma once
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif

/* XXH3 with 128 bits by the widest vectors of this machine. On x86 the library's plain function knows only SSE2, at half the speed;
   the header above replaces the name by that of a function that looks at the processor. Elsewhere the plain one is the best there is. */
static inline XXH128_hash_t xxhash_128(const void *bytes, size_t count, XXH64_hash_t seed) {
    return XXH3_128bits_withSeed(bytes, count, seed);
}
