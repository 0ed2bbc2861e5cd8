#include "control/portal_pages.h"

#include <openssl/evp.h>

#include <array>

#include "control/logging.h"

namespace weir::control {
namespace {

constexpr std::string_view kStyle =
    "body{font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#f6f7f9;margin:0}"
    "main{max-width:36rem;margin:8vh auto;padding:2rem;background:#fff;border:1px solid #d8dde3;border-radius:8px}"
    "h1{font-size:1.35rem;margin:0 0 1rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.35rem 1.25rem;margin:1rem 0}"
    "dt{color:#59636e}dd{margin:0;overflow-wrap:anywhere}form{margin:1rem 0 0}"
    "button{font:inherit;padding:.5rem 1.1rem;border-radius:6px;border:1px solid #0b5cad;background:#0b5cad;color:#fff;cursor:pointer}"
    "button.quiet{background:#fff;color:#0b5cad}footer{color:#59636e;font-size:.85rem;margin-top:1.5rem}";

std::string style_hash() {
  std::array<unsigned char, 32> hash{};
  std::array<unsigned char, 48> text{};
  unsigned size = 0;
  EVP_Digest(kStyle.data(), kStyle.size(), hash.data(), &size, EVP_sha256(), nullptr);
  const int length = EVP_EncodeBlock(text.data(), hash.data(), static_cast<int>(size));
  return std::string(reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(length));
}

}  // namespace

std::string html(std::string_view text) {
  std::string out;
  for (const char c : escape_bytes(text)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string render(const PortalPage& page, std::string_view gateway) {
  std::string out = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>" + html(page.title) +
                    "</title><style>" + std::string(kStyle) + "</style></head>\n<body><main><h1>" + html(page.title) + "</h1>\n";
  for (const std::string& paragraph : page.paragraphs) out += "<p>" + html(paragraph) + "</p>\n";
  if (!page.facts.empty()) {
    out += "<dl>";
    for (const auto& [name, value] : page.facts) out += "<dt>" + html(name) + "</dt><dd><bdi>" + html(value) + "</bdi></dd>\n";
    out += "</dl>\n";
  }
  for (const PortalForm& form : page.forms) {
    out += "<form method=\"post\" action=\"" + html(form.action) + "\">";
    if (!form.csrf.empty()) out += "<input type=\"hidden\" name=\"csrf\" value=\"" + html(form.csrf) + "\">";
    out += std::string("<button") + (form.is_quiet ? " class=\"quiet\"" : "") + ">" + html(form.button) + "</button></form>\n";
  }
  if (!page.link.empty()) out += "<p><a href=\"" + html(page.link) + "\">" + html(page.link_text) + "</a></p>\n";
  return out + "<footer>Weir gateway " + html(gateway) + "</footer></main></body></html>\n";
}

std::string page_policy(std::string_view form_action) {
  static const std::string kHash = style_hash();
  return "default-src 'none'; style-src 'sha256-" + kHash + "'; form-action " + std::string(form_action) + "; frame-ancestors 'none'; base-uri 'none'";
}

}  // namespace weir::control
