// RE2 for C: patterns in its syntax (which is Go's), matched in time linear in the text.
#ifndef CRE2_H
#define CRE2_H
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct cre2_pattern cre2_pattern;

// Where a group matched; start is -1 when it did not take part.
typedef struct cre2_span {
    ptrdiff_t start;
    ptrdiff_t end;
} cre2_span;

typedef struct cre2_problem {
    // Zero-terminated, cut to fit.
    char message[160];
    // Offset of the offending part of the pattern, in bytes.
    size_t offset;
} cre2_problem;

// NULL and `problem` filled in when the pattern is no regular expression or takes more than RE2's memory limit.
cre2_pattern *cre2_compile(const char *pattern, size_t length, cre2_problem *problem);
void cre2_free(cre2_pattern *pattern);

// Capturing groups, not counting the whole match.
int cre2_group_count(const cre2_pattern *pattern);
// Name of group `index` (from 1), or NULL. Valid as long as the pattern.
const char *cre2_group_name(const cre2_pattern *pattern, int index);

// The leftmost match that starts at `from` or later: fills in `count` spans, first the whole match. 0 when there is none.
// May be called from several threads at once.
int cre2_match(const cre2_pattern *pattern, const char *text, size_t length, size_t from, cre2_span *spans, int count);

// Patterns that are looked for at once.
typedef struct cre2_set cre2_set;

// `memory` is the most that the automaton may take, in bytes. NULL when a pattern is none (`failed` is its place) or when they take
// more (`failed` is `count`).
cre2_set *cre2_set_compile(const char *const *patterns, const size_t *lengths, size_t count, long memory, size_t *failed);
void cre2_set_free(cre2_set *set);

// How many of the patterns match somewhere; writes the places of the first `count` of them to `matched`. Negative when the memory
// was not enough. Called by one thread at a time.
long cre2_set_match(cre2_set *set, const char *text, size_t length, int *matched, size_t count);

#ifdef __cplusplus
}
#endif
#endif
