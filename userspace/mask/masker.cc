#include "mask/masker.h"

#include <algorithm>
#include <array>
#include <optional>

#include "mask/copy_escape.h"
#include "mask/keyed_hash.h"
#include "mask/rewrite.h"
#include "mask/type_class.h"
#include "mask/validators.h"

namespace weir::mask {
namespace {

// Most masks are a run of one character: it comes from here, not from the arena.
constexpr std::size_t kFillSize = 4096;
constexpr char kFill = '*';
constexpr char kCopyFill = 'x';  // No letter can be COPY's delimiter, and '*' can (PostgreSQL documentation, COPY).
constexpr auto filled(char c) {
  std::array<char, kFillSize> run{};
  run.fill(c);
  return run;
}
constexpr auto kFillRun = filled(kFill);
constexpr auto kCopyFillRun = filled(kCopyFill);

bool is_copy(ValueFormat format) { return format == ValueFormat::kCopyText || format == ValueFormat::kCopyCsv; }
bool is_binary(ValueFormat format) { return format == ValueFormat::kBinary || format == ValueFormat::kCopyBinary; }

MaskResult refuse() { return {}; }
MaskResult replace(std::size_t begin, std::size_t end, Bytes with) { return {MaskResult::Kind::kReplace, begin, end, with}; }
MaskResult to_null(const MaskSubject& subject) {
  if (!subject.is_resizable || !subject.is_whole) return refuse();
  return {MaskResult::Kind::kNull, 0, subject.value.size(), {}};
}
// `with` empty though it should not be: the arena is full.
MaskResult replace_or_refuse(std::size_t begin, std::size_t end, Bytes with) {
  return with.empty() && begin != end ? refuse() : replace(begin, end, with);
}

Bytes fill_run(ValueFormat format, std::size_t size, Arena& arena) {
  const auto& run = is_copy(format) ? kCopyFillRun : kFillRun;
  if (size <= run.size()) return as_bytes(std::string_view(run.data(), size));
  const MutableBytes made = arena.allocate(size, 1);
  std::fill(made.begin(), made.end(), static_cast<std::byte>(run[0]));
  return made;
}

class ValueMasker final : public Masker {
 public:
  explicit ValueMasker(Bytes key) {
    if (!key.empty()) key_.emplace(key);
  }

  MaskResult mask(const MaskSpec& spec, const MaskSubject& subject, Arena& arena) const override {
    if (subject.value.empty()) return replace(0, 0, {});
    if (spec.as == MaskSpec::As::kHash && !key_) return refuse();
    if (!subject.is_whole) return mask_cut(subject, arena);
    if (spec.as == MaskSpec::As::kNull) return to_null(subject);
    if (is_copy(subject.format)) return mask_copy(spec, subject, arena);
    const TypeClass type = type_class(subject.type_id);
    if (is_binary(subject.format) && subject.format != ValueFormat::kCopyBinary) return mask_binary(spec, subject, type, arena);
    if (subject.format == ValueFormat::kCopyBinary) return to_null(subject);  // COPY does not tell types.
    return mask_text(spec, subject, type, arena);
  }

  // Without a change of size, wherever it can be: then it is safe also inside arrays, composites and documents.
  MaskResult mask_part(const MaskSpec& spec, const MaskSubject& subject, std::size_t begin, std::size_t end,
                       Arena& arena) const override {
    if (begin >= end || end > subject.value.size()) return refuse();
    if (spec.as == MaskSpec::As::kHash && !key_) return refuse();
    if (spec.as == MaskSpec::As::kNull) return to_null(subject);
    const TypeClass type = type_class(subject.type_id);
    if (type != TypeClass::kText && type != TypeClass::kJson && type != TypeClass::kJsonb && type != TypeClass::kOther &&
        !is_copy(subject.format) && subject.format != ValueFormat::kCopyBinary) {
      return mask(spec, subject, arena);
    }
    const Bytes part = subject.value.subspan(begin, end - begin);
    const bool is_number =
        std::all_of(part.begin(), part.end(), [](std::byte b) { return b >= std::byte{'0'} && b <= std::byte{'9'}; });
    if (is_number && (type == TypeClass::kJson || type == TypeClass::kJsonb)) {  // It may be a bare JSON number.
      const MutableBytes out = arena.allocate(part.size(), 1);
      if (out.empty() || !rewrite_digits(spec, key(), part, part.size(), out)) return refuse();
      if (out[0] == std::byte{'0'} && out.size() > 1) out[0] = std::byte{'1'};  // JSON allows no leading zero.
      return replace(begin, end, out);
    }
    const bool may_resize = !spec.keep_length && subject.is_resizable && type == TypeClass::kText && !is_binary(subject.format);
    return rewrite_run(spec, subject.format, part, begin, may_resize, arena);
  }

  bool is_escaped(Bytes value, ValueFormat format) const override { return mask::is_escaped(value, format); }
  Bytes unescape(Bytes value, ValueFormat format, Arena& arena) const override {
    const MutableBytes out = arena.allocate(value.size(), 1);
    return out.empty() ? out : out.first(mask::unescape(value, format, out));
  }
  Bytes escape(Bytes meaning, ValueFormat format, Arena& arena) const override {
    const MutableBytes out = arena.allocate(escaped_size_max(meaning.size()), 1);
    return out.empty() ? out : out.first(mask::escape(meaning, format, out));
  }

  bool is_masked(std::string_view literal) const override {
    constexpr std::size_t kRunMin = 4, kCopyRunMin = 6;
    const std::size_t stars = std::min(literal.find_first_not_of(kFill), literal.size());
    const std::size_t letters = std::min(literal.find_first_not_of(kCopyFill), literal.size());
    const auto is_fill = [&](std::size_t run, std::size_t run_min) { return run >= run_min && 2 * run >= literal.size() - 1; };
    return is_fill(stars, kRunMin) || is_fill(letters, kCopyRunMin) || (key_ && is_hash_text(*key_, literal));
  }

  std::string_view digest(Bytes value, Arena& arena) const override {
    constexpr std::string_view kPrefix = "hmac-sha256:";
    const MutableBytes out = key_ ? arena.allocate(kPrefix.size() + 32, 1) : MutableBytes{};
    if (out.empty()) return {};
    std::copy_n(as_bytes(kPrefix).begin(), kPrefix.size(), out.begin());
    key_->hex(kPurposeDigest, value, out.subspan(kPrefix.size()));
    return as_text(out);
  }

  bool has_key() const override { return key_.has_value(); }
  const DataValidator* validator(std::string_view name) const override { return find_validator(name); }

 private:
  const KeyedHash* key() const { return key_ ? &*key_ : nullptr; }

  // A piece of a value that is too large to be held: the same size, nothing of it kept.
  MaskResult mask_cut(const MaskSubject& subject, Arena& arena) const {
    const TypeClass type = type_class(subject.type_id);
    const bool is_text =
        type == TypeClass::kText || is_copy(subject.format) || (type == TypeClass::kBytea && is_binary(subject.format));
    if (!is_text) return refuse();
    return replace_or_refuse(0, subject.value.size(), fill_run(subject.format, subject.value.size(), arena));
  }

  // A run of text; `at` is its place in the value.
  MaskResult rewrite_run(const MaskSpec& spec, ValueFormat format, Bytes run, std::size_t at, bool may_resize,
                         Arena& arena) const {
    if (spec.as == MaskSpec::As::kHash) {
      const MutableBytes out = arena.allocate(may_resize ? kFreeHashSize : run.size(), 1);
      if (out.empty()) return refuse();
      hash_text(*key_, run, out);
      return replace(at, at + run.size(), out);
    }
    const std::size_t kept = spec.as == MaskSpec::As::kPartial ? kept_size(run, spec.keep_last) : 0;
    const std::size_t covered = run.size() - kept;
    return replace_or_refuse(at, at + covered, fill_run(format, may_resize ? kFreeFillSize : covered, arena));
  }

  MaskResult mask_copy(const MaskSpec& spec, const MaskSubject& subject, Arena& arena) const {
    if (!mask::is_escaped(subject.value, subject.format)) {
      return rewrite_run(spec, subject.format, subject.value, 0, !spec.keep_length && subject.is_resizable, arena);
    }
    const Bytes meaning = unescape(subject.value, subject.format, arena);
    if (meaning.empty()) return replace(0, 0, {});  // A quoted empty string.
    const MaskResult masked = rewrite_run(spec, subject.format, meaning, 0, !spec.keep_length, arena);
    if (masked.kind != MaskResult::Kind::kReplace) return masked;
    const Bytes tail = meaning.subspan(masked.end);
    const MutableBytes whole = arena.allocate(masked.with.size() + tail.size(), 1);
    if (whole.empty()) return refuse();
    std::copy(masked.with.begin(), masked.with.end(), whole.begin());
    std::copy(tail.begin(), tail.end(), whole.begin() + static_cast<std::ptrdiff_t>(masked.with.size()));
    const Bytes escaped = escape(whole, subject.format, arena);
    if (escaped.empty() || (!subject.is_resizable && escaped.size() != subject.value.size())) return refuse();
    return replace(0, subject.value.size(), escaped);
  }

  MaskResult mask_text(const MaskSpec& spec, const MaskSubject& subject, TypeClass type, Arena& arena) const {
    const Bytes value = subject.value;
    const auto same_size = [&] { return arena.allocate(value.size(), 1); };
    switch (type) {
      case TypeClass::kText:
        return rewrite_run(spec, subject.format, value, 0, !spec.keep_length && subject.is_resizable, arena);
      case TypeClass::kInteger:
      case TypeClass::kNumber: {
        if (spec.as == MaskSpec::As::kFull && !spec.keep_length && subject.is_resizable) return replace(0, value.size(), as_bytes(std::string_view("0")));
        const MutableBytes out = same_size();
        if (out.empty()) return refuse();
        return rewrite_digits(spec, key(), value, digits_max(subject.type_id), out) ? replace(0, value.size(), out)
                                                                                    : to_null(subject);
      }
      case TypeClass::kUuid:
      case TypeClass::kBytea: {
        if (type == TypeClass::kBytea && !as_text(value).starts_with("\\x")) return to_null(subject);
        const std::size_t skip = type == TypeClass::kBytea ? 2 : 0;
        if (value.size() == skip) return replace(0, 0, {});
        const MutableBytes out = arena.allocate(value.size() - skip, 1);
        if (out.empty()) return refuse();
        rewrite_hex(spec, key(), value.subspan(skip), out);
        return replace(skip, value.size(), out);
      }
      case TypeClass::kJson:
      case TypeClass::kJsonb:
        return mask_json(spec, subject, 0, arena);
      case TypeClass::kOther:
        break;
    }
    return to_null(subject);
  }

  MaskResult mask_binary(const MaskSpec& spec, const MaskSubject& subject, TypeClass type, Arena& arena) const {
    const Bytes value = subject.value;
    switch (type) {
      case TypeClass::kText:
        if (subject.type_id >= kFirstUserOid) break;  // An extension's own form.
        return rewrite_run(spec, subject.format, value, 0, !spec.keep_length && subject.is_resizable, arena);
      case TypeClass::kBytea:
        return rewrite_run(spec, subject.format, value, 0, false, arena);
      case TypeClass::kInteger: {
        const MutableBytes out = arena.allocate(value.size(), 1);
        if (out.empty()) return refuse();
        return rewrite_integer(spec, key(), value, out) ? replace(0, value.size(), out) : to_null(subject);
      }
      case TypeClass::kUuid: {
        const MutableBytes out = arena.allocate(value.size(), 1);
        if (out.empty()) return refuse();
        std::fill(out.begin(), out.end(), std::byte{0});
        const std::size_t kept =
            spec.as == MaskSpec::As::kPartial ? std::min<std::size_t>(spec.keep_last, value.size()) / 2 : 0;
        if (spec.as == MaskSpec::As::kHash)
          std::copy_n(key_->digest(kPurposeValue, value).begin(), std::min<std::size_t>(value.size(), 32), out.begin());
        std::copy_n(value.end() - static_cast<std::ptrdiff_t>(kept), kept, out.end() - static_cast<std::ptrdiff_t>(kept));
        return replace(0, value.size(), out);
      }
      case TypeClass::kJson:
        return mask_json(spec, subject, 0, arena);
      case TypeClass::kJsonb:
        return mask_json(spec, subject, 1, arena);
      case TypeClass::kNumber:
      case TypeClass::kOther:
        break;
    }
    return to_null(subject);
  }

  // A JSON string of the same size: valid wherever the document was.  A kept tail could break it, so partial keeps none.
  MaskResult mask_json(const MaskSpec& spec, const MaskSubject& subject, std::size_t skip, Arena& arena) const {
    const Bytes value = subject.value;
    if (value.size() <= skip) return to_null(subject);
    const std::size_t size = value.size() - skip;
    const MutableBytes out = arena.allocate(size, 1);
    if (out.empty()) return refuse();
    if (size < 2) {
      out[0] = std::byte{'0'};
      return replace(skip, value.size(), out);
    }
    out.front() = out.back() = std::byte{'"'};
    const MutableBytes inner = out.subspan(1, size - 2);
    std::fill(inner.begin(), inner.end(), static_cast<std::byte>(kFill));
    if (spec.as == MaskSpec::As::kHash) hash_text(*key_, value.subspan(skip), inner);
    return replace(skip, value.size(), out);
  }

  // The digits of the largest value of a type: with so many, a first digit above its own would not fit.
  static std::size_t digits_max(uint32_t type_id) {
    switch (type_id) {
      case 21:
        return 5;
      case 23:
      case 26:
        return 10;
      case 20:
        return 19;
      default:
        return 1000;
    }
  }

  std::optional<KeyedHash> key_;
};

}  // namespace

std::shared_ptr<const Masker> make_masker(Bytes key) { return std::make_shared<const ValueMasker>(key); }

}  // namespace weir::mask
