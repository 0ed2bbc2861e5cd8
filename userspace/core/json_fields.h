// Members of a JSON object whose form nobody vouches for.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace weir {

// Empty: there is none, or it is no text.
inline std::string text_at(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// 0: there is none, or it is no whole number from 0 on.
inline uint64_t number_at(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

}  // namespace weir
