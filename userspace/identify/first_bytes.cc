#include "identify/first_bytes.h"

#include <algorithm>
#include <array>

namespace weir::identify {
namespace {

// For a message alone; nothing is decided by it.
std::string_view guess(Bytes bytes) {
  const std::string_view text = as_text(bytes);
  if (text.starts_with("SSH-")) return "SSH";
  if (text.size() >= 3 && text[0] == '\x16' && text[1] == '\x03') return "TLS";
  if (text.starts_with("PRI * HTTP/2")) return "HTTP/2";
  static constexpr std::array<std::string_view, 8> kMethods = {"GET ",    "POST ",    "PUT ",     "HEAD ",
                                                               "DELETE ", "OPTIONS ", "CONNECT ", "PATCH "};
  if (std::any_of(kMethods.begin(), kMethods.end(), [&](std::string_view method) { return text.starts_with(method); }))
    return "HTTP";
  if (text.size() >= 4 && text[0] == '\x03' && text[1] == '\0') return "RDP";
  if (text.starts_with("*") && text.find("\r\n$") != std::string_view::npos) return "Redis";
  return {};
}

}  // namespace

FirstBytes identify_protocol(const ProtocolModule& module, const FlowHint& hint, Bytes from_client, Bytes from_target) {
  const Identification answer = module.identify(hint, from_client, from_target);
  const std::size_t have = std::max(from_client.size(), from_target.size());
  switch (answer.answer) {
    case Identification::Answer::kYes:
      return {FirstBytes::Answer::kYes, 0, {}};
    case Identification::Answer::kMaybe:
      if (have < kFirstBytesMax) return {FirstBytes::Answer::kWait, std::max<std::size_t>(answer.need, 1), {}};
      break;
    case Identification::Answer::kNo:
      break;
  }
  return {FirstBytes::Answer::kNo, 0, guess(from_client)};
}

std::string explain(const FirstBytes& found, const ProtocolModule& module) {
  std::string text = "not " + std::string(module.name);
  if (!found.looks_like.empty()) text += ": this looks like " + std::string(found.looks_like);
  return text;
}

}  // namespace weir::identify
