// What one masked value costs: by kind of mask, by format.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <string>

#include "base/arena.h"
#include "mask/masker.h"

namespace weir {
namespace {

constexpr std::string_view kKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
constexpr uint32_t kTextType = 25;

void mask_value(benchmark::State& state, MaskSpec::As as, ValueFormat format, std::string_view value) {
  const auto masker = mask::make_masker(as_bytes(kKey));
  Arena arena(64 << 10);
  const MaskSpec spec{.as = as};
  const MaskSubject subject{.value = as_bytes(value), .format = format, .type_id = kTextType};
  for (auto _ : state) {
    arena.reset();
    benchmark::DoNotOptimize(masker->mask(spec, subject, arena));
  }
}

constexpr std::string_view kEmail = "amber.river41@example.invalid";
constexpr std::string_view kCopyValue = "a tab\\tand a line\\n and an address amber.river41@example.invalid";

BENCHMARK_CAPTURE(mask_value, full_text, MaskSpec::As::kFull, ValueFormat::kText, kEmail);
BENCHMARK_CAPTURE(mask_value, partial_text, MaskSpec::As::kPartial, ValueFormat::kText, kEmail);
BENCHMARK_CAPTURE(mask_value, hash_text, MaskSpec::As::kHash, ValueFormat::kText, kEmail);
BENCHMARK_CAPTURE(mask_value, null_text, MaskSpec::As::kNull, ValueFormat::kText, kEmail);
BENCHMARK_CAPTURE(mask_value, partial_binary, MaskSpec::As::kPartial, ValueFormat::kBinary, kEmail);
BENCHMARK_CAPTURE(mask_value, partial_copy_escaped, MaskSpec::As::kPartial, ValueFormat::kCopyText, kCopyValue);

void validate_card(benchmark::State& state) {
  const auto masker = mask::make_masker(as_bytes(kKey));
  const DataValidator* luhn = masker->validator("luhn");
  if (luhn == nullptr) {
    state.SkipWithError("there is no validator named luhn");
    return;
  }
  const Bytes field = as_bytes("order paid with 4111 1111 1111 1111 today");
  for (auto _ : state) {
    std::size_t begin = 16, end = 35;
    benchmark::DoNotOptimize(luhn->confirm(field, begin, end));
  }
}
BENCHMARK(validate_card);

}  // namespace
}  // namespace weir
