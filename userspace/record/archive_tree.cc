#include "record/archive_tree.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "record/archive.h"
#include "record/files.h"

namespace weir::record {
namespace {

template <class T>
std::optional<T> plain_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty() ? std::optional(value) : std::nullopt;
}

std::optional<std::chrono::sys_days> day_of(std::string_view year, std::string_view month, std::string_view day) {
  const auto y = plain_number<int>(year);
  const auto m = plain_number<unsigned>(month), d = plain_number<unsigned>(day);
  if (!y || !m || !d || year.size() != 4 || month.size() != 2 || day.size() != 2) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*y), std::chrono::month(*m), std::chrono::day(*d)};
  return date.ok() ? std::optional(std::chrono::sys_days(date)) : std::nullopt;
}

}  // namespace

std::optional<ArchiveFile> archive_file(std::string_view day, std::string_view file_name) {
  std::string_view stem = file_name;
  if (!stem.ends_with(".weir")) return std::nullopt;
  stem.remove_suffix(5);
  ArchiveFile file;
  file.name = std::string(day) + "/" + std::string(file_name);
  const std::size_t dot = stem.find('.');
  const auto session = plain_number<uint64_t>(stem.substr(0, dot));
  if (!session) return std::nullopt;
  file.session = *session;
  if (dot != std::string_view::npos) {
    const auto part = plain_number<uint32_t>(stem.substr(dot + 1));
    if (!part || *part < 2) return std::nullopt;
    file.part = *part;
  }
  return file;
}

Result<void> walk_archive(const std::string& archive, std::optional<std::chrono::sys_seconds> since, std::optional<std::chrono::sys_seconds> until,
                          const std::function<bool(const std::vector<ArchiveFile>&, const std::vector<std::string>&)>& visit) {
  std::vector<std::pair<std::chrono::sys_days, std::string>> days;
  std::vector<std::string> strange;
  const Result<std::vector<std::string>> years = list_folder(archive);
  if (!years) return tl::unexpected(years.error());
  for (const std::string& year : *years) {
    if (year == ".open") continue;
    const Result<std::vector<std::string>> months = list_folder(archive + "/" + year);
    if (!months) strange.push_back(year);
    for (const std::string& month : months.value_or(std::vector<std::string>{})) {
      const Result<std::vector<std::string>> in_month = list_folder(archive + "/" + year + "/" + month);
      if (!in_month) strange.push_back(year + "/" + month);
      for (const std::string& day : in_month.value_or(std::vector<std::string>{})) {
        const std::string name = year + "/" + month + "/" + day;
        if (const auto date = day_of(year, month, day)) {
          days.emplace_back(*date, name);
        } else {
          strange.push_back(name);
        }
      }
    }
  }
  std::sort(days.begin(), days.end(), std::greater<>());
  if (!strange.empty() && !visit({}, strange)) return {};
  for (const auto& [date, day] : days) {
    if ((until && date >= *until) || (since && date + std::chrono::days(1) <= *since)) continue;
    const Result<std::vector<std::string>> names = list_folder(archive + "/" + day);
    if (!names) return tl::unexpected(names.error());
    std::vector<ArchiveFile> files;
    strange.clear();
    for (const std::string& name : *names) {
      if (std::optional<ArchiveFile> file = archive_file(day, name)) {
        files.push_back(std::move(*file));
      } else {
        strange.push_back(day + "/" + name);
      }
    }
    std::sort(files.begin(), files.end(), [](const ArchiveFile& a, const ArchiveFile& b) {
      return a.session != b.session ? a.session > b.session : a.part < b.part;
    });
    if (!visit(files, strange)) return {};
  }
  return {};
}

Result<std::vector<ArchiveFile>> archives_of(const std::string& archive, uint64_t session, std::optional<std::chrono::sys_seconds> opened) {
  std::vector<ArchiveFile> parts;
  if (opened) {
    const int64_t opened_ns = std::chrono::nanoseconds(opened->time_since_epoch()).count();
    for (uint32_t part = 1;; ++part) {
      std::string name = archive_name(opened_ns, session, part);
      if (!exists(archive + "/" + name)) break;
      parts.push_back({.session = session, .part = part, .name = std::move(name)});
    }
    // A part that was taken away from the middle hides no later one.
    const Result<ArchiveReader> last = parts.empty() ? fail(Error::Kind::kNotFound, "") : ArchiveReader::open(archive + "/" + parts.back().name);
    if (last && last->manifest().is_last) return parts;
    parts.clear();
  }
  const Result<void> walked = walk_archive(archive, opened, opened ? std::optional(*opened + std::chrono::seconds(1)) : std::nullopt, [&](const auto& files, const auto&) {
    std::copy_if(files.begin(), files.end(), std::back_inserter(parts), [&](const ArchiveFile& file) { return file.session == session; });
    return parts.empty();
  });
  if (!walked) return tl::unexpected(walked.error());
  return parts;
}

}  // namespace weir::record
