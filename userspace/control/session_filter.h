// What `weir sessions`, `weir export` and GET /v1/sessions narrow their lists by: the same names, the same meaning.
#pragma once
#include <string>
#include <string_view>

#include "record/reader.h"
#include "record/session_words.h"

namespace weir::control {

struct SessionFilterOption {
  const char* name;
  const char* value_name;
  const char* help;
  std::string record::SessionFilter::*place;
};
inline constexpr SessionFilterOption kSessionFilterOptions[] = {
    {"who", "NAME", "only this subject", &record::SessionFilter::subject},
    {"group", "NAME", "only subjects that were in this group", &record::SessionFilter::group},
    {"target", "NAME", "only this target", &record::SessionFilter::target},
    {"verb", "VERB", "with a command that does this: read, write, ddl, admin, exec, ..., or of this kind: query, execute, ...", &record::SessionFilter::verb},
    {"object", "NAME", "with a command to this table or the like: \"schema.name\" or \"name\"", &record::SessionFilter::object},
    {"rule", "NAME", "with something that this rule decided or told", &record::SessionFilter::rule},
    {"verdict", "VERDICT", "with one of allow, mask, hold, block, terminate, or observed: decided, and not carried out", &record::SessionFilter::verdict},
    {"request", "ID", "in which a command or login carried this request id", &record::SessionFilter::request},
    {"text", "WORDS", "with these words in its statements, as they were recorded: masked", &record::SessionFilter::text},
};

// `value_of`: what was given under a name; empty: nothing.  kInvalid: a text without a word would find everything.
template <class ValueOf>
Result<void> read_session_words(record::SessionFilter& filter, ValueOf value_of) {
  for (const SessionFilterOption& option : kSessionFilterOptions) filter.*option.place = value_of(option.name);
  if (const std::string subject = value_of("subject"); !subject.empty()) {   // As it was called first.
    if (!filter.subject.empty() && filter.subject != subject) return fail(Error::Kind::kInvalid, "who and subject are one filter, and differ");
    filter.subject = subject;
  }
  bool has_word = filter.text.empty();
  record::split_text(filter.text, [&](std::string_view) { has_word = true; });
  if (!has_word) return fail(Error::Kind::kInvalid, "text has no word in it: letters, digits and \"_\"");
  return {};
}

// What a list so narrowed tells of what was said, for the record of who looked; empty: nothing.
inline std::string asked_of_events(const record::SessionFilter& filter) {
  std::string asked;
  for (const SessionFilterOption& option : kSessionFilterOptions) {
    const std::string& value = filter.*option.place;
    const std::string_view name = option.name;
    if (value.empty() || name == "who" || name == "group" || name == "target") continue;
    asked += (asked.empty() ? "" : ", ") + std::string(name) + " " + value;
  }
  return asked;
}

}  // namespace weir::control
