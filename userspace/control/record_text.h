// How the verbs that read the record write what they found.
#pragma once
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

namespace weir::control {

// A member as text; empty: none, or null.
inline std::string shown_at(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

// A JSON array, one element a line, written as the elements come.
class ArrayWriter {
 public:
  explicit ArrayWriter(std::ostream& out) : out_(out) { out_ << "["; }
  void add(const std::string& element) {
    out_ << (is_first_ ? "\n" : ",\n") << element;
    is_first_ = false;
  }
  void end() { out_ << (is_first_ ? "]\n" : "\n]\n"); }

 private:
  std::ostream& out_;
  bool is_first_ = true;
};

}  // namespace weir::control
