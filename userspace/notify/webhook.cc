#include "notify/webhook.h"

#include <algorithm>

#include "notify/notice_json.h"

namespace weir::notify {
namespace {

using nlohmann::json;

constexpr std::size_t kAnswerMax = 64u << 10;
constexpr std::size_t kHeaderTextMax = 140, kSectionTextMax = 2'800, kFieldTextMax = 1'800;  // Slack takes 150, 3000 and 2000.

std::string cut(std::string_view text, std::size_t size_max) {
  if (text.size() <= size_max) return std::string(text);
  std::size_t end = size_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

// The three characters that Slack's markup begins with.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else out += c;
  }
  return out;
}

json plain(std::string_view text, std::size_t size_max) { return {{"type", "plain_text"}, {"text", cut(text, size_max)}, {"emoji", false}}; }

json button(const char* label, const char* action, const std::string& value, const char* style) {
  return {{"type", "button"}, {"text", plain(label, kHeaderTextMax)}, {"action_id", action}, {"value", value}, {"style", style}};
}

std::string link_of(std::string_view link, const Notice& notice) {
  constexpr std::string_view kPlace = "{ticket}";
  std::string text(link);
  const std::size_t at = text.find(kPlace);
  if (at == std::string::npos) return text;
  if (notice.ticket == 0) return "";
  return text.replace(at, kPlace.size(), std::to_string(notice.ticket));
}

class Webhook final : public Sink {
 public:
  Webhook(SinkConfig config, Secrets secrets, kernel::Https https) : config_(std::move(config)), secrets_(std::move(secrets)), https_(std::move(https)) {}

  Result<void> deliver(const Notice& notice) override {
    kernel::HttpsRequest request;
    request.url = config_.url;
    request.ca_file = config_.ca_file;
    request.size_max = kAnswerMax;
    request.content_type = "application/json";
    request.body = dump(config_.kind == SinkConfig::Kind::kSlack ? slack_message(notice, !config_.reviewers.empty(), config_.link) : to_json(notice));
    request.headers = {"Weir-Notice-Id: " + notice.id, "Idempotency-Key: " + notice.id};
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()).time_since_epoch().count();
    if (!secrets_.empty()) request.headers.push_back("Weir-Signature: " + weir_signature(secrets_, now, request.body));
    const auto answer = https_(request);
    if (!answer) return fail(Error::Kind::kUnavailable, answer.error().message);
    if (answer->status >= 200 && answer->status < 300) return {};
    std::string why = "it answered with status " + std::to_string(answer->status);
    if (answer->status >= 300 && answer->status < 400) why += " (no redirect is followed: put the right url into the configuration)";
    const bool is_for_good = answer->status == 400 || answer->status == 413 || answer->status == 422;
    return fail(is_for_good ? Error::Kind::kInvalid : Error::Kind::kUnavailable, std::move(why));
  }

 private:
  const SinkConfig config_;
  const Secrets secrets_;
  const kernel::Https https_;
};

}  // namespace

json slack_message(const Notice& notice, bool has_buttons, std::string_view link) {
  const std::string title = std::string(name_of(notice.severity)) + " " + std::string(name_of(notice.event)) + " at " + notice.gateway;
  json blocks = json::array();
  blocks.push_back({{"type", "header"}, {"text", plain(title, kHeaderTextMax)}});
  blocks.push_back({{"type", "section"}, {"text", plain(notice.text, kSectionTextMax)}});
  json fields = json::array();
  const auto field = [&](const char* name, const std::string& value) {
    if (!value.empty()) fields.push_back(plain(std::string(name) + ": " + value, kFieldTextMax));
  };
  field("subject", notice.subject);
  field("target", notice.target);
  field("rule", notice.rule);
  if (notice.session != 0) field("session", std::to_string(notice.session));
  if (notice.ticket != 0) field("ticket", std::to_string(notice.ticket));
  if (notice.alert != 0) field("alert", std::to_string(notice.alert));
  field("state", notice.state);
  if (!fields.empty()) blocks.push_back({{"type", "section"}, {"fields", std::move(fields)}});
  if (!notice.statement.empty()) blocks.push_back({{"type", "section"}, {"text", plain(notice.statement, kSectionTextMax)}});
  json buttons = json::array();
  const bool is_open_ticket = notice.event == NoticeEvent::kTicket && notice.state == "open";
  if (is_open_ticket && has_buttons) {
    const std::string number = std::to_string(notice.ticket);
    buttons.push_back(button("Approve", "weir_approve", number, "primary"));
    buttons.push_back(button("Deny", "weir_deny", number, "danger"));
  }
  if (const std::string url = link_of(link, notice); !url.empty()) {
    buttons.push_back({{"type", "button"}, {"text", plain("Open", kHeaderTextMax)}, {"action_id", "weir_open"}, {"url", url}});
  }
  if (!buttons.empty()) blocks.push_back({{"type", "actions"}, {"block_id", "weir_" + notice.id}, {"elements", std::move(buttons)}});
  return {{"text", escaped(cut(title + ": " + notice.text, kSectionTextMax))},
          {"blocks", std::move(blocks)},
          {"metadata", {{"event_type", "weir_notice"}, {"event_payload", to_json(notice)}}}};
}

std::unique_ptr<Sink> make_webhook(const SinkConfig& config, Secrets secrets, kernel::Https https) {
  return std::make_unique<Webhook>(config, std::move(secrets), std::move(https));
}

}  // namespace weir::notify
