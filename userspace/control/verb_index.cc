// index: what the search index is like, and to make it again.
#include <boost/program_options/value_semantic.hpp>

#include "control/cli_text.h"
#include "control/logging.h"
#include "control/record_options.h"
#include "control/verbs.h"
#include "record/index_feed.h"
#include "record/reader.h"
#include "record/sealed_view.h"

namespace weir::control {
namespace {

namespace po = boost::program_options;

// A running engine feeds the same file: whoever comes first to a batch writes it.
int rebuild(VerbCall& call, const record::RecordPlace& place) {
  record::IndexFeeder feeder(place);
  if (place.openers.empty()) {
    // Made without a key it would find less, and a running engine would make it again.
    const auto there = record::SessionIndex::open(place.index, record::SessionIndex::Mode::kRead);
    if (!there && there.error().kind == Error::Kind::kDenied) return call.fail(Error{Error::Kind::kInvalid, "it was made with a key, and is made again with one (--key-file FILE): " + there.error().message});
  }
  if (auto begun = feeder.restart(); !begun) return call.fail(begun.error());
  const bool shows_progress = call.terminal.err_is_terminal && !call.json;
  uint64_t left = 0;
  do {
    const auto step = feeder.step();
    if (!step) return call.fail(step.error());
    if (feeder.counts().rebuilds != 0) return call.fail(Error{Error::Kind::kUnavailable, "a running engine makes it again under its own keys"});
    left = *step;
    if (shows_progress) call.terminal.err << "\r" << counted(feeder.counts().sessions, "seal") << " read, " << left << " entries of the log left\x1b[K" << std::flush;
  } while (left != 0);
  if (shows_progress) call.terminal.err << "\r\x1b[K" << std::flush;
  return kExitDone;
}

int run_index(VerbCall& call) {
  const auto folder = record_folder(call);
  if (!folder) return kExitUsage;
  const auto opened = record_place(call, *folder);
  if (!opened) return call.fail(opened.error());
  const record::RecordPlace& place = *opened;
  if (place.index.empty()) return call.fail(kExitFinding, "there is no record in " + *folder + " yet, and so nothing to find");
  if (call.has("rebuild")) {
    if (const int code = rebuild(call, place); code != kExitDone) return code;
  }
  auto index = record::SessionIndex::open(place.index, record::SessionIndex::Mode::kRead, place.openers);
  std::string problem = index ? "" : index.error().message;
  record::IndexCounts counts;
  if (index) {
    auto found = (*index)->counts();
    if (found) counts = *found;
    else problem = found.error().message;
  }
  if (problem.empty()) {
    // It need not be used for a record without a log.
    if (auto view = record::view_by_index(place); !view && view.error().kind != Error::Kind::kNotFound) problem = view.error().message;
  }
  if (call.json) {
    call.print_json({{"usable", problem.empty()}, {"problem", problem}, {"sessions", counts.sessions}, {"open", counts.open}, {"read_each_time", counts.cut + counts.unread}, {"locked", counts.locked}, {"bytes", counts.bytes}});
  } else if (problem.empty()) {
    call.terminal.out << counted(counts.sessions, "session") << ", " << human_size(counts.bytes) << "; " << counts.cut + counts.unread << " of them are read each time (too many words, or a damaged archive)\n";
    if (counts.locked != 0) call.terminal.out << counted(counts.locked, "session") << " could not be opened for want of a key: found by what their manifests say alone\n";
  } else {
    call.terminal.out << "not used: " << escape_bytes(problem) << "\nWithout it `weir sessions` reads the archives; a running engine makes it again, and so does weir index --rebuild\n";
  }
  return problem.empty() ? kExitDone : kExitFinding;
}

}  // namespace

Verb index_verb() {
  return {.name = "index",
          .group = "The record",
          .summary = "the index that finds sessions, and making it again",
          .synopsis = "[--rebuild] [--key-file FILE] [--state FOLDER]",
          .description = "A cache in the state folder (index/sessions.db), never evidence: nothing is verified against it. The engine keeps it up as sessions are sealed, and makes it again by itself from the archives when it is missing, "
                         "damaged, of another version or of another evidence log. Of statements it holds hashes of their words; of an encrypted record these, and all rows, are under the gateway's key.\n"
                         "JSON: {usable, problem, sessions, open, read_each_time, locked, bytes}",
          .exits = "0 it is there and usable\n1 it is not: lists read the archives until it is; or there is no record yet\n2 the command line is wrong, or the configuration does not say where the state is\n3 another process holds it\n5 it cannot be written",
          .example = "weir index\nweir index --rebuild",
          .add_options = [](po::options_description& options) {
            add_key_file(options);
            options.add_options()("rebuild", "read all archives again")
                ("state", po::value<std::string>()->value_name("FOLDER"), "a state folder or a copy of one; else the configuration's");
          },
          .run = run_index};
}

}  // namespace weir::control
