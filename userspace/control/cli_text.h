// Text for people: aligned columns and colour on a terminal, nothing of either elsewhere.
#pragma once
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace weir::control {

enum class Colour : uint8_t { kNone, kRed, kGreen, kYellow, kBold, kDim };

// `text` in a colour, if `is_on`.
std::string paint(std::string_view text, Colour colour, bool is_on);

// Columns of text; each as wide as its widest cell.  Cells are escaped: a peer's bytes do not reach the terminal raw.
class TextTable {
 public:
  enum class Align : uint8_t { kLeft, kRight };
  struct Column { std::string title; Align align = Align::kLeft; };
  struct Cell {
    std::string text;
    Colour colour = Colour::kNone;
    Cell(std::string value, Colour colour_of = Colour::kNone) : text(std::move(value)), colour(colour_of) {}
    Cell(const char* value, Colour colour_of = Colour::kNone) : text(value), colour(colour_of) {}
    Cell(uint64_t value) : text(std::to_string(value)) {}
  };

  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Cell> row);                    // Pre: one cell a column.
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  void print(std::ostream& out, bool with_colour) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "1 session", "2 sessions".
std::string counted(uint64_t count, std::string_view noun);
// "65.5 MiB", for people; size_text() is for configuration.
std::string human_size(uint64_t bytes);
// Lines of `text` indented and wrapped at `width` columns.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t width = 88);

}  // namespace weir::control
