#include "decide/ticket_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/time_text.h"
#include "kernel/whole_file.h"

namespace weir::decide {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::sys_seconds;
using State = TicketAnswer::State;

constexpr int kVersion = 1;
constexpr std::size_t kFileSizeMax = 512u << 20;
constexpr State kStates[] = {State::kOpen, State::kApproved, State::kDenied, State::kExpired, State::kWithdrawn};
constexpr Assurance kAssurances[] = {Assurance::kNone, Assurance::kStatic, Assurance::kNetwork, Assurance::kCredential,
                                     Assurance::kWorkload};

int64_t number_of(sys_seconds time) { return time.time_since_epoch().count(); }

json json_of(const Ticket& ticket) {
  json answers = json::array();
  for (const TicketReview& each : ticket.answers) {
    answers.push_back({{"by", each.by},
                       {"issuer", each.issuer},
                       {"at", number_of(each.at)},
                       {"approves", each.is_approval},
                       {"reason", each.reason},
                       {"until", number_of(each.until)},
                       {"groups", each.groups}});
  }
  return {{"number", ticket.number},
          {"session", ticket.session},
          {"unit", ticket.unit},
          {"subject", ticket.subject},
          {"issuer", ticket.issuer},
          {"groups", ticket.groups},
          {"acting_for", ticket.acting_for},
          {"assurance", weir::name_of(ticket.assurance)},
          {"target", ticket.target},
          {"login", ticket.login},
          {"database", ticket.database},
          {"rule", ticket.rule},
          {"approval", ticket.approval},
          {"reason", ticket.reason},
          {"statement", ticket.statement},
          {"parameters", ticket.parameters},
          {"objects", ticket.objects},
          {"verbs", ticket.verbs},
          {"digest", hex_of(ticket.digest)},
          {"opened", number_of(ticket.opened)},
          {"deadline", number_of(ticket.deadline)},
          {"closed", number_of(ticket.closed)},
          {"min_reviewers", ticket.min_reviewers},
          {"state", weir::name_of(ticket.state)},
          {"text", ticket.text},
          {"window_ticket", ticket.window_ticket},
          {"gateway", ticket.gateway},
          {"may_resume", ticket.may_resume},
          {"may_keep", ticket.may_keep},
          {"detached", ticket.is_detached},
          {"used", ticket.is_used},
          {"window_ended", ticket.is_window_ended},
          {"answers", std::move(answers)}};
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
    if (member == nullptr || !member->is_number_unsigned()) return bad(uint64_t{0});
    return member->get<uint64_t>();
  }
  sys_seconds time(const char* name) { return sys_seconds(seconds(static_cast<int64_t>(number(name)))); }
  bool truth(const char* name) {
    const json* member = find(name);
    if (member == nullptr || !member->is_boolean()) return bad(false);
    return member->get<bool>();
  }
  std::vector<std::string> texts(const char* name) {
    std::vector<std::string> all;
    for (const json& each : list(name)) {
      if (!each.is_string()) return bad(std::vector<std::string>());
      all.push_back(each.get<std::string>());
    }
    return all;
  }
  const json& list(const char* name) {
    static const json kNone = json::array();
    const json* member = find(name);
    if (member == nullptr || !member->is_array()) return bad<const json&>(kNone);
    return *member;
  }
  // A file of before there was a store does not have all.
  [[nodiscard]] bool has(const char* name) const { return find(name) != nullptr; }
  template <class E, std::size_t N>
  E one_of(const char* name, const E (&values)[N]) {
    const std::string word = text(name);
    const auto found = std::find_if(std::begin(values), std::end(values), [&](E each) { return weir::name_of(each) == word; });
    return found == std::end(values) ? bad(values[0]) : *found;
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

std::optional<CommandDigest> digest_of(const std::string& hex) {
  CommandDigest digest{};
  if (hex.size() != digest.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const std::size_t value = std::string_view("0123456789abcdef").find(hex[i]);
    if (value == std::string_view::npos) return std::nullopt;
    digest[i / 2] = digest[i / 2] << 4 | static_cast<std::byte>(value);
  }
  return digest;
}

bool read_ticket(const json& object, Ticket& ticket) {
  Members members(object);
  ticket.number = members.number("number");
  ticket.session = members.number("session");
  ticket.unit = members.number("unit");
  ticket.subject = members.text("subject");
  ticket.issuer = members.text("issuer");
  ticket.groups = members.texts("groups");
  ticket.acting_for = members.texts("acting_for");
  ticket.assurance = members.one_of("assurance", kAssurances);
  ticket.target = members.text("target");
  ticket.login = members.text("login");
  ticket.database = members.text("database");
  ticket.rule = members.text("rule");
  ticket.approval = members.text("approval");
  ticket.reason = members.text("reason");
  ticket.statement = members.text("statement");
  ticket.parameters = members.text("parameters");
  ticket.objects = members.text("objects");
  ticket.verbs = static_cast<VerbSet>(members.number("verbs"));
  ticket.opened = members.time("opened");
  ticket.deadline = members.time("deadline");
  ticket.closed = members.time("closed");
  ticket.min_reviewers = static_cast<uint32_t>(members.number("min_reviewers"));
  ticket.state = members.one_of("state", kStates);
  ticket.text = members.text("text");
  ticket.window_ticket = members.number("window_ticket");
  for (const json& each : members.list("answers")) {
    Members answer(each);
    ticket.answers.push_back({answer.text("by"), answer.text("issuer"), answer.time("at"), answer.truth("approves"),
                              answer.text("reason"), answer.time("until"), answer.has("groups") ? answer.texts("groups") : std::vector<std::string>()});
    if (!answer.is_good()) return false;
  }
  if (members.has("gateway")) {
    ticket.gateway = members.text("gateway");
    ticket.may_resume = members.truth("may_resume");
    ticket.may_keep = members.truth("may_keep");
    ticket.is_detached = members.truth("detached");
    ticket.is_used = members.truth("used");
    ticket.is_window_ended = members.truth("window_ended");
  }
  const auto digest = digest_of(members.text("digest"));
  if (digest) ticket.digest = *digest;
  return digest && members.is_good();
}

bool read_records(const json& file, TicketRecords& records) {
  Members members(file);
  records.next_number = members.number("next_number");
  const json& tickets = members.list("tickets");
  if (members.number("version") != kVersion || !members.is_good()) return false;
  for (const json& each : tickets) {
    Ticket ticket;
    if (!read_ticket(each, ticket) || ticket.number == 0 || ticket.number >= records.next_number) return false;
    const uint64_t number = ticket.number;
    if (!records.tickets.emplace(number, std::make_shared<const Ticket>(std::move(ticket))).second) return false;
  }
  return true;
}

std::string names_of(const std::vector<TicketReview>& answers, bool is_approval) {
  std::string all;
  for (const TicketReview& each : answers) {
    if (each.is_approval == is_approval) all += (all.empty() ? "" : ", ") + each.by;
  }
  return all;
}
// The last word of a reviewer of that sort.
std::string reason_of(const std::vector<TicketReview>& answers, bool is_approval) {
  for (auto each = answers.rbegin(); each != answers.rend(); ++each) {
    if (each->is_approval == is_approval) return each->reason;
  }
  return "";
}

}  // namespace

TicketAnswer answer_of(const Ticket& ticket) {
  TicketAnswer answer;
  answer.state = ticket.state;
  answer.deadline = ticket.deadline;
  if (ticket.state == State::kApproved) answer.by = names_of(ticket.answers, true);
  if (ticket.state == State::kDenied) answer.by = names_of(ticket.answers, false);
  answer.reason = !ticket.text.empty() ? ticket.text : reason_of(ticket.answers, ticket.state == State::kApproved);
  return answer;
}

std::string state_text(const Ticket& ticket) {
  const TicketAnswer answer = answer_of(ticket);
  const std::string name = "ticket " + std::to_string(ticket.number);
  switch (ticket.state) {
    case State::kOpen:
      return name + " is open";
    case State::kApproved:
      return name + " was approved by " + answer.by + " already";
    case State::kDenied:
      return answer.by.empty() ? name + " was denied: " + answer.reason : name + " was denied by " + answer.by;
    case State::kExpired:
      return name + " has expired at " + utc_text(ticket.deadline) + ": nobody answered in time";
    case State::kWithdrawn:
      return name + " was withdrawn: " + answer.reason;
  }
  return name;
}

void shorten(Ticket& ticket) {
  for (std::string* text : {&ticket.statement, &ticket.parameters, &ticket.objects}) *text = beginning_of(*text);
}

std::string hex_of(const CommandDigest& digest) {
  std::string hex;
  for (const std::byte each : digest) {
    hex += "0123456789abcdef"[std::to_integer<unsigned>(each) >> 4];
    hex += "0123456789abcdef"[std::to_integer<unsigned>(each) & 15];
  }
  return hex;
}

std::string beginning_of(const std::string& text) {
  if (text.size() <= kTicketTextKept) return text;
  const std::string behind = "... (" + std::to_string(text.size()) + " bytes in all)";
  std::size_t size = kTicketTextKept - behind.size();
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;  // Not through a character.
  return text.substr(0, size) + behind;
}

Result<TicketRecords> read_tickets(const std::string& file) {
  const auto text = kernel::read_whole_file(file, kFileSizeMax);
  if (!text && text.error().kind != Error::Kind::kCorrupt) return tl::unexpected<Error>(text.error());
  TicketRecords records;
  const json parsed = text ? json::parse(*text, nullptr, false) : json();
  if (!text || parsed.is_discarded() || !read_records(parsed, records)) {
    return fail(
        Error::Kind::kCorrupt,
        file +
            " is damaged or not a file of tickets; move it away and start again: the record has what was asked and answered");
  }
  return records;
}

// Statements are peers' bytes: `replace` keeps what is no UTF-8 from throwing here.
std::string text_of(const Ticket& ticket) { return json_of(ticket).dump(-1, ' ', false, json::error_handler_t::replace); }

Result<Ticket> parse_ticket(std::string_view text) {
  const json parsed = json::parse(text, nullptr, false);
  Ticket ticket;
  if (parsed.is_discarded() || !read_ticket(parsed, ticket) || ticket.number == 0 || ticket.gateway.empty()) return fail(Error::Kind::kCorrupt, "not a ticket");
  return ticket;
}

}  // namespace weir::decide
