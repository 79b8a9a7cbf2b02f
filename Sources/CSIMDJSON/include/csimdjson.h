#ifndef CSIMDJSON_H
#define CSIMDJSON_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct csimdjson_parser csimdjson_parser;
csimdjson_parser *csimdjson_parser_create(void);
void csimdjson_parser_free(csimdjson_parser *parser);
#ifdef __cplusplus
}
#endif
#endif
