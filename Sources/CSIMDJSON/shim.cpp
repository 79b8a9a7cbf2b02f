#include "csimdjson.h"
#include <simdjson.h>
struct csimdjson_parser { simdjson::dom::parser parser; };
extern "C" csimdjson_parser *csimdjson_parser_create(void) { return new (std::nothrow) csimdjson_parser; }
extern "C" void csimdjson_parser_free(csimdjson_parser *parser) { delete parser; }
