#include "parse/postgres/facts_source.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include "parse/postgres/facts_cache.h"
#include "parse/postgres/facts_pool_impl.h"
#include "parse/postgres/sql_lexer.h"

namespace weir::postgres {

namespace {

constexpr std::size_t kCacheBytesMax = 64u << 20;   // Keys and facts of one source; hit: the least recently used leave.
constexpr std::size_t kWaitingMax = 4096;           // Sessions that changed the schema and wait for the catalogue; hit: opaque.
constexpr std::size_t kContextsMax = 256;           // Databases times search paths; hit: all contexts and entries are dropped.

// A relation that the catalogue does not know, though it may have been made since it was read.
bool names_the_unknown(const StatementFacts& facts) {
  return std::ranges::any_of(facts.relations, [](const RelationRef& relation) {
    return !relation.is_resolved && relation.name != "*" && relation.schema != "pg_temp";
  });
}

struct Context {
  std::string database, search_path;
  bool standard_conforming_strings = true;
  std::shared_ptr<const Catalogue> catalogue;
  FactsContext id = 0;
};

// Where a statement is looked for.
struct Place {
  FactsCache::Kind kind = FactsCache::Kind::kByText;
  FactsContext context = 0;
  uint64_t hash = 0;
  std::string_view bytes;
};

// What both sources do: contexts, keys, the cache.
class CachedFacts : public PostgresFactsSource {
 public:
  FactsStats stats() const override {
    FactsStats stats = stats_;
    stats.entries = cache_.entries();
    stats.bytes = cache_.bytes();
    stats.evicted = cache_.evicted();
    return stats;
  }

 protected:
  CachedFacts(const Limits& limits, std::shared_ptr<const CatalogueProvider> catalogue, uint64_t seed)
      : limits_(limits), provider_(std::move(catalogue)), seed_(seed), cache_(limits.facts_cache_entries, kCacheBytesMax),
        scratch_(2 * std::size_t{limits.statement_inline_max} + 2) {
    contexts_.reserve(kContextsMax);
  }

  // A hit, or where to put what a parser will say (bytes: scratch_ or the query's text).
  FactsPtr look_up(const FactsQuery& query, const Context& context, Place& place) {
    const std::string_view text = as_text(query.text);
    place.context = context.id;
    if (text.size() <= limits_.statement_inline_max) {
      const SqlKey key = sql_key(text, scratch_, seed_);
      if (key.is_shareable) {
        place.kind = FactsCache::Kind::kByKey;
        place.hash = key.hash;
        place.bytes = as_text(Bytes(scratch_)).substr(0, key.size);
        FactsCache::Found found = cache_.find(place.kind, place.context, place.hash, place.bytes);
        if (found.facts != nullptr) {
          ++stats_.hits;
          return std::move(found.facts);
        }
        if (!found.is_there) return nullptr;
      }
    }
    place.kind = FactsCache::Kind::kByText;
    place.hash = sql_hash(text, seed_);
    place.bytes = text;
    FactsCache::Found found = cache_.find(place.kind, place.context, place.hash, place.bytes);
    if (found.facts != nullptr) {
      ++stats_.hits;
      ++stats_.exact_hits;
    }
    return std::move(found.facts);
  }

  const Context& context_of(const FactsQuery& query) {
    for (std::size_t i = 0; i < contexts_.size(); ++i) {
      Context& context = contexts_[i];
      if (context.database != query.database || context.search_path != query.search_path ||
          context.standard_conforming_strings != query.standard_conforming_strings) {
        continue;
      }
      if (i > 0) std::swap(contexts_[i], contexts_[i - 1]);  // What is used moves to the front.
      return contexts_[i > 0 ? i - 1 : 0];
    }
    if (contexts_.size() >= kContextsMax) {
      contexts_.clear();
      cache_.clear();
    }
    Context& made = contexts_.emplace_back();
    made.database = query.database;
    made.search_path = query.search_path;
    made.standard_conforming_strings = query.standard_conforming_strings;
    made.catalogue = provider_ != nullptr ? provider_->snapshot(made.database) : nullptr;
    made.id = ++last_context_;
    return made;
  }

  // A new snapshot makes a new context: what was said under the old one is not found any more, and ages out.
  void follow_catalogue() {
    if (provider_ == nullptr || provider_->version() == version_) return;
    version_ = provider_->version();
    for (Context& context : contexts_) {
      std::shared_ptr<const Catalogue> snapshot = provider_->snapshot(context.database);
      if (snapshot == context.catalogue) continue;
      context.catalogue = std::move(snapshot);
      context.id = ++last_context_;
    }
  }

  void keep(const Place& place, std::string_view text, const ParsedFacts& parsed) {
    if (place.kind == FactsCache::Kind::kByText || parsed.holds_for_key) {
      cache_.put(place.kind, place.context, place.hash, place.bytes, parsed.facts, parsed.bytes);
      return;
    }
    cache_.put(FactsCache::Kind::kByKey, place.context, place.hash, place.bytes, nullptr, 0);
    cache_.put(FactsCache::Kind::kByText, place.context, sql_hash(text, seed_), text, parsed.facts, parsed.bytes);
  }

  RequestPtr make_request(const FactsQuery& query, const Context& context) const {
    auto request = std::make_unique<ParseRequest>();
    request->text = as_text(query.text);
    request->catalogue = context.catalogue;
    request->database = context.database;
    request->search_path = context.search_path;
    request->standard_conforming_strings = context.standard_conforming_strings;
    return request;
  }

  const Limits limits_;
  const std::shared_ptr<const CatalogueProvider> provider_;
  const uint64_t seed_;             // Of hashes: a client cannot choose texts that fall into one bucket.
  FactsCache cache_;
  std::vector<std::byte> scratch_;
  std::vector<Context> contexts_;
  FactsContext last_context_ = 0;
  uint64_t version_ = 0;
  FactsStats stats_;
};

class PooledFacts final : public CachedFacts {
 public:
  PooledFacts(SqlParserPool& pool, const Limits& limits, std::shared_ptr<const CatalogueProvider> catalogue, std::function<void()> wake)
      : CachedFacts(limits, std::move(catalogue), std::random_device{}() * 0x9e3779b97f4a7c15ULL + std::random_device{}()),
        pool_(pool.impl()), port_(pool_.open_port(std::move(wake))) {
    if (provider_ == nullptr) return;
    round_watch_ = provider_->watch_rounds([port = port_] {
      const std::lock_guard guard(port->wake_lock);
      if (port->wake) port->wake();
    });
  }
  ~PooledFacts() override { pool_.close_port(port_); }
  PooledFacts(const PooledFacts&) = delete;
  PooledFacts& operator=(const PooledFacts&) = delete;

  FactsAnswer facts(const FactsQuery& query) override {
    if (query.text.size() > limits_.statement_size_max) {
      ++stats_.refused_size;
      return {};
    }
    if (provider_ != nullptr && query.catalogue_round > provider_->rounds()) {
      if (waiting_.size() >= kWaitingMax) return {};
      waiting_.push_back({query.catalogue_round, query.session});
      return {FactsAnswer::State::kPending, nullptr};
    }
    const Context& context = context_of(query);
    Place place;
    if (FactsPtr hit = look_up(query, context, place); hit != nullptr) return {FactsAnswer::State::kReady, std::move(hit)};
    if (Pending* const pending = find_pending(place); pending != nullptr) {
      ++stats_.joined;
      if (std::ranges::find(pending->sessions, query.session) == pending->sessions.end()) pending->sessions.push_back(query.session);
      return {FactsAnswer::State::kPending, nullptr};
    }
    // Texts that wait are bounded too: four of the largest, or many small ones.
    const std::size_t size = query.text.size();
    if (pending_.size() >= limits_.facts_pending_max || pending_bytes_ + size > 4 * std::size_t{limits_.statement_size_max}) {
      ++stats_.refused_full;
      return {};
    }
    ++stats_.misses;
    const uint64_t ticket = ++last_ticket_;
    Pending& pending = pending_[ticket];
    pending.place = place;
    if (place.kind == FactsCache::Kind::kByKey) pending.key = place.bytes;
    pending.sessions.push_back(query.session);
    pending.size = size;
    pending_bytes_ += size;
    RequestPtr request = make_request(query, context);
    request->ticket = ticket;
    // The request's own text outlives the entry: it comes back with the answer.
    pending.text = request->text;
    by_hash_.emplace(place.hash, ticket);
    pool_.submit(*port_, std::move(request));
    return {FactsAnswer::State::kPending, nullptr};
  }

  uint64_t catalogue_changed() override { return provider_ != nullptr ? provider_->ask_round() : 0; }

  std::span<const uint64_t> collect() override {
    cache_.trim();
    follow_catalogue();
    ready_.clear();
    RequestPtr request;
    while (port_->from_quick.pop(request)) take(std::move(request));
    while (port_->from_large.pop(request)) take(std::move(request));
    if (!parked_.empty() || !waiting_.empty()) end_of_rounds(provider_->rounds());
    return ready_;
  }

 private:
  struct Pending {
    Place place;              // Its bytes are not to be used: `key` or `text` holds them.
    std::string key;
    std::string_view text;    // In the request.
    std::vector<uint64_t> sessions;
    std::size_t size = 0;
    [[nodiscard]] std::string_view bytes() const { return place.kind == FactsCache::Kind::kByKey ? std::string_view(key) : text; }
  };

  Pending* find_pending(const Place& place) {
    const auto [first, last] = by_hash_.equal_range(place.hash);
    for (auto it = first; it != last; ++it) {
      Pending& pending = pending_.at(it->second);
      if (pending.place.kind == place.kind && pending.place.context == place.context && pending.bytes() == place.bytes) return &pending;
    }
    return nullptr;
  }

  struct Parked {
    uint64_t round = 0;
    RequestPtr request;
    bool is_first = false;  // For the first reading of all: what it does not know is worth another one.
  };
  struct Waiting { uint64_t round = 0, session = 0; };

  void end_of_rounds(uint64_t rounds) {
    std::erase_if(waiting_, [&](const Waiting& waiting) {
      if (waiting.round > rounds) return false;
      ready_.push_back(waiting.session);
      return true;
    });
    std::erase_if(parked_, [&](Parked& parked) {
      if (parked.round > rounds) return false;
      again(std::move(parked.request), !parked.is_first);
      return true;
    });
  }

  // Read under the catalogue as it is now.  Post: parsed anew, or answered as it stands if that has not changed.
  void again(RequestPtr request, bool has_caught_up) {
    request->has_caught_up = has_caught_up;
    std::shared_ptr<const Catalogue> now = provider_->snapshot(request->database);
    request->is_reread = true;
    if (now == request->catalogue) return take(std::move(request));
    request->catalogue = std::move(now);
    request->answer = {};
    pool_.submit(*port_, std::move(request));
  }

  void take(RequestPtr owned) {
    ParseRequest& request = *owned;
    const auto found = pending_.find(request.ticket);
    if (found == pending_.end()) return;
    Pending& pending = found->second;
    if (provider_ != nullptr && request.answer.facts != nullptr &&
        (names_the_unknown(*request.answer.facts) || (request.catalogue == nullptr && request.answer.facts->has_unknown_function))) {
      // Before the first reading is over nothing has a name; after it a database without a catalogue is one that is not read.
      const bool is_first = request.catalogue == nullptr;
      if (!request.has_caught_up && !(is_first && provider_->rounds() > 0)) {
        if (const uint64_t round = provider_->ask_round(); round != 0) {
          ++stats_.caught_up;
          parked_.push_back({is_first ? 1 : round, std::move(owned), is_first});
          return;
        }
      } else if (request.catalogue != provider_->snapshot(request.database)) {
        return again(std::move(owned), true);  // It changed while the parser was at it.
      }
    }
    if (request.is_reread) {  // Under the context of the catalogue that it was read with: that is the newest now.
      FactsQuery query;
      query.database = request.database;
      query.search_path = request.search_path;
      query.standard_conforming_strings = request.standard_conforming_strings;
      pending.place.context = context_of(query).id;
    }
    pending.place.bytes = pending.bytes();
    keep(pending.place, request.text, request.answer);
    ready_.insert(ready_.end(), pending.sessions.begin(), pending.sessions.end());
    pending_bytes_ -= pending.size;
    const auto [first, last] = by_hash_.equal_range(pending.place.hash);
    for (auto it = first; it != last; ++it) {
      if (it->second != request.ticket) continue;
      by_hash_.erase(it);
      break;
    }
    pending_.erase(found);
  }

  SqlParserPool::Impl& pool_;
  std::shared_ptr<PoolPort> port_;
  std::unordered_map<uint64_t, Pending> pending_;            // By ticket.
  std::unordered_multimap<uint64_t, uint64_t> by_hash_;      // Hash to ticket.
  std::vector<uint64_t> ready_;
  std::vector<Parked> parked_;       // Until the catalogue was read again.
  std::vector<Waiting> waiting_;
  std::shared_ptr<void> round_watch_;
  std::size_t pending_bytes_ = 0;
  uint64_t last_ticket_ = 0;
};

class InlineFacts final : public CachedFacts {
 public:
  InlineFacts(const Limits& limits, std::shared_ptr<const CatalogueProvider> catalogue)
      : CachedFacts(limits, std::move(catalogue), 0), stack_(parser_stack_size(limits)), thread_(start_thread(stack_, run, this)) {}
  ~InlineFacts() override {
    request_ = nullptr;
    step(kGo);
    pthread_join(thread_, nullptr);
  }
  InlineFacts(const InlineFacts&) = delete;
  InlineFacts& operator=(const InlineFacts&) = delete;

  FactsAnswer facts(const FactsQuery& query) override {
    if (query.text.size() > limits_.statement_size_max) {
      ++stats_.refused_size;
      return {};
    }
    follow_catalogue();
    const Context& context = context_of(query);
    Place place;
    if (FactsPtr hit = look_up(query, context, place); hit != nullptr) return {FactsAnswer::State::kReady, std::move(hit)};
    ++stats_.misses;
    const RequestPtr request = make_request(query, context);
    request_ = request.get();
    step(kGo);
    state_.wait(kGo, std::memory_order_acquire);
    cache_.trim();
    keep(place, request->text, request->answer);
    return {FactsAnswer::State::kReady, request->answer.facts};
  }
  std::span<const uint64_t> collect() override { return {}; }

 private:
  enum State : uint32_t { kIdle, kGo };
  void step(State state) {
    state_.store(state, std::memory_order_release);
    state_.notify_all();
  }
  static void* run(void* argument) {
    InlineFacts& self = *static_cast<InlineFacts*>(argument);
    for (;;) {
      self.state_.wait(kIdle, std::memory_order_acquire);
      ParseRequest* const request = self.request_;
      if (request == nullptr) return nullptr;
      request->answer = parse_facts(request->text, request->catalogue.get(), request->search_path, request->standard_conforming_strings, self.limits_);
      self.step(kIdle);
    }
  }

  GuardedStack stack_;
  std::atomic<State> state_{kIdle};
  ParseRequest* request_ = nullptr;
  pthread_t thread_;
};

}  // namespace

std::unique_ptr<PostgresFactsSource> make_postgres_facts(SqlParserPool& pool, const Limits& limits,
                                                         std::shared_ptr<const CatalogueProvider> catalogue, std::function<void()> wake) {
  return std::make_unique<PooledFacts>(pool, limits, std::move(catalogue), std::move(wake));
}

std::unique_ptr<PostgresFactsSource> make_inline_facts(const Limits& limits, std::shared_ptr<const CatalogueProvider> catalogue) {
  return std::make_unique<InlineFacts>(limits, std::move(catalogue));
}

}  // namespace weir::postgres
