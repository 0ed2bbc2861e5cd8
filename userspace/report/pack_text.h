// What the parts of a pack read from the record's JSON in the same way.
#pragma once
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "core/json_fields.h"

namespace weir::report {

inline std::string joined(const std::set<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : " ") + text;
  return all;
}

// The texts of an array; anything else in it is left out.
inline std::set<std::string> texts_at(const nlohmann::json& object, const char* name) {
  std::set<std::string> texts;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return texts;
  for (const nlohmann::json& text : *found) {
    if (text.is_string()) texts.insert(text.get<std::string>());
  }
  return texts;
}

inline nlohmann::json object_at(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : nlohmann::json::object();
}

inline nlohmann::json array_at(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_array() ? *found : nlohmann::json::array();
}

inline bool flag_at(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

inline void add_if(std::set<std::string>& texts, const std::string& text) {
  if (!text.empty()) texts.insert(text);
}

// Who did something: "user:ann of lab-idp by api", "uid 0, login uid 1000 by socket".
inline std::string by_text(const nlohmann::json& act) {
  const nlohmann::json by = object_at(act, "by");
  std::string who = text_at(by, "subject");
  if (!who.empty() && !text_at(by, "issuer").empty()) who += " of " + text_at(by, "issuer");
  if (who.empty() && by.contains("uid")) who = "uid " + std::to_string(number_at(by, "uid")) + (by.contains("login_uid") ? ", login uid " + std::to_string(number_at(by, "login_uid")) : "");
  if (who.empty()) who = "unknown";
  return who + " by " + text_at(by, "via");
}

// "2026-11-27T16:14:15Z" and "2026-11-27T16:14:15.000000001Z": without the Z the shorter one stands first, and texts stand in the order of time.
inline std::string comparable(std::string at) {
  if (at.ends_with('Z')) at.pop_back();
  return at;
}

}  // namespace weir::report
