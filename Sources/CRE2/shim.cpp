#include "cre2.h"

#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <vector>

struct cre2_pattern {
    re2::RE2 regex;
    std::map<int, std::string> names;

    cre2_pattern(re2::StringPiece text, const re2::RE2::Options &options) : regex(text, options) {
        if (regex.ok()) names = regex.CapturingGroupNames();
    }
};

namespace {

// Groups that one match reports; more than any rule of ours asks for.
constexpr int spans_max = 64;

void describe(const re2::RE2 &regex, cre2_problem *problem) {
    const std::string &text = regex.error();
    const size_t length = std::min(text.size(), sizeof problem->message - 1);
    std::memcpy(problem->message, text.data(), length);
    problem->message[length] = 0;
    const size_t found = regex.error_arg().empty() ? std::string::npos : regex.pattern().find(regex.error_arg());
    problem->offset = found == std::string::npos ? 0 : found;
}

}  // namespace

extern "C" cre2_pattern *cre2_compile(const char *pattern, size_t length, cre2_problem *problem) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    cre2_pattern *made = new (std::nothrow) cre2_pattern(re2::StringPiece(pattern, length), options);
    if (made == nullptr || made->regex.ok()) return made;
    describe(made->regex, problem);
    delete made;
    return nullptr;
}

extern "C" void cre2_free(cre2_pattern *pattern) { delete pattern; }

extern "C" int cre2_group_count(const cre2_pattern *pattern) { return pattern->regex.NumberOfCapturingGroups(); }

extern "C" const char *cre2_group_name(const cre2_pattern *pattern, int index) {
    const auto found = pattern->names.find(index);
    return found == pattern->names.end() ? nullptr : found->second.c_str();
}

extern "C" int cre2_match(const cre2_pattern *pattern, const char *text, size_t length, size_t from, cre2_span *spans, int count) {
    re2::StringPiece groups[spans_max];
    const int wanted = std::min(count, std::min(spans_max, 1 + pattern->regex.NumberOfCapturingGroups()));
    const re2::StringPiece whole(text, length);
    if (from > length || !pattern->regex.Match(whole, from, length, re2::RE2::UNANCHORED, groups, wanted)) return 0;
    for (int index = 0; index < count; index++) {
        const bool took_part = index < wanted && groups[index].data() != nullptr;
        spans[index].start = took_part ? groups[index].data() - text : -1;
        spans[index].end = took_part ? spans[index].start + static_cast<ptrdiff_t>(groups[index].size()) : -1;
    }
    return 1;
}

struct cre2_set {
    re2::RE2::Set set;
    std::vector<int> matched;

    explicit cre2_set(const re2::RE2::Options &options) : set(options, re2::RE2::UNANCHORED) {}
};

extern "C" cre2_set *cre2_set_compile(const char *const *patterns, const size_t *lengths, size_t count, long memory, size_t *failed) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(memory);
    cre2_set *made = new (std::nothrow) cre2_set(options);
    *failed = count;
    if (made == nullptr) return nullptr;
    for (size_t index = 0; index < count; index++) {
        if (made->set.Add(re2::StringPiece(patterns[index], lengths[index]), nullptr) >= 0) continue;
        *failed = index;
        delete made;
        return nullptr;
    }
    if (made->set.Compile()) return made;
    delete made;
    return nullptr;
}

extern "C" void cre2_set_free(cre2_set *set) { delete set; }

extern "C" long cre2_set_match(cre2_set *set, const char *text, size_t length, int *matched, size_t count) {
    re2::RE2::Set::ErrorInfo problem = {};
    set->matched.clear();
    if (!set->set.Match(re2::StringPiece(text, length), &set->matched, &problem)) {
        return problem.kind == re2::RE2::Set::kNoError ? 0 : -1;
    }
    std::copy_n(set->matched.begin(), std::min(count, set->matched.size()), matched);
    return static_cast<long>(set->matched.size());
}
