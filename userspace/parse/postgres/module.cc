#include "core/module.h"

#include "parse/postgres/codec.h"
#include "parse/postgres/messages.h"

namespace weir {
namespace {

// By the first packet: | length:4 | code:4 |.  A TLS hello is taken too, so that the codec can say why it is refused.
Identification identify(const FlowHint&, Bytes from_client, Bytes) {
  using Answer = Identification::Answer;
  if (from_client.empty()) return {Answer::kMaybe, 8};
  if (from_client[0] == std::byte{0x16}) return {Answer::kYes, 0};
  if (from_client[0] != std::byte{0}) return {Answer::kNo, 0};
  if (from_client.size() < 8) return {Answer::kMaybe, static_cast<uint32_t>(8 - from_client.size())};
  const uint32_t size = load_be<uint32_t>(from_client);
  const uint32_t code = load_be<uint32_t>(from_client, 4);
  const bool is_code = code == postgres::kSslRequestCode || code == postgres::kGssEncRequestCode ||
                       code == postgres::kCancelRequestCode || code >> 16 == postgres::kProtocolMajor || code >> 16 == 2;
  return {is_code && size >= 8 && size <= postgres::kStartupSizeMax ? Answer::kYes : Answer::kNo, 0};
}

CodecPtr make_codec(CodecEnvironment& environment) { return std::make_unique<postgres::PostgresCodec>(environment); }

}  // namespace

extern const ProtocolModule k_postgres_module;
const ProtocolModule k_postgres_module{"postgres", 5432, false, identify, make_codec};

}  // namespace weir
