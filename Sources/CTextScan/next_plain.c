#include "variants.h"

#include <string.h>

typedef struct block {
    uint8_t bytes[64];
} block;

static block load(const uint8_t *text) {
    block made;
    memcpy(made.bytes, text, sizeof made.bytes);
    return made;
}

static block load_part(const uint8_t *text, size_t count) {
    block made = {{0}};
    memcpy(made.bytes, text, count);
    return made;
}

static block folded(block from) {
    for (int i = 0; i < 64; i++) from.bytes[i] |= 0x20;
    return from;
}

static uint64_t range(block from, uint8_t first, uint8_t count) {
    uint64_t mask = 0;
    for (int i = 0; i < 64; i++) mask |= (uint64_t)((uint8_t)(from.bytes[i] - first) < count) << i;
    return mask;
}

static uint64_t equal(block from, uint8_t byte) { return range(from, byte, 1); }

static uint64_t marks(block from) { return equal(from, '@') | equal(from, ':') | equal(from, '='); }

#define NEXT ctextscan_next_plain
#define EITHER ctextscan_either_plain
#include "next.h"
