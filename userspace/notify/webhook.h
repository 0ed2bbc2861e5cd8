// A notice as the body of a webhook: plain JSON, or a message that Slack (and who speaks its form) shows with buttons.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/config.h"
#include "kernel/https.h"
#include "notify/signature.h"
#include "notify/sink.h"

namespace weir::notify {

// {text, blocks, metadata}.  What comes from peers stands in plain text blocks, or escaped: it cannot call a channel or be a link.
// A ticket that is open has Approve and Deny (action_id weir_approve, weir_deny, value: the number), if `has_buttons`.
// `link`: where a person looks, "{ticket}" is the number; empty: none.
[[nodiscard]] nlohmann::json slack_message(const Notice& notice, bool has_buttons, std::string_view link);

// POSTs notices to the sink's url, each with Weir-Notice-Id and Idempotency-Key (the notice's id), signed if there is a secret.
[[nodiscard]] std::unique_ptr<Sink> make_webhook(const SinkConfig& config, Secrets secrets, kernel::Https https);

}  // namespace weir::notify
