// The functions of ctextscan.h for each instruction set.
#include "ctextscan.h"

typedef size_t next_function(const uint8_t *text, size_t length, size_t from, bool is_json, ctextscan_anchors *anchors);
typedef size_t either_function(const uint8_t *text, size_t length, uint8_t one, uint8_t other);

either_function ctextscan_either_plain;
#if defined(__x86_64__)
next_function ctextscan_next_sse2, ctextscan_next_avx2, ctextscan_next_avx512;
either_function ctextscan_either_sse2, ctextscan_either_avx2, ctextscan_either_avx512;
#endif
