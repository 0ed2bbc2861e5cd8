#include "control/cli_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/check.h"
#include "control/logging.h"

namespace weir::control {
namespace {

// Columns on a terminal, one for each code point; wide characters are rare in what is shown here.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string_view code_of(Colour colour) {
  switch (colour) {
    case Colour::kNone: return "";
    case Colour::kRed: return "\x1b[31m";
    case Colour::kGreen: return "\x1b[32m";
    case Colour::kYellow: return "\x1b[33m";
    case Colour::kBold: return "\x1b[1m";
    case Colour::kDim: return "\x1b[2m";
  }
  return "";
}

}  // namespace

std::string paint(std::string_view text, Colour colour, bool is_on) {
  if (!is_on || colour == Colour::kNone) return std::string(text);
  return std::string(code_of(colour)) + std::string(text) + "\x1b[0m";
}

void TextTable::add(std::vector<Cell> row) {
  WEIR_CHECK(row.size() == columns_.size());
  for (Cell& cell : row) cell.text = escape_bytes(cell.text);
  rows_.push_back(std::move(row));
}

void TextTable::print(std::ostream& out, bool with_colour) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = width_of(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, width_of(row[i].text));
    widths.push_back(width);
  }
  const auto print_row = [&](const auto& text_of, const auto& colour_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string_view text = text_of(i);
      const std::string padding(widths[i] - width_of(text), ' ');
      const bool is_last = i + 1 == columns_.size();
      if (columns_[i].align == Align::kRight) line += padding;
      line += paint(text, colour_of(i), with_colour);
      if (columns_[i].align == Align::kLeft && !is_last) line += padding;
      if (!is_last) line += "  ";
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out << line << "\n";
  };
  const bool has_titles = std::any_of(columns_.begin(), columns_.end(), [](const Column& c) { return !c.title.empty(); });
  if (has_titles) print_row([&](std::size_t i) { return std::string_view(columns_[i].title); }, [](std::size_t) { return Colour::kBold; });
  for (const auto& row : rows_) {
    print_row([&](std::size_t i) { return std::string_view(row[i].text); }, [&](std::size_t i) { return row[i].colour; });
  }
}

std::string counted(uint64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string human_size(uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    // A line that begins with a space is laid out already.
    const bool is_fixed = !line.empty() && line.front() == ' ';
    do {
      std::size_t cut = line.size();
      if (!is_fixed && line.size() > width - indent) {
        cut = line.rfind(' ', width - indent);
        if (cut == std::string_view::npos || cut == 0) cut = std::min(line.find(' '), line.size());
      }
      if (cut != 0) out += std::string(indent, ' ') + std::string(line.substr(0, cut));
      out += "\n";
      line.remove_prefix(std::min(cut + (cut < line.size() ? 1 : 0), line.size()));
    } while (!line.empty());
  }
  return out;
}

}  // namespace weir::control
