#include "identify/binding_file.h"

#include <algorithm>
#include <unordered_set>

#include "identify/strict_json.h"
#include "kernel/whole_file.h"

namespace weir::identify {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr int kVersion = 1;
constexpr std::size_t kFileSizeMax = 256u << 20;

int64_t number_of(sys_seconds time) { return time.time_since_epoch().count(); }

json json_of(const Binding& binding) {
  const Identity& identity = *binding.identity;
  return {{"id", identity.binding_id},
          {"where", binding.where.text()},
          {"link", link_json(binding.link)},
          {"static", binding.is_static},
          {"bound_at", number_of(binding.bound_at)},
          {"subject", identity.subject},
          {"groups", identity.groups},
          {"issuer", identity.issuer},
          {"token_id", identity.token_id},
          {"email", identity.email},
          {"acting_for", identity.acting_for},
          {"expires", number_of(identity.expires)},
          {"reason", identity.reason},
          {"workload", identity.assurance == Assurance::kWorkload}};
}
json json_of(const SpentToken& token) {
  json all = {{"key", token.key}, {"where", token.where.text()}, {"revoked", token.is_revoked}, {"until", number_of(token.until)}};
  if (!token.names.empty()) all["names"] = token.names;
  return all;
}

// Reads members and remembers whether one was missing or of another type.
class Members {
 public:
  explicit Members(const json& object) : object_(object), is_good_(object.is_object()) {}
  std::string text(const char* name) {
    const json* member = find(name);
    if (member == nullptr || !member->is_string()) return bad(std::string());
    return member->get<std::string>();
  }
  uint64_t number(const char* name) {
    const json* member = find(name);
    if (member == nullptr || !member->is_number_integer() || (!member->is_number_unsigned() && member->get<int64_t>() < 0))
      return bad(uint64_t{0});
    return member->get<uint64_t>();
  }
  sys_seconds time(const char* name) { return sys_seconds(seconds(static_cast<int64_t>(number(name)))); }
  bool truth(const char* name) {
    const json* member = find(name);
    if (member == nullptr || !member->is_boolean()) return bad(false);
    return member->get<bool>();
  }
  std::vector<std::string> texts(const char* name) {
    const json* member = find(name);
    if (member == nullptr || !member->is_array()) return bad(std::vector<std::string>());
    std::vector<std::string> all;
    for (const json& each : *member) {
      if (!each.is_string()) return bad(std::vector<std::string>());
      all.push_back(each.get<std::string>());
    }
    return all;
  }
  [[nodiscard]] bool is_good() const { return is_good_; }

 private:
  const json* find(const char* name) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }
  template <class T>
  T bad(T value) {
    is_good_ = false;
    return value;
  }
  const json& object_;
  bool is_good_;
};

// False: there is something that it is not tied to by this version; a key that is lost would open more.
bool read_link(const json& object, LinkKey& link) {
  if (!object.is_object()) return false;
  for (const auto& [name, value] : object.items()) {
    if (name == "interface" && value.is_string() && !value.get<std::string>().empty()) {
      link.interface = value.get<std::string>();
    } else if (name == "vlan" && value.is_number_unsigned() && value.get<uint64_t>() <= kVlanMax) {
      link.vlan = value.get<uint16_t>();
    } else if (name == "mac" && value.is_string()) {
      const auto mac = parse_mac(value.get<std::string>());
      if (!mac) return false;
      link.mac = *mac;
    } else {
      return false;
    }
  }
  return true;
}

bool read_binding(const json& object, Binding& binding) {
  Members members(object);
  Identity identity;
  identity.binding_id = members.number("id");
  identity.subject = members.text("subject");
  identity.groups = members.texts("groups");
  identity.issuer = members.text("issuer");
  identity.token_id = members.text("token_id");
  identity.email = members.text("email");
  identity.acting_for = members.texts("acting_for");
  identity.expires = members.time("expires");
  identity.reason = members.text("reason");
  binding.is_static = members.truth("static");
  binding.bound_at = members.time("bound_at");
  // A file of before there were workloads does not have it.
  const bool is_workload = object.is_object() && object.contains("workload") && members.truth("workload");
  // Nor what a binding is tied to.
  if (object.is_object() && object.contains("link") && !read_link(object["link"], binding.link)) return false;
  identity.assurance = binding.is_static ? Assurance::kStatic : is_workload ? Assurance::kWorkload : Assurance::kNetwork;
  const auto where = Prefix::parse(members.text("where"));
  if (!members.is_good() || !where || (!binding.is_static && where->bits != 128)) return false;
  binding.where = *where;
  binding.identity = std::make_shared<const Identity>(std::move(identity));
  return true;
}

bool read_spent(const json& object, SpentToken& token) {
  Members members(object);
  token.key = members.text("key");
  token.is_revoked = members.truth("revoked");
  token.until = members.time("until");
  if (object.is_object() && object.contains("names")) token.names = members.texts("names");
  const auto where = Address::parse(members.text("where"));
  if (!members.is_good() || !where) return false;
  token.where = *where;
  return true;
}

bool read_records(const json& file, BindingRecords& records) {
  Members members(file);
  records.next_id = members.number("next_id");
  const auto bindings = file.find("bindings"), spent = file.find("spent");
  if (members.number("version") != kVersion || !members.is_good() || bindings == file.end() || !bindings->is_array() ||
      spent == file.end() || !spent->is_array()) {
    return false;
  }
  std::unordered_set<uint64_t> ids;
  for (const json& each : *bindings) {
    Binding binding;
    if (!read_binding(each, binding)) return false;
    const uint64_t id = binding.identity->binding_id;
    if (id == 0 || id >= records.next_id || !ids.insert(id).second) return false;
    records.bindings.push_back(std::move(binding));
  }
  return std::all_of(spent->begin(), spent->end(), [&](const json& each) {
    records.spent.emplace_back();
    return read_spent(each, records.spent.back());
  });
}

}  // namespace

json link_json(const LinkKey& link) {
  json all = json::object();
  if (!link.interface.empty()) all["interface"] = link.interface;
  if (link.vlan) all["vlan"] = *link.vlan;
  if (link.mac) all["mac"] = weir::text_of(*link.mac);
  return all;
}

bool has_ended(const Binding& binding, sys_seconds now) {
  return binding.identity->expires != sys_seconds{} && binding.identity->expires <= now;
}

Result<BindingRecords> read_bindings(const std::string& file) {
  const auto text = kernel::read_whole_file(file, kFileSizeMax);
  if (!text && text.error().kind != Error::Kind::kCorrupt) return tl::unexpected<Error>(text.error());
  BindingRecords records;
  const auto parsed = parse_strict_json(text ? std::string_view(*text) : std::string_view());
  if (!parsed || !read_records(*parsed, records)) {
    return fail(Error::Kind::kCorrupt, file +
                                           " is damaged or not a file of bindings; move it away and start again: static "
                                           "bindings come back, everybody else signs in anew");
  }
  return records;
}

// Subjects were checked when they came in; `replace` keeps a surprise from throwing here.
std::string text_of(const Binding& binding) { return json_of(binding).dump(-1, ' ', false, json::error_handler_t::replace); }
std::string text_of(const SpentToken& token) { return json_of(token).dump(-1, ' ', false, json::error_handler_t::replace); }

Result<Binding> parse_binding(std::string_view text) {
  const auto parsed = parse_strict_json(text);
  Binding binding;
  if (!parsed || !read_binding(*parsed, binding) || binding.identity->binding_id == 0) return fail(Error::Kind::kCorrupt, "not a binding");
  return binding;
}

Result<SpentToken> parse_spent(std::string_view text) {
  const auto parsed = parse_strict_json(text);
  SpentToken token;
  if (!parsed || !read_spent(*parsed, token)) return fail(Error::Kind::kCorrupt, "not a used token");
  return token;
}

}  // namespace weir::identify
