#include "report/pack_table.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace weir::report {
namespace {

std::string hex_of(const unsigned char* bytes, std::size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::string finish(EVP_MD_CTX* context) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  WEIR_CHECK(EVP_DigestFinal_ex(context, bytes.data(), &size) == 1);
  return hex_of(bytes.data(), size);
}

std::shared_ptr<EVP_MD_CTX> begin_digest() {
  std::shared_ptr<EVP_MD_CTX> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  WEIR_CHECK(context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  return context;
}

}  // namespace

std::string sha256_hex(std::string_view text) {
  const auto context = begin_digest();
  WEIR_CHECK(EVP_DigestUpdate(context.get(), text.data(), text.size()) == 1);
  return finish(context.get());
}

std::string csv_cell(std::string_view text) {
  std::string cell;
  // U+FF1D, FF0B, FF0D, FF20: = + - @ as wide as an ideograph, which some spreadsheets take for the same.
  static constexpr std::string_view kSigns[] = {"=", "+", "-", "@", "\t", "\r", "\n", "\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"};
  if (std::any_of(std::begin(kSigns), std::end(kSigns), [&](std::string_view sign) { return text.starts_with(sign); })) cell = "'";
  cell += text;
  if (cell.find_first_of(",;\"\t\r\n") == std::string::npos) return cell;
  std::string quoted = "\"";
  for (const char c : cell) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

Result<DigestedFile> DigestedFile::create(const std::string& path) {
  if (std::filesystem::exists(path)) return fail(Error::Kind::kInvalid, path + ": is there already");
  DigestedFile file;
  file.path_ = path;
  errno = 0;
  file.out_.open(path, std::ios::binary);
  if (!file.out_) return fail(Error::Kind::kSystem, path + ": " + std::strerror(errno));
  file.digest_ = begin_digest();
  return file;
}

void DigestedFile::write(std::string_view text) {
  out_.write(text.data(), static_cast<std::streamsize>(text.size()));
  WEIR_CHECK(EVP_DigestUpdate(digest_.get(), text.data(), text.size()) == 1);
}

Result<std::string> DigestedFile::close() {
  out_.close();
  if (out_.fail()) return fail(Error::Kind::kSystem, path_ + ": could not be written whole; is the disk full?");
  return finish(digest_.get());
}

Result<PackTable> PackTable::create(const std::string& folder, TableInfo info) {
  Result<DigestedFile> csv = DigestedFile::create(folder + "/" + info.name + ".csv");
  if (!csv) return tl::unexpected(csv.error());
  Result<DigestedFile> jsonl = DigestedFile::create(folder + "/" + info.name + ".jsonl");
  if (!jsonl) return tl::unexpected(jsonl.error());
  PackTable table(std::move(info), std::move(*csv), std::move(*jsonl));
  std::string head;
  for (const std::string& column : table.info_.columns) head += (head.empty() ? "" : ",") + column;
  table.csv_.write(head + "\r\n");
  return table;
}

void PackTable::add(Cells cells) {
  WEIR_CHECK(cells.size() == info_.columns.size());
  std::string line;
  nlohmann::ordered_json object;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    line += (i == 0 ? "" : ",") + csv_cell(cells[i]);
    object[info_.columns[i]] = cells[i];
  }
  csv_.write(line + "\r\n");
  jsonl_.write(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  ++rows_;
  if (shown_.size() < kShownMax) shown_.push_back(std::move(cells));
}

Result<void> PackTable::close() {
  for (auto [file, digest] : {std::pair{&csv_, &csv_digest_}, std::pair{&jsonl_, &jsonl_digest_}}) {
    Result<std::string> closed = file->close();
    if (!closed) return tl::unexpected(closed.error());
    *digest = std::move(*closed);
  }
  return {};
}

}  // namespace weir::report
