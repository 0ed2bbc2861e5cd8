#include "transport/ssh/negotiation.h"

#include <algorithm>
#include <array>
#include <vector>

namespace weir::ssh {
namespace {

constexpr uint8_t kKexInitNumber = 20;
constexpr std::size_t kCookieSize = 16;
// How either side says that it is strict, and that it takes EXT_INFO.
constexpr std::string_view kStrictClient = "kex-strict-c-v00@openssh.com", kStrictServer = "kex-strict-s-v00@openssh.com";
constexpr std::string_view kExtInfoClient = "ext-info-c", kExtInfoServer = "ext-info-s";

std::string_view first_of(std::string_view list) { return take_name(list); }

// RFC 4253 section 7.1: the first of the client's that the server has.
std::string_view common(std::string_view client, std::string_view server) {
  while (!client.empty()) {
    const std::string_view name = take_name(client);
    if (has_name(server, name)) return name;
  }
  return {};
}

}  // namespace

std::string choose_names(std::string_view wanted, std::span<const std::string_view> known) {
  std::string chosen;
  const auto add = [&](std::string_view name) {
    if (!chosen.empty()) chosen += ',';
    chosen += name;
  };
  if (wanted.empty()) {
    for (const std::string_view name : known) add(name);
  }
  while (!wanted.empty()) {
    const std::string_view name = take_name(wanted);
    if (std::find(known.begin(), known.end(), name) != known.end() && !has_name(chosen, name)) add(name);
  }
  return chosen;
}

bool read_kex_init(Bytes payload, KexInit& out) {
  WireReader reader(payload);
  if (reader.u8() != kKexInitNumber) return false;
  reader.take(kCookieSize);
  std::string_view languages[2];
  std::string_view* const lists[] = {&out.kex,           &out.host_keys,      &out.ciphers_to_server,     &out.ciphers_to_client,     &out.macs_to_server,
                                     &out.macs_to_client, &out.compression_to_server, &out.compression_to_client, &languages[0], &languages[1]};
  for (std::string_view* const list : lists) {
    *list = reader.text();
    if (!is_name_list(*list)) return false;
  }
  out.first_packet_follows = reader.boolean();
  reader.u32();  // Reserved.
  return reader.done();
}

Buffer make_kex_init(SshRole role, const SshPreferences& preferences, std::string_view host_keys, bool is_first, RandomSource& random) {
  std::vector<std::string_view> methods;
  for (const KexMethod& method : kex_methods()) methods.push_back(method.name);
  std::string kex = choose_names(preferences.kex, methods);
  const bool is_client = role == SshRole::kClient;
  if (is_first) {
    // A server that says ext-info-s invites the client's; we have no use for one.
    if (is_client) kex.append(",").append(kExtInfoClient);
    kex.append(",").append(is_client ? kStrictClient : kStrictServer);
  }
  const std::string ciphers = choose_names(preferences.ciphers, cipher_names());
  const std::string macs = choose_names(preferences.macs, mac_names());
  std::array<std::byte, kCookieSize> cookie{};
  random.fill(cookie);
  Buffer out;
  WireWriter writer(out);
  writer.u8(kKexInitNumber).raw(cookie).string(kex).string(host_keys).string(ciphers).string(ciphers).string(macs).string(macs);
  writer.string("none").string("none").string("").string("").boolean(false).u32(0);
  return out;
}

std::string negotiate(SshRole own_role, const KexInit& own, const KexInit& peer, Agreement& out) {
  const bool is_client = own_role == SshRole::kClient;
  const KexInit& client = is_client ? own : peer;
  const KexInit& server = is_client ? peer : own;
  out = {};
  out.peer_is_strict = has_name(peer.kex, is_client ? kStrictServer : kStrictClient);
  out.peer_takes_ext_info = has_name(peer.kex, is_client ? kExtInfoServer : kExtInfoClient);

  // The markers are in the lists as if they were methods; they are of no table, so nobody agrees on them.
  const std::string_view kex = common(client.kex, server.kex);
  out.kex = find_kex_method(kex);
  if (out.kex == nullptr) return "key exchange method";
  const std::string_view host_key = common(client.host_keys, server.host_keys);
  out.host_key = find_signature_algorithm(host_key);
  if (out.host_key == nullptr) return "host key algorithm";

  const std::string_view to_server = common(client.ciphers_to_server, server.ciphers_to_server), to_client = common(client.ciphers_to_client, server.ciphers_to_client);
  const auto cipher_to_server = find_cipher(to_server), cipher_to_client = find_cipher(to_client);
  if (!cipher_to_server || !cipher_to_client) return "cipher";
  std::string_view mac_to_server, mac_to_client;
  if (!is_aead(*cipher_to_server) && !find_mac(mac_to_server = common(client.macs_to_server, server.macs_to_server))) return "MAC";
  if (!is_aead(*cipher_to_client) && !find_mac(mac_to_client = common(client.macs_to_client, server.macs_to_client))) return "MAC";
  if (common(client.compression_to_server, server.compression_to_server) != "none" || common(client.compression_to_client, server.compression_to_client) != "none")
    return "compression (none is what we have)";

  out.cipher_in = is_client ? *cipher_to_client : *cipher_to_server;
  out.cipher_out = is_client ? *cipher_to_server : *cipher_to_client;
  out.mac_in = find_mac(is_client ? mac_to_client : mac_to_server).value_or(Mac::kNone);
  out.mac_out = find_mac(is_client ? mac_to_server : mac_to_client).value_or(Mac::kNone);
  out.names = {std::string(kex),
               std::string(host_key),
               std::string(is_client ? to_client : to_server),
               std::string(is_client ? to_server : to_client),
               std::string(is_client ? mac_to_client : mac_to_server),
               std::string(is_client ? mac_to_server : mac_to_client)};
  // A guess is right when both sides like the same method and the same host key algorithm best.
  out.is_guess_wrong = peer.first_packet_follows && (first_of(client.kex) != first_of(server.kex) || first_of(client.host_keys) != first_of(server.host_keys));
  return {};
}

}  // namespace weir::ssh
