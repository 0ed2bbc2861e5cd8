#include "signer/signer_fuzz.h"

#include <algorithm>

#include "base/check.h"
#include "record/manifest.h"
#include "record/signed_note.h"
#include "signer/protocol.h"
#include "signer/setup.h"

int fuzz_signer(const uint8_t* data, size_t size) {
  using namespace weir;
  using namespace weir::signer;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  if (const auto request = decode_request(bytes)) {
    const Message again = encode(*request);
    WEIR_CHECK(std::ranges::equal(again.bytes(), bytes));
    if (const auto* seal = std::get_if<SignSeal>(&*request)) static_cast<void>(record::manifest_from_json(seal->manifest));
    if (const auto* checkpoint = std::get_if<SignCheckpoint>(&*request)) static_cast<void>(record::checkpoint_from_text(checkpoint->text));
    if (const auto* head = std::get_if<AdoptHead>(&*request)) static_cast<void>(record::parse_note(head->note));
  }
  if (const auto signature = read_signature(bytes)) WEIR_CHECK(std::ranges::equal(answer_signature(*signature).bytes(), bytes));
  if (const auto text = read_text_answer(bytes, kNoteMax)) WEIR_CHECK(std::ranges::equal(answer_text(*text).bytes(), bytes));
  if (const auto key = read_key(bytes)) WEIR_CHECK(std::ranges::equal(answer_key(*key ? &**key : nullptr).bytes(), bytes));
  if (const auto counts = read_counts(bytes)) WEIR_CHECK(std::ranges::equal(answer_counts(*counts).bytes(), bytes));
  static_cast<void>(setup_from_json(as_text(bytes)));
  static_cast<void>(hello_from_json(as_text(bytes)));
  return 0;
}
