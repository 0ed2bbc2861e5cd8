// What the configuration tests share: a small right configuration, and the problems of a changed one as lines of text.
#pragma once
#include <string>
#include <vector>

#include "control/config_loader.h"
#include "control/memory_files.h"

namespace weir::control {

// Complete and without a problem; tests put their mistake into it.
inline const std::string kSmallConfig = R"(version: 1
name: gw-test
state: /var/lib/weir
steer: {clients: [eth0], targets: [eth1]}
tls: {ca: {certificate_file: keys/ca.crt, key_file: keys/ca.key}}
targets:
  - name: orders-db
    protocol: postgres
    addresses: [198.18.2.2]
    ports: [5432]
    tls: {ca_file: keys/target-ca.crt}
record: {signing: {key_file: keys/log.key}, encryption: {key_file: keys/kek.key}}
)";

inline LoadedConfig load_text(const std::string& text, std::vector<std::string> overrides = {}, MemoryFiles* given = nullptr) {
  MemoryFiles own;
  own.every_file_exists = true;
  MemoryFiles& files = given == nullptr ? own : *given;
  files.files["/etc/weir/weir.yaml"].text = text;
  return load_config("/etc/weir/weir.yaml", {std::move(overrides), true}, files);
}

// Every problem as a line, the folder taken off.
inline std::vector<std::string> lines_of(const std::vector<ConfigProblem>& problems) {
  std::vector<std::string> lines;
  for (const ConfigProblem& problem : problems) {
    std::string line = text_of(problem);
    for (std::size_t at = line.find("/etc/weir/"); at == 0; at = line.find("/etc/weir/")) line.erase(0, 10);
    lines.push_back(line);
  }
  return lines;
}
inline std::vector<std::string> problems_of(const std::string& text) { return lines_of(load_text(text).problems); }

// kSmallConfig with `from` replaced by `to`.
inline std::string changed(const std::string& from, const std::string& to) {
  std::string text = kSmallConfig;
  const std::size_t at = text.find(from);
  if (at == std::string::npos) return "the small configuration has no such text: " + from;
  return text.replace(at, from.size(), to);
}

}  // namespace weir::control
