// Key exchange of SshTransport.
#include "transport/ssh/ssh_exchange.h"

#include <algorithm>

#include "base/check.h"

namespace weir::ssh {

std::string SshTransport::own_host_key_names() const {
  std::string all;
  for (const SignatureAlgorithm& algorithm : signature_algorithms()) {
    const bool is_held = std::any_of(leg_->host_keys.begin(), leg_->host_keys.end(), [&](const HostKey& h) {
      return h.key.public_key().type() == algorithm.type && (!algorithm.is_certificate || !h.certificate.empty());
    });
    if (leg_->role == SshRole::kServer && !is_held) continue;
    all.append(all.empty() ? "" : ",").append(algorithm.name);
  }
  std::vector<std::string_view> known;
  for (std::string_view rest = all; !rest.empty();) known.push_back(take_name(rest));
  return choose_names(leg_->preferences.host_keys, known);
}

void SshTransport::begin_exchange(SshSink& sink) {
  if (!exchange_) exchange_ = std::make_unique<Exchange>();
  WEIR_CHECK(exchange_->own_init.empty());
  exchange_->own_init = make_kex_init(leg_->role, leg_->preferences, own_host_key_names(), exchanges_ == 0, random_);
  seal(exchange_->own_init, sink);
}

void SshTransport::on_kex_init(Bytes payload, SshSink& sink) {
  if (exchange_ && !exchange_->peer_init.empty()) return become_faulty(Disconnect::kProtocolError, "a second KEXINIT in one key exchange", sink);
  KexInit peer;
  if (!read_kex_init(payload, peer)) return become_faulty(Disconnect::kProtocolError, "a KEXINIT that cannot be read", sink);
  if (!exchange_ || exchange_->own_init.empty()) {
    begin_exchange(sink);
    if (!is_live()) return;
  }
  Exchange& exchange = *exchange_;
  exchange.peer_init.assign(payload.begin(), payload.end());
  KexInit own;
  WEIR_CHECK(read_kex_init(exchange.own_init, own));
  const std::string lacking = negotiate(leg_->role, own, peer, exchange.agreement);
  if (!lacking.empty()) return become_faulty(Disconnect::kKeyExchangeFailed, "no " + lacking + " in common", sink);
  exchange.drops_next = exchange.agreement.is_guess_wrong;
  if (exchanges_ == 0) {
    // Our marker is always there.
    is_strict_ = exchange.agreement.peer_is_strict;
    peer_takes_ext_info_ = exchange.agreement.peer_takes_ext_info;
    if (is_strict_ && opener_.sequence() != 1) return become_faulty(Disconnect::kProtocolError, "strict key exchange: something came before KEXINIT", sink);
  }
  if (leg_->role != SshRole::kClient) return;
  exchange.ephemeral = EphemeralKey::make(*exchange.agreement.kex, random_);
  if (!exchange.ephemeral) return become_faulty(Disconnect::kKeyExchangeFailed, "an ephemeral key could not be made", sink);
  Buffer ask;
  WireWriter out(ask);
  out.u8(number::kKexAsk);
  if (exchange.agreement.kex->kind == KexMethod::Kind::kFiniteField) out.mpint(exchange.ephemeral->public_value());
  else out.string(exchange.ephemeral->public_value());
  seal(ask, sink);
}

namespace {
Bytes read_public(WireReader& reader, const KexMethod& method) { return method.kind == KexMethod::Kind::kFiniteField ? reader.mpint() : reader.string(); }
}  // namespace

void SshTransport::on_kex_ask(Bytes payload, Time now, SshSink& sink) {
  if (!exchange_ || !exchange_->is_agreed() || exchange_->is_sent) return become_faulty(Disconnect::kProtocolError, "key exchange out of its order", sink);
  Exchange& exchange = *exchange_;
  const KexMethod& method = *exchange.agreement.kex;
  WireReader reader(payload.subspan(1));
  const Bytes client_public = read_public(reader, method);
  if (!reader.done()) return become_faulty(Disconnect::kProtocolError, "a key exchange message that cannot be read", sink);
  exchange.ephemeral = EphemeralKey::make(method, random_);
  if (!exchange.ephemeral) return become_faulty(Disconnect::kKeyExchangeFailed, "an ephemeral key could not be made", sink);
  const auto shared = exchange.ephemeral->agree(client_public);
  if (!shared) return become_faulty(Disconnect::kKeyExchangeFailed, "the peer's public value is not valid", sink);

  const SignatureAlgorithm& algorithm = *exchange.agreement.host_key;
  const auto held = std::find_if(leg_->host_keys.begin(), leg_->host_keys.end(), [&](const HostKey& h) {
    return h.key.public_key().type() == algorithm.type && (!algorithm.is_certificate || !h.certificate.empty());
  });
  WEIR_CHECK(held != leg_->host_keys.end());  // We offered it.
  const Bytes host_key = algorithm.is_certificate ? Bytes(held->certificate) : held->key.public_key().blob();
  Buffer hash;
  if (exchanges_ == 0) host_key_blob_.assign(host_key.begin(), host_key.end());
  if (!make_keys(*shared, host_key, client_public, exchange.ephemeral->public_value(), hash, sink)) return;
  const auto signature = held->key.sign(algorithm, hash);
  if (!signature) return become_faulty(Disconnect::kKeyExchangeFailed, signature.error().message, sink);
  Buffer reply;
  WireWriter out(reply);
  out.u8(number::kKexReply).string(host_key);
  if (method.kind == KexMethod::Kind::kFiniteField) out.mpint(exchange.ephemeral->public_value());
  else out.string(exchange.ephemeral->public_value());
  out.string(*signature);
  seal(reply, sink);
  send_new_keys(now, sink);
}

// The key or certificate that the target shows: of the type that was agreed on, and the same as ever.
bool SshTransport::read_shown_key(Bytes blob, SshSink& sink) {
  Exchange& exchange = *exchange_;
  const SignatureAlgorithm& algorithm = *exchange.agreement.host_key;
  const auto refuse = [&](std::string reason) {
    become_faulty(Disconnect::kKeyExchangeFailed, std::move(reason), sink);
    return false;
  };
  WireReader type(blob);
  if (type.text() != algorithm.blob_type || type.failed()) return refuse("the host key is of another type than was agreed on");
  if (!algorithm.is_certificate) {
    auto key = PublicKey::parse(blob);
    if (!key) return refuse("the host key: " + key.error().message);
    exchange.shown_key = std::move(*key);
  } else {
    auto certificate = Certificate::parse(blob);
    if (!certificate) return refuse("the host key: " + certificate.error().message);
    exchange.shown_key = certificate->key;
    exchange.shown_certificate = std::move(*certificate);
  }
  if (exchanges_ != 0 && !std::equal(blob.begin(), blob.end(), host_key_blob_.begin(), host_key_blob_.end())) return refuse("the host key changed at a rekey");
  return true;
}

void SshTransport::on_kex_reply(Bytes payload, Time now, SshSink& sink) {
  if (!exchange_ || !exchange_->ephemeral || exchange_->cipher_in) return become_faulty(Disconnect::kProtocolError, "key exchange out of its order", sink);
  Exchange& exchange = *exchange_;
  WireReader reader(payload.subspan(1));
  const Bytes host_key = reader.string();
  const Bytes server_public = read_public(reader, *exchange.agreement.kex);
  const Bytes signature = reader.string();
  if (!reader.done()) return become_faulty(Disconnect::kProtocolError, "a key exchange message that cannot be read", sink);
  if (!read_shown_key(host_key, sink)) return;
  const auto shared = exchange.ephemeral->agree(server_public);
  if (!shared) return become_faulty(Disconnect::kKeyExchangeFailed, "the peer's public value is not valid", sink);
  Buffer hash;
  if (!make_keys(*shared, host_key, exchange.ephemeral->public_value(), server_public, hash, sink)) return;
  if (!exchange.shown_key->verify(*exchange.agreement.host_key, signature, hash)) return become_faulty(Disconnect::kKeyExchangeFailed, "the host key's signature is wrong", sink);
  if (exchanges_ != 0) return send_new_keys(now, sink);
  host_key_blob_.assign(host_key.begin(), host_key.end());
  exchange.awaits_decision = true;
  sink.host_key({*exchange.agreement.host_key, *exchange.shown_key, exchange.shown_certificate ? &*exchange.shown_certificate : nullptr});
}

void SshTransport::accept_host_key(Time now, SshSink& sink) {
  if (!is_live() || !exchange_ || !exchange_->awaits_decision) return;
  exchange_->awaits_decision = false;
  send_new_keys(now, sink);
}

void SshTransport::refuse_host_key(std::string_view reason, SshSink& sink) {
  if (!exchange_ || !exchange_->awaits_decision) return;
  become_faulty(Disconnect::kHostKeyNotVerifiable, std::string(reason), sink);
}

bool SshTransport::make_keys(const Secret& shared, Bytes host_key, Bytes client_public, Bytes server_public, Buffer& hash, SshSink& sink) {
  Exchange& exchange = *exchange_;
  const Agreement& agreed = exchange.agreement;
  const bool is_client = leg_->role == SshRole::kClient;
  const auto failed = [&] {
    become_faulty(Disconnect::kKeyExchangeFailed, "keys could not be derived", sink);
    return false;
  };
  hash = exchange_hash(*agreed.kex,
                       {is_client ? own_version_ : peer_version_, is_client ? peer_version_ : own_version_, is_client ? exchange.own_init : exchange.peer_init,
                        is_client ? exchange.peer_init : exchange.own_init, host_key, client_public, server_public},
                       shared);
  if (hash.empty()) return failed();
  if (session_id_.empty()) session_id_ = hash;
  // Letters of RFC 4253 section 7.2: A, C, E are the client's direction, B, D, F the server's.
  const auto make = [&](bool is_of_client, Cipher cipher, Mac mac, PacketCipher::Use use) -> std::optional<PacketCipher> {
    const KeySizes sizes = key_sizes(cipher, mac);
    auto iv = derive_key(*agreed.kex, shared, hash, is_of_client ? 'A' : 'B', session_id_, sizes.iv);
    auto key = derive_key(*agreed.kex, shared, hash, is_of_client ? 'C' : 'D', session_id_, sizes.key);
    auto mac_key = derive_key(*agreed.kex, shared, hash, is_of_client ? 'E' : 'F', session_id_, sizes.mac_key);
    if (!iv || !key || !mac_key) return std::nullopt;
    return PacketCipher::make({cipher, mac, std::move(*iv), std::move(*key), std::move(*mac_key)}, use);
  };
  exchange.cipher_in = make(!is_client, agreed.cipher_in, agreed.mac_in, PacketCipher::Use::kOpen);
  exchange.cipher_out = make(is_client, agreed.cipher_out, agreed.mac_out, PacketCipher::Use::kSeal);
  return exchange.cipher_in && exchange.cipher_out ? true : failed();
}

void SshTransport::send_new_keys(Time now, SshSink& sink) {
  constexpr std::byte kMessage{number::kNewKeys};
  seal(Bytes{&kMessage, 1}, sink);
  if (!is_live()) return;
  sealer_.set_cipher(std::move(*exchange_->cipher_out), is_strict_);
  exchange_->is_sent = true;
  if (exchanges_ == 0 && peer_takes_ext_info_ && leg_->role == SshRole::kServer) send_ext_info(sink);
  flush_queue(sink);
  if (is_live() && exchange_->is_received) finish_exchange(now, sink);
}

void SshTransport::on_new_keys(Bytes payload, Time now, SshSink& sink) {
  if (payload.size() != 1 || !exchange_ || !exchange_->cipher_in || exchange_->is_received) return become_faulty(Disconnect::kProtocolError, "NEWKEYS out of its order", sink);
  opener_.set_cipher(std::move(*exchange_->cipher_in), is_strict_);
  exchange_->is_received = true;
  if (exchange_->is_sent) finish_exchange(now, sink);
}

void SshTransport::finish_exchange(Time now, SshSink& sink) {
  algorithms_ = exchange_->agreement.names;
  exchange_.reset();
  exchanged_at_ = now;
  const bool is_first = exchanges_++ == 0;
  if (is_first) state_ = State::kReady;
  sink.keys_exchanged(is_first);
}

// RFC 8308: what this leg can verify, never what the other leg's peer can.
void SshTransport::send_ext_info(SshSink& sink) {
  std::string names;
  for (const SignatureAlgorithm& algorithm : signature_algorithms()) names.append(names.empty() ? "" : ",").append(algorithm.name);
  Buffer out;
  WireWriter(out).u8(number::kExtInfo).u32(3).string("server-sig-algs").string(names).string("publickey-hostbound@openssh.com").string("0").string("ping@openssh.com").string("0");
  seal(out, sink);
}

}  // namespace weir::ssh
