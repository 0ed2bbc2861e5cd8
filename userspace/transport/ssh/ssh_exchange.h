// One key exchange under way; of SshTransport alone.
#pragma once
#include "transport/ssh/ssh_transport.h"

namespace weir::ssh {

// own_init -> peer_init -> [ask -> reply] -> NEWKEYS each way.  Over when both NEWKEYS are through.
struct SshTransport::Exchange {
  Buffer own_init, peer_init;
  bool drops_next = false;      // The peer guessed wrong: its next packet of key exchange is for nobody.
  bool is_sent = false, is_received = false, awaits_decision = false;  // Our NEWKEYS, the peer's; the host key is being judged.
  Agreement agreement;
  std::unique_ptr<EphemeralKey> ephemeral;
  std::optional<PacketCipher> cipher_in, cipher_out;
  // kClient: what the target showed.
  std::optional<PublicKey> shown_key;
  std::optional<Certificate> shown_certificate;

  [[nodiscard]] bool is_agreed() const { return !own_init.empty() && !peer_init.empty(); }
};

}  // namespace weir::ssh
