// KEXINIT (RFC 4253 section 7.1): what is offered, and what two offers come to.
// Must never: agree on what only one side named, or on any compression.
#pragma once
#include <string>

#include "core/module.h"
#include "transport/ssh/keys.h"
#include "transport/ssh/key_exchange.h"
#include "transport/ssh/packet.h"

namespace weir::ssh {

enum class SshRole : uint8_t { kServer /* client leg */, kClient /* target leg */ };

// Names as they are agreed on, per direction.
struct SshAlgorithms {
  std::string kex, host_key;
  std::string cipher_in, cipher_out, mac_in, mac_out;  // The MAC is empty beside an AEAD.
  friend bool operator==(const SshAlgorithms&, const SshAlgorithms&) = default;
};

// Comma-separated lists, the one that is liked best first.  Empty: all that there is.  Names that do not exist are left out.
struct SshPreferences {
  std::string kex, host_keys, ciphers, macs;
};

// What one KEXINIT names.  The views are of its payload.
struct KexInit {
  std::string_view kex, host_keys, ciphers_to_server, ciphers_to_client, macs_to_server, macs_to_client, compression_to_server, compression_to_client;
  bool first_packet_follows = false;
};
// False: it is none.
bool read_kex_init(Bytes payload, KexInit& out);
// Ours.  `host_keys`: names of what we have (server) or accept (client).  `is_first` adds what is said once a connection:
// strict key exchange and ext-info.
Buffer make_kex_init(SshRole, const SshPreferences&, std::string_view host_keys, bool is_first, RandomSource&);

struct Agreement {
  SshAlgorithms names;
  const KexMethod* kex = nullptr;
  const SignatureAlgorithm* host_key = nullptr;
  Cipher cipher_in = Cipher::kNone, cipher_out = Cipher::kNone;
  Mac mac_in = Mac::kNone, mac_out = Mac::kNone;
  bool is_guess_wrong = false;    // The packet that follows the peer's KEXINIT is of another method: it is dropped.
  bool peer_is_strict = false;    // Its marker was there.
  bool peer_takes_ext_info = false;
};
// Empty string: agreed.  Else what there is no agreement on, in words that repeat nothing of the peer's.
std::string negotiate(SshRole own_role, const KexInit& own, const KexInit& peer, Agreement& out);

// Those of `wanted` that are in `known`, in that order; all of `known` if nothing is wanted.
std::string choose_names(std::string_view wanted, std::span<const std::string_view> known);

}  // namespace weir::ssh
