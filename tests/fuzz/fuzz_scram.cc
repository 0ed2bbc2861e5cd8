// Both ends of SCRAM against a peer that says anything.
#include "parse/postgres/auth.h"
#include "parse/postgres/messages.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/playbook/harness.h"

namespace weir::fuzz {

void fuzz_scram(Bytes input);

void fuzz_scram(Bytes input) {
  ByteReader reader(input);
  const uint8_t settings = reader.u8();
  testing::FixedRandom random;
  const LoginSecret secret{"alice", "app", "target-password-fake", "client-password-fake"};
  const std::string hash(32, 'h');
  postgres::MessageWriter out;
  postgres::ClientAuth client;
  client.begin((settings & 1) != 0 ? &secret : nullptr, (settings & 2) != 0 ? as_bytes(hash) : Bytes{}, random, out);
  postgres::TargetAuth target;
  target.begin(&secret, (settings & 4) != 0, as_bytes(hash), &random);
  // A peer that names it may hear it again, as its own nonce.
  const bool is_named = as_text(input).find(secret.target_password) != std::string_view::npos;
  bool is_client_done = false, is_target_done = false;
  // A proof costs thousands of hash rounds: a few messages are enough.
  for (int i = 0; i < 4 && !reader.at_end(); ++i) {
    const Bytes message = reader.take(std::min<std::size_t>(reader.u8(), reader.remaining()));
    out.clear();
    if (!is_client_done) {
      const auto result = client.answer(message, out);
      if (result == postgres::ClientAuth::Result::kProven) finding("a client was believed without the password");
      is_client_done = result != postgres::ClientAuth::Result::kMore;
    }
    out.clear();
    if (!is_target_done) {
      const auto result = target.answer(message, out);
      const bool clear = as_text(out.bytes()).find(secret.target_password) != std::string_view::npos;
      if (clear && !is_named && (settings & 4) == 0) finding("the password went out in clear");
      is_target_done = result == postgres::TargetAuth::Result::kRefused || result == postgres::TargetAuth::Result::kAccepted;
    }
  }
}

}  // namespace weir::fuzz
