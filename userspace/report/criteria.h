// Which tables answer which criterion of the 2017 Trust Services Criteria, and what they do not prove.
#pragma once
#include <string_view>
#include <vector>

namespace weir::report {

struct Criterion {
  std::string_view id;                       // "CC6.1"
  std::string_view asks;                     // In our words; the criteria's own are licensed.
  std::vector<std::string_view> tables;      // Names of tables, most telling first.
  std::string_view not_proved;
};
const std::vector<Criterion>& soc2_criteria();

// What whoever runs the gateway must do itself (complementary controls).
const std::vector<std::string_view>& complementary_controls();

}  // namespace weir::report
