// simdjson's DOM parser for C: JSON text in, the "tape" and the string buffer of the document out.
// Tape: https://github.com/simdjson/simdjson/blob/master/doc/tape.md
#ifndef CSIMDJSON_H
#define CSIMDJSON_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct csimdjson_parser csimdjson_parser;

typedef enum csimdjson_status {
    CSIMDJSON_OK = 0,
    // Not JSON.
    CSIMDJSON_SYNTAX,
    // Nested deeper than the parser's limit.
    CSIMDJSON_DEPTH,
    // A string is no Unicode text (invalid UTF-8, a lone surrogate), or a number is malformed or of more than 64 bits.
    CSIMDJSON_TEXT_OR_NUMBER,
    // Larger than simdjson's 4 GiB, or no memory.
    CSIMDJSON_MEMORY
} csimdjson_status;

typedef struct csimdjson_document {
    csimdjson_status status;
    // Both valid until the next call with the same parser.
    const uint64_t *tape;
    const uint8_t *strings;
    // Upper bound of the bytes this document made the parser write to: what it keeps resident.
    size_t touched_bytes;
} csimdjson_document;

// NULL without memory. A parser serves one thread at a time.
csimdjson_parser *csimdjson_parser_create(size_t depth_max);
void csimdjson_parser_free(csimdjson_parser *parser);

// Parses `length` bytes at `json`, which need no padding: they are copied.
csimdjson_document csimdjson_parse(csimdjson_parser *parser, const uint8_t *json, size_t length);

#ifdef __cplusplus
}
#endif
#endif
