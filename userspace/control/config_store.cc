// store: where bindings, tickets and what else outlives the process are kept.
#include <algorithm>

#include "control/config_sections.h"

namespace weir::control {
namespace {

constexpr std::string_view kSqlite = "sqlite";
constexpr std::string_view kForms = "sqlite | sqlite:FILE | postgresql://user@host:port/database?sslmode=verify-full&sslrootcert=FILE";

// Problems never quote the url: it may hold a password.
class UrlReader {
 public:
  UrlReader(LoadContext& context, SourcePlace place, StoreConfig& out) : context_(context), place_(std::move(place)), out_(out) {}

  void read(std::string_view url) {
    if (url == kSqlite) return;
    if (url.starts_with("sqlite:")) return read_file(url.substr(7));
    for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
      if (url.starts_with(scheme)) return read_server(url.substr(scheme.size()));
    }
    bad("is none of the known forms", std::string(kForms));
  }

 private:
  // One problem is enough.
  void bad(const std::string& what, std::string hint = {}) {
    if (!is_bad_) context_.error(place_, "store: the url " + what, std::move(hint));
    is_bad_ = true;
  }

  // Beside the journal: the same disk, the same owner.
  void read_file(std::string_view name) {
    const bool is_inside = !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos && is_printable(name);
    if (!is_inside) return bad("names no file in `state`", "sqlite:store.db");
    out_.file = std::string(name);
  }

  void read_server(std::string_view rest) {
    out_.is_shared = true;
    const std::size_t question = rest.find('?');
    const std::string_view place = rest.substr(0, question);
    const std::size_t slash = place.find('/'), at = place.substr(0, slash).rfind('@');
    if (at != std::string_view::npos && place.substr(0, at).find(':') != std::string_view::npos) {
      return bad("holds a password, which everybody who may read this file can read", "password_file: keys/store.password");
    }
    if (at == std::string_view::npos || at == 0) return bad("names no user", std::string(kForms));
    out_.user = std::string(place.substr(0, at));
    if (slash == std::string_view::npos || slash + 1 == place.size() || place.find('/', slash + 1) != std::string_view::npos) {
      return bad("names no database", std::string(kForms));
    }
    out_.database = std::string(place.substr(slash + 1));
    read_host(place.substr(at + 1, slash - at - 1));
    if (question != std::string_view::npos) read_parameters(rest.substr(question + 1));
    for (const std::string* text : {&out_.user, &out_.database, &out_.host}) {
      if (!is_printable(*text) || text->find_first_of("% \"'\\") != std::string::npos) return bad("has a character that is not taken here: %, quotes, blanks");
    }
    finish();
  }

  void read_host(std::string_view text) {
    std::size_t end = text.find(':');
    if (text.starts_with('[')) {
      const std::size_t close = text.find(']');
      if (close == std::string_view::npos) return bad("has a [ without a ]");
      out_.host = std::string(text.substr(1, close - 1));
      end = close + 1 < text.size() ? close + 1 : std::string_view::npos;
    } else {
      out_.host = std::string(text.substr(0, end));
    }
    if (end == std::string_view::npos) return;
    const auto port = text[end] == ':' ? parse_number(text.substr(end + 1)) : Result<uint64_t>(fail(Error::Kind::kInvalid, ""));
    if (!port || *port == 0 || *port > 65535) return bad("has no port of 1 to 65535 behind the host");
    out_.port = static_cast<uint16_t>(*port);
  }

  void read_parameters(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find('&');
      const std::string_view one = text.substr(0, end);
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
      const std::size_t equals = one.find('=');
      read_parameter(one.substr(0, equals), equals == std::string_view::npos ? std::string_view() : one.substr(equals + 1));
    }
  }

  void read_parameter(std::string_view key, std::string_view value) {
    static constexpr std::pair<std::string_view, VerifyMode> kModes[] = {
        {"verify-full", VerifyMode::kVerifyFull}, {"verify-ca", VerifyMode::kVerifyCa}, {"require", VerifyMode::kRequire}, {"disable", VerifyMode::kNone}};
    if (key == "sslmode") {
      const auto mode = std::find_if(std::begin(kModes), std::end(kModes), [&](const auto& each) { return each.first == value; });
      if (mode == std::end(kModes)) return bad("has an sslmode that is not taken here", "verify-full, verify-ca, require or disable");
      out_.tls = mode->second;
    } else if (key == "sslrootcert") {
      out_.ca_file = context_.absolute(value);
      if (context_.check_files && !context_.files.facts(out_.ca_file).exists) bad("names an sslrootcert that is not there: " + out_.ca_file);
    } else if (key == "host") {
      if (!value.starts_with('/') || !out_.host.empty()) return bad("has host= for a socket's folder only, and then no other host", "postgresql://user@/database?host=/run/postgresql");
      out_.host = std::string(value);
    } else if (key == "password" || key == "sslpassword") {
      bad("holds a password, which everybody who may read this file can read", "password_file: keys/store.password");
    } else {
      bad("has a parameter that is not taken here", "sslmode, sslrootcert, host");
    }
  }

  void finish() {
    if (out_.host.empty()) return bad("names no host", std::string(kForms));
    if (out_.host.starts_with('/')) {
      out_.tls = VerifyMode::kNone;  // A socket of this host.
      return;
    }
    if (out_.tls == VerifyMode::kVerifyFull || out_.tls == VerifyMode::kVerifyCa) {
      if (out_.ca_file.empty()) bad("has no sslrootcert: sslmode=verify-full and verify-ca need the server's authority", "sslrootcert=keys/store-ca.crt");
    } else if (out_.host != "localhost" && !out_.host.starts_with("127.") && out_.host != "::1") {
      context_.warn(place_, "store: without sslmode=verify-full, who is between the gateway and its store can let anybody in");
    }
  }

  LoadContext& context_;
  const SourcePlace place_;
  StoreConfig& out_;
  bool is_bad_ = false;
};

}  // namespace

void read_store(MapReader& root, StoreConfig& out) {
  if (!root.has("store")) {
    root.take("store");
    return;
  }
  const YamlNode* node = root.take("store");
  if (node == nullptr) return;
  std::string url;
  if (node->kind != YamlNode::Kind::kMap) {
    root.text("store", url);
    if (!url.empty()) UrlReader(root.context(), root.place_of("store"), out).read(url);
    return;
  }
  MapReader store = root.map("store");
  store.text("url", url, Need::kRequired);
  if (!url.empty()) UrlReader(root.context(), store.place_of("url"), out).read(url);
  store.file("password_file", out.password_file, FileKind::kSecret);
  if (!out.password_file.empty() && !out.is_shared && !url.empty()) {
    root.context().error(store.place_of("password_file"), "store.password_file belongs to a postgresql:// url");
  }
  store.finish();
}

}  // namespace weir::control
