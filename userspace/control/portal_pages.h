// The portal's pages: plain HTML, no script, one style that the Content-Security-Policy names by its hash.  Pure.
// Must never: put a value into a page that is not escaped, or a token, a code or a state at all.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::control {

// For text and for attributes in double quotes.  What could turn a line around, and what is no character, is shown as \x...
[[nodiscard]] std::string html(std::string_view text);

struct PortalForm {
  std::string action, button;   // A path of ours; what stands on the button.
  std::string csrf;             // Empty: the form has none.
  bool is_quiet = false;        // Not what most people came for.
};
struct PortalPage {
  std::string title;
  std::vector<std::string> paragraphs;                        // Text; escaped here.
  std::vector<std::pair<std::string, std::string>> facts;     // "Your address" -> "198.18.1.2".
  std::vector<PortalForm> forms;
  std::string link, link_text;                                // A way on, without a form.
};
[[nodiscard]] std::string render(const PortalPage& page, std::string_view gateway);
// The whole policy of such a page.  `form_action`: where its forms may lead.
[[nodiscard]] std::string page_policy(std::string_view form_action);

}  // namespace weir::control
