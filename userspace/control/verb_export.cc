// export: events of sessions as JSON Lines, CSV or OCSF, for tools that are not ours.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/program_options/value_semantic.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "control/cli_text.h"
#include "control/export_run.h"
#include "control/record_options.h"
#include "control/session_filter.h"
#include "control/verbs.h"
#include "core/escape.h"
#include "core/time_text.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;

// Not an ExitCode of every verb: what could be read was exported, and the rest was told.
constexpr int kExitPartly = 3;

// Where lines go: the standard output, or a file that is in its place only once it is whole, readable by its owner alone.
class Output {
 public:
  static Result<Output> open(VerbCall& call, const std::string& path) {
    Output output(call);
    if (path.empty() || path == "-") return output;
    output.path_ = path;
    const std::string aside = path + ".new";
    ::unlink(aside.c_str());
    output.fd_ = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (output.fd_ < 0) return fail(Error::Kind::kSystem, aside + ": " + std::strerror(errno));
    return output;
  }
  Output(Output&& other) noexcept : call_(other.call_), path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), error_(other.error_), buffer_(std::move(other.buffer_)) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink((path_ + ".new").c_str());
  }

  void write(std::string_view text) {
    if (path_.empty()) {
      call_->terminal.out << text;
      return;
    }
    buffer_ += text;
    if (buffer_.size() >= kBufferSize) flush();
  }
  [[nodiscard]] bool is_taken() const { return path_.empty() ? static_cast<bool>(call_->terminal.out) : error_ == 0; }
  // Post: all of it is where it was asked for.
  Result<void> end() {
    if (path_.empty()) {
      call_->terminal.out.flush();
      return call_->terminal.out ? Result<void>() : fail(Error::Kind::kSystem, "the standard output does not take any more");
    }
    flush();
    if (error_ == 0 && ::fsync(fd_) != 0) error_ = errno;
    if (::close(std::exchange(fd_, -1)) != 0 && error_ == 0) error_ = errno;
    if (error_ == 0 && ::rename((path_ + ".new").c_str(), path_.c_str()) != 0) error_ = errno;
    if (error_ == 0) return {};
    ::unlink((path_ + ".new").c_str());
    return fail(Error::Kind::kSystem, path_ + ": " + std::strerror(error_));
  }
  [[nodiscard]] bool is_file() const { return !path_.empty(); }

 private:
  static constexpr std::size_t kBufferSize = 64u << 10;
  explicit Output(VerbCall& call) : call_(&call) {}
  void flush() {
    std::string_view rest = buffer_;
    while (!rest.empty() && error_ == 0) {
      const ssize_t size = ::write(fd_, rest.data(), rest.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) error_ = size < 0 ? errno : EIO;
      else rest.remove_prefix(static_cast<std::size_t>(size));
    }
    buffer_.clear();
  }
  VerbCall* call_;
  std::string path_;
  int fd_ = -1, error_ = 0;
  std::string buffer_;
};

struct Wanted {
  std::vector<uint64_t> sessions;      // Those, or what fits the filter.
  record::SessionFilter filter;
  std::string text;                    // For the record of who looked.
};

Result<Wanted> read_wanted(VerbCall& call) {
  Wanted wanted;
  for (const std::string& word : call.words()) {
    const auto session = parse_number(word);
    if (!session) return fail(Error::Kind::kInvalid, "\"" + word + "\" is no session: name sessions by their numbers; `weir sessions` lists them");
    wanted.sessions.push_back(*session);
    wanted.text += (wanted.text.empty() ? "sessions " : ", ") + word;
  }
  std::string narrowed;
  const auto add = [&](const char* name, const std::string& value) { narrowed += (narrowed.empty() ? "" : ", ") + std::string(name) + (value.empty() ? "" : " " + value); };
  if (auto words = read_session_words(wanted.filter, [&](const char* name) { return call.text(name); }); !words) return tl::unexpected<Error>(words.error());
  for (const SessionFilterOption& option : kSessionFilterOptions) {
    if (const std::string& value = wanted.filter.*option.place; !value.empty()) add(option.name, value);
  }
  wanted.filter.tell = [&call](const std::string& why) { call.terminal.err << "weir export: " << why << "\n"; };
  for (auto [name, place] : {std::pair{"from", &wanted.filter.since}, std::pair{"to", &wanted.filter.until}}) {
    if (!call.has(name)) continue;
    const auto moment = parse_moment(call.text(name));
    if (!moment) return fail(Error::Kind::kInvalid, std::string("--") + name + " " + moment.error().message);
    *place = *moment;
    add(name, utc_text(*moment));
  }
  if (call.has("limit")) add("limit", std::to_string(wanted.filter.count_max = call.options["limit"].as<uint64_t>()));
  if ((wanted.filter.only_blocked = call.has("blocked"))) add("blocked", "");
  if (call.has("closed")) {
    wanted.filter.is_live = false;
    add("closed", "");
  }
  if (!wanted.sessions.empty() && !narrowed.empty()) return fail(Error::Kind::kInvalid, "name sessions, or what they must have; not both");
  if (wanted.sessions.empty()) wanted.text = narrowed.empty() ? "all sessions" : "sessions " + narrowed;
  return wanted;
}

int run_export(VerbCall& call) {
  const auto format = report::export_format(call.text("format"));
  if (!format) return call.fail(kExitUsage, call.has("format") ? "--format " + call.text("format") + ": one of jsonl, csv, ocsf" : "--format is needed: jsonl, csv or ocsf");
  const auto wanted = read_wanted(call);
  if (!wanted) return call.fail(kExitUsage, wanted.error().message);
  const bool is_file = call.has("output") && call.text("output") != "-";
  if (call.json && !is_file) return call.fail(kExitUsage, "--json is a summary of what was written with --output FILE; the lines themselves have --format jsonl");
  const auto folder = record_folder(call);
  if (!folder) return kExitUsage;
  const auto place = record_place(call, *folder);
  if (!place) return call.fail(place.error());
  auto output = Output::open(call, call.text("output"));
  if (!output) return call.fail(output.error());
  tell_engine(call, "export", wanted->text + " as " + call.text("format"));
  ExportRun run(*place, *format,
                [&](std::string_view line) {
                  output->write(line);
                  return output->is_taken();
                },
                [&](uint64_t session, const Error& error) {
                  call.terminal.err << "weir export: session " << session << " cannot be read" << (error.kind == Error::Kind::kDenied ? " without its key" : "") << ": " << escape_bytes(error.message) << "\n";
                });
  uint64_t missing = 0;
  Result<void> done;
  if (wanted->sessions.empty()) done = run.add(wanted->filter);
  for (const uint64_t session : wanted->sessions) {
    record::SessionFilter one;
    one.session = session;
    const uint64_t before = run.sessions();
    done = run.add(one);
    if (!done || !output->is_taken()) break;
    if (run.sessions() != before) continue;
    ++missing;
    call.terminal.err << "weir export: session " << session << " is not in this record\n";
  }
  if (!done) return call.fail(done.error());
  if (const auto ended = output->end(); !ended) return call.fail(ended.error());
  if (call.json) {
    call.print_json({{"output", call.text("output")}, {"format", call.text("format")}, {"sessions", run.sessions()}, {"events", run.events()}, {"unread", run.unread()}, {"missing", missing}});
  } else if (is_file) {
    call.terminal.out << call.text("output") << ": " << counted(run.events(), "event") << " of " << counted(run.sessions(), "session") << "\n";
  }
  if (run.unread() != 0) call.terminal.err << "weir export: " << counted(run.unread(), "session") << " of " << run.sessions() << " could not be read whole\n";
  return run.unread() != 0 ? kExitPartly : missing != 0 ? kExitFinding : kExitDone;
}

}  // namespace

Verb export_verb() {
  return {.name = "export",
          .group = "The record",
          .summary = "write events of sessions for other tools: JSON Lines, CSV, OCSF",
          .synopsis = "[SESSION...] --format jsonl|csv|ocsf [--output FILE] [--from TIME] [--to TIME] [--who NAME] [FILTER...]",
          .description = "All events of the named sessions, or of those that fit, live ones as far as they are; the highest number first, the events of one in order. Works without an engine, and on a copy. What was masked for the client is masked here too.\n"
                         "Each line names the archive, seal number and digest that prove it (`weir prove`, `weir verify`); an event that is not sealed yet has none.\n"
                         "jsonl: an event a line, as `weir replay --json` has it, with gateway, session, target, subject, archive, part, seal, digest. csv: RFC 4180, the same events; a cell that a spreadsheet would run has a ' before it, and control characters are written out (\\x1b), so jsonl alone is exact. "
                         "ocsf: OCSF 1.9.0-dev with the profiles record_integrity and security_control, a Datastore Activity (6005) for each command, with what its answer said, Authentication (3002) for a login, Network Activity (4001) for opening and end.\n"
                         "A file is there only once it is whole, readable by its owner; one of that name is replaced. A session that cannot be read (no key, destroyed keys, damage) is told of on stderr and counted.\n"
                         "JSON (with --output FILE): {output, format, sessions, events, unread, missing}",
          .exits = "0 done\n1 a named session is not in this record; the others are written\n2 the command line is wrong\n3 some sessions could not be read whole: each was told of, the others are written\n5 the record cannot be read, or the output not be written",
          .example = "weir export --format jsonl --from 24h --closed | gzip > weir.jsonl.gz\nweir export 4711 4712 --format csv --output sessions.csv\nweir export --format ocsf --who user:ann --from 2027-01-01T00:00:00Z --to 2027-02-01T00:00:00Z --output january.jsonl\n"
                     "weir export --format jsonl --state /mnt/copy/weir --key-file auditor.key | jq -r 'select(.verdict == \"block\") | [.session, .seq, .text] | @tsv'",
          .add_options = [](po::options_description& options) {
            options.add_options()("format", po::value<std::string>()->value_name("NAME"), "jsonl, csv or ocsf")
                ("output", po::value<std::string>()->value_name("FILE"), "-, or nothing: the standard output")
                ("from", po::value<std::string>()->value_name("TIME"), "sessions opened at or after; a time, or how long ago, such as 8h")
                ("to", po::value<std::string>()->value_name("TIME"), "opened before")
                ("blocked", "only sessions with at least one blocked command")
                ("closed", "only sessions that have ended")
                ("limit", po::value<uint64_t>()->value_name("N"), "at most so many sessions")
                ("state", po::value<std::string>()->value_name("FOLDER"), "a state folder or a copy of one; else the configuration's");
            for (const SessionFilterOption& option : kSessionFilterOptions) options.add_options()(option.name, po::value<std::string>()->value_name(option.value_name), option.help);
            add_key_file(options);
          },
          .run = run_export};
}

}  // namespace weir::control
