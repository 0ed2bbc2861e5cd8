#include "mask/validators.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

namespace weir::mask {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_letter(char c) { return is_upper(c) || (c >= 'a' && c <= 'z'); }
bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80; }

bool is_bounded(std::string_view field, std::size_t begin, std::size_t end) {
  return (begin == 0 || !is_word(field[begin - 1])) && (end == field.size() || !is_word(field[end]));
}

class NoValidator final : public DataValidator {
 public:
  bool confirm(Bytes, std::size_t& begin, std::size_t& end) const override { return begin < end; }
};

class BoundaryValidator final : public DataValidator {
 public:
  bool confirm(Bytes field, std::size_t& begin, std::size_t& end) const override {
    return begin < end && is_bounded(as_text(field), begin, end);
  }
};

class LuhnValidator final : public DataValidator {
 public:
  // Walks back from the end: the candidate's own start may lie in a number that stands before this one.
  bool confirm(Bytes field, std::size_t& begin, std::size_t& end) const override {
    const std::string_view text = as_text(field);
    if (end == 0 || end > text.size() || !is_digit(text[end - 1]) || (end < text.size() && is_digit(text[end]))) return false;
    std::array<uint8_t, kDigitsMax> digits{};  // From the last one on.
    std::size_t count = 0;
    std::size_t best = std::string_view::npos;
    for (std::size_t at = end; at-- > 0 && count < kDigitsMax;) {
      const char c = text[at];
      if ((c == ' ' || c == '-') && at > 0 && is_digit(text[at - 1]) && is_digit(text[at + 1])) continue;
      if (!is_digit(c)) break;
      digits[count++] = static_cast<uint8_t>(c - '0');
      const bool starts_here = at == 0 || !is_digit(text[at - 1]);
      if (count >= kDigitsMin && starts_here && is_card(digits, count)) best = at;
    }
    if (best == std::string_view::npos) return false;
    begin = best;
    return true;
  }

 private:
  static constexpr std::size_t kDigitsMin = 13, kDigitsMax = 19;
  // `digits` from the last one on.
  static bool is_card(const std::array<uint8_t, kDigitsMax>& digits, std::size_t count) {
    const uint8_t first = digits[count - 1];
    if (first < 2 || first > 6) return false;     // Issuers: 2 and 5 Mastercard, 3 Amex JCB Diners, 4 Visa, 6 others.
    if (count == 13 && first != 4) return false;  // Milliseconds since 1970 have 13 digits.
    unsigned sum = 0;
    bool same = true;
    for (std::size_t i = 0; i < count; ++i) {
      const unsigned doubled = i % 2 == 0 ? digits[i] : 2u * digits[i];
      sum += doubled > 9 ? doubled - 9 : doubled;
      same = same && digits[i] == digits[0];
    }
    return sum % 10 == 0 && !same;
  }
};

// ISO 13616 registry: total length by country.
struct IbanLength {
  char country[3];
  uint8_t length;
};
constexpr auto kIbanLengths = std::to_array<IbanLength>({
    {"AD", 24}, {"AE", 23}, {"AL", 28}, {"AT", 20}, {"AZ", 28}, {"BA", 20}, {"BE", 16}, {"BG", 22}, {"BH", 22}, {"BR", 29},
    {"BY", 28}, {"CH", 21}, {"CR", 22}, {"CY", 28}, {"CZ", 24}, {"DE", 22}, {"DK", 18}, {"DO", 28}, {"EE", 20}, {"EG", 29},
    {"ES", 24}, {"FI", 18}, {"FO", 18}, {"FR", 27}, {"GB", 22}, {"GE", 22}, {"GI", 23}, {"GL", 18}, {"GR", 27}, {"GT", 28},
    {"HR", 21}, {"HU", 28}, {"IE", 22}, {"IL", 23}, {"IQ", 23}, {"IS", 26}, {"IT", 27}, {"JO", 30}, {"KW", 30}, {"KZ", 20},
    {"LB", 28}, {"LC", 32}, {"LI", 21}, {"LT", 20}, {"LU", 20}, {"LV", 21}, {"LY", 25}, {"MC", 27}, {"MD", 24}, {"ME", 22},
    {"MK", 19}, {"MR", 27}, {"MT", 31}, {"MU", 30}, {"NL", 18}, {"NO", 15}, {"PK", 24}, {"PL", 28}, {"PS", 29}, {"PT", 25},
    {"QA", 29}, {"RO", 24}, {"RS", 22}, {"SA", 24}, {"SC", 31}, {"SE", 24}, {"SI", 19}, {"SK", 24}, {"SM", 27}, {"ST", 25},
    {"SV", 28}, {"TL", 23}, {"TN", 24}, {"TR", 26}, {"UA", 29}, {"VA", 22}, {"VG", 24}, {"XK", 20},
});

class IbanValidator final : public DataValidator {
 public:
  // The candidate may start early (letters before) or end late (a word behind): only the country's length counts.
  bool confirm(Bytes field, std::size_t& begin, std::size_t& end) const override {
    const std::string_view text = as_text(field);
    for (std::size_t start = begin; start + 4 <= end; ++start) {
      if (start > 0 && is_word(text[start - 1])) continue;
      const uint8_t length = length_of(text.substr(start, 2));
      if (length == 0) continue;
      std::array<char, kLengthMax> compact{};
      std::size_t count = 0;
      std::size_t at = start;
      for (; at < text.size() && count < length; ++at) {
        if (is_upper(text[at]) || is_digit(text[at]))
          compact[count++] = text[at];
        else if (text[at] != ' ' || count % 4 != 0)
          break;
      }
      if (count != length || (at < text.size() && is_word(text[at]))) continue;
      if (!has_check(std::string_view(compact.data(), count))) continue;
      begin = start;
      end = at;
      return true;
    }
    return false;
  }

 private:
  static constexpr std::size_t kLengthMax = 34;
  static uint8_t length_of(std::string_view country) {
    for (const IbanLength& entry : kIbanLengths) {
      if (country == std::string_view(entry.country, 2)) return entry.length;
    }
    return 0;
  }
  static bool has_check(std::string_view iban) {
    unsigned rest = 0;
    for (std::size_t i = 0; i < iban.size(); ++i) {
      const char c = iban[(i + 4) % iban.size()];  // The first four stand at the end.
      const unsigned value = is_digit(c) ? static_cast<unsigned>(c - '0') : static_cast<unsigned>(c - 'A' + 10);
      rest = (rest * (value > 9 ? 100u : 10u) + value) % 97;
    }
    return rest == 1;
  }
};

class EmailValidator final : public DataValidator {
 public:
  bool confirm(Bytes field, std::size_t& begin, std::size_t& end) const override {
    const std::string_view text = as_text(field);
    const std::size_t sign = text.find('@', begin);
    if (sign == std::string_view::npos || sign >= end) return false;
    std::size_t start = sign;
    while (start > 0 && sign - start < kLocalMax && is_local(text[start - 1])) --start;
    while (start < sign && text[start] == '.') ++start;
    std::size_t stop = sign + 1;
    while (stop < text.size() && stop - sign <= kDomainMax && is_domain(text[stop])) ++stop;
    while (stop > sign && (text[stop - 1] == '.' || text[stop - 1] == '-')) --stop;
    if (start == sign || stop <= sign + 1 || !is_host(text.substr(sign + 1, stop - sign - 1))) return false;
    begin = start;
    end = stop;
    return true;
  }

 private:
  static constexpr std::size_t kLocalMax = 64, kDomainMax = 253;  // RFC 5321, 4.5.3.1.
  static bool is_local(char c) {
    return is_word(c) || std::string_view(".!#$%&'*+/=?^`{|}~-").find(c) != std::string_view::npos;
  }
  static bool is_domain(char c) { return is_word(c) || c == '.' || c == '-'; }
  static bool is_host(std::string_view host) {
    const std::size_t dot = host.rfind('.');
    if (dot == std::string_view::npos || dot == 0 || host.find("..") != std::string_view::npos) return false;
    const std::string_view top = host.substr(dot + 1);
    return top.size() >= 2 &&
           std::all_of(top.begin(), top.end(), [](char c) { return is_letter(c) || static_cast<unsigned char>(c) >= 0x80; });
  }
};

class EntropyValidator final : public DataValidator {
 public:
  bool confirm(Bytes field, std::size_t& begin, std::size_t& end) const override {
    const std::string_view text = as_text(field);
    if (begin >= end || !is_bounded(text, begin, end)) return false;
    std::array<uint16_t, 256> seen{};
    bool has_letter = false, has_digit = false;
    for (std::size_t i = begin; i < end; ++i) {
      const char c = text[i];
      ++seen[static_cast<unsigned char>(c)];
      has_letter = has_letter || is_letter(c);
      has_digit = has_digit || is_digit(c);
    }
    double bits = 0;
    const double size = static_cast<double>(end - begin);
    for (const uint16_t count : seen) {
      if (count != 0) bits -= count / size * std::log2(count / size);
    }
    return has_letter && has_digit && bits >= 3.5;
  }
};

class SsnValidator final : public DataValidator {
 public:
  bool confirm(Bytes field, std::size_t& begin, std::size_t& end) const override {
    const std::string_view text = as_text(field);
    if (end < 11 || end > text.size()) return false;
    begin = end - 11;  // AAA-GG-SSSS
    if (!is_bounded(text, begin, end) || (begin > 0 && text[begin - 1] == '-') || (end < text.size() && text[end] == '-'))
      return false;
    const std::string_view area = text.substr(begin, 3), group = text.substr(begin + 4, 2), serial = text.substr(begin + 7, 4);
    return area != "000" && area != "666" && area[0] != '9' && group != "00" && serial != "0000";
  }
};

// The header of a private key: grows over the key to its footer, or to the end of what can be part of it.
class PemValidator final : public DataValidator {
 public:
  bool confirm(Bytes field, std::size_t& begin, std::size_t& end) const override {
    const std::string_view text = as_text(field);
    if (begin >= end || end > text.size()) return false;
    constexpr std::string_view kFooter = "-----END ";
    std::size_t at = end;
    while (at < text.size() && is_body(text[at])) ++at;
    if (text.substr(at).starts_with(kFooter)) {
      const std::size_t close = text.find("-----", at + kFooter.size());
      at = close == std::string_view::npos ? text.size() : close + 5;
    }
    end = at;
    return true;
  }

 private:
  // Base64, white space, and how a line's end is written in JSON and in literals.
  static bool is_body(char c) {
    return is_letter(c) || is_digit(c) || c == '+' || c == '/' || c == '=' || c == '\\' || c == ' ' || (c >= '\t' && c <= '\r');
  }
};

// The start of a JSON Web Token (RFC 7519): three base64url parts, of which the first two are JSON objects.
class JwtValidator final : public DataValidator {
 public:
  bool confirm(Bytes field, std::size_t& begin, std::size_t& end) const override {
    constexpr std::size_t kPartMin = 8;
    const std::string_view text = as_text(field);
    if (begin > 0 && is_part(text[begin - 1])) return false;
    std::size_t at = begin;
    for (int part = 0; part < 3; ++part) {
      const std::size_t start = at;
      if (part < 2 && !text.substr(at).starts_with("eyJ")) return false;  // {" in base64.
      while (at < text.size() && is_part(text[at])) ++at;
      if (at - start < kPartMin) return false;
      if (part < 2 && (at == text.size() || text[at++] != '.')) return false;
    }
    end = at;
    return true;
  }

 private:
  static bool is_part(char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; }
};

}  // namespace

const DataValidator* find_validator(std::string_view name) {
  static const NoValidator kNone;
  static const BoundaryValidator kBoundary;
  static const LuhnValidator kLuhn;
  static const IbanValidator kIban;
  static const EmailValidator kEmail;
  static const EntropyValidator kEntropy;
  static const SsnValidator kSsn;
  static const PemValidator kPem;
  static const JwtValidator kJwt;
  static const std::array<std::pair<std::string_view, const DataValidator*>, 10> kAll = {{
      {"none", &kNone},
      {"boundary", &kBoundary},
      {"luhn", &kLuhn},
      {"iban", &kIban},
      {"mod97", &kIban},
      {"email", &kEmail},
      {"entropy", &kEntropy},
      {"ssn", &kSsn},
      {"pem", &kPem},
      {"jwt", &kJwt},
  }};
  for (const auto& [known, validator] : kAll) {
    if (known == name) return validator;
  }
  return nullptr;
}

}  // namespace weir::mask
