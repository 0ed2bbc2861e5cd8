// A table of an evidence pack: written row by row as CSV and as JSON Lines, with the digest of each, so that no table is too
// long for memory.  The first rows are kept for the page.
#pragma once
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

struct evp_md_ctx_st;

namespace weir::report {

struct TableInfo {
  std::string name;                    // Stem of its files: tables/<name>.csv and .jsonl.
  std::string title;
  std::string query;                   // Which rows: what was looked at, and the condition.
  std::vector<std::string> columns;
};

using Cells = std::vector<std::string>;

// A file and the SHA-256 of what was written to it.
class DigestedFile {
 public:
  static Result<DigestedFile> create(const std::string& path);   // An error if it is there already.
  void write(std::string_view text);
  Result<std::string> close();         // The digest, hex.  An error if anything could not be written.

 private:
  std::string path_;
  std::ofstream out_;
  std::shared_ptr<evp_md_ctx_st> digest_;
};

class PackTable {
 public:
  static constexpr std::size_t kShownMax = 50;

  static Result<PackTable> create(const std::string& folder, TableInfo info);
  // Pre: as many cells as columns.
  void add(Cells cells);
  Result<void> close();

  [[nodiscard]] const TableInfo& info() const { return info_; }
  [[nodiscard]] uint64_t rows() const { return rows_; }
  [[nodiscard]] const std::vector<Cells>& shown() const { return shown_; }
  [[nodiscard]] const std::string& csv_digest() const { return csv_digest_; }       // After close().
  [[nodiscard]] const std::string& jsonl_digest() const { return jsonl_digest_; }

 private:
  PackTable(TableInfo info, DigestedFile csv, DigestedFile jsonl) : info_(std::move(info)), csv_(std::move(csv)), jsonl_(std::move(jsonl)) {}
  TableInfo info_;
  DigestedFile csv_, jsonl_;
  uint64_t rows_ = 0;
  std::vector<Cells> shown_;
  std::string csv_digest_, jsonl_digest_;
};

// One cell of RFC 4180.  What a spreadsheet would run (a cell that begins with = + - @, also in their full-width forms, or a control
// character) has a ' before it.  Quoted also where another program splits: at ; and tabs.
std::string csv_cell(std::string_view text);
std::string sha256_hex(std::string_view text);

}  // namespace weir::report
