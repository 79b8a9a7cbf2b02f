#include "csimdjson.h"

#include <simdjson.h>

#include <cstdlib>
#include <cstring>
#include <new>

struct csimdjson_parser {
    simdjson::dom::parser parser;
    size_t depth_max;
    // Copy of the text with the padding that simdjson reads beyond the end.
    char *text = nullptr;
    size_t text_capacity = 0;

    ~csimdjson_parser() { free(text); }
};

namespace {

// Capacities are powers of two from here on, so that documents of about the same size do not each allocate anew.
constexpr size_t capacity_min = 64 * 1024;

bool reserve(csimdjson_parser &parser, size_t length) {
    if (parser.text_capacity >= length && parser.text != nullptr) { return true; }
    size_t capacity = capacity_min;
    while (capacity < length) { capacity *= 2; }
    // Not realloc: the old text is not worth copying.
    free(parser.text);
    parser.text = static_cast<char *>(malloc(capacity + simdjson::SIMDJSON_PADDING));
    parser.text_capacity = parser.text == nullptr ? 0 : capacity;
    return parser.text != nullptr && parser.parser.allocate(capacity, parser.depth_max) == simdjson::SUCCESS
        && parser.parser.doc.allocate(capacity) == simdjson::SUCCESS;
}

csimdjson_status status_of(simdjson::error_code error) {
    switch (error) {
    case simdjson::SUCCESS: return CSIMDJSON_OK;
    case simdjson::DEPTH_ERROR: return CSIMDJSON_DEPTH;
    case simdjson::STRING_ERROR:
    case simdjson::UTF8_ERROR:
    case simdjson::NUMBER_ERROR: return CSIMDJSON_TEXT_OR_NUMBER;
    case simdjson::CAPACITY:
    case simdjson::MEMALLOC: return CSIMDJSON_MEMORY;
    default: return CSIMDJSON_SYNTAX;
    }
}

} // namespace

extern "C" csimdjson_parser *csimdjson_parser_create(size_t depth_max) {
    auto *parser = new (std::nothrow) csimdjson_parser;
    if (parser != nullptr) { parser->depth_max = depth_max; }
    return parser;
}

extern "C" void csimdjson_parser_free(csimdjson_parser *parser) { delete parser; }

extern "C" csimdjson_document csimdjson_parse(csimdjson_parser *parser, const uint8_t *json, size_t length) {
    csimdjson_document document = {CSIMDJSON_MEMORY, nullptr, nullptr, 0};
    if (length > simdjson::SIMDJSON_MAXSIZE_BYTES || !reserve(*parser, length)) { return document; }
    if (length > 0) { memcpy(parser->text, json, length); }
    memset(parser->text + length, 0, simdjson::SIMDJSON_PADDING);
    document.status = status_of(parser->parser.parse(parser->text, length, false).error());
    // The copy and the unescaped strings with their lengths, the structural indexes, the tape.
    size_t const words = document.status == CSIMDJSON_OK ? (parser->parser.doc.tape[0] & UINT32_MAX) : length;
    document.touched_bytes = 3 * length + sizeof(uint32_t) * parser->parser.implementation->n_structural_indexes + sizeof(uint64_t) * words;
    document.tape = parser->parser.doc.tape.get();
    document.strings = parser->parser.doc.string_buf.get();
    return document;
}
